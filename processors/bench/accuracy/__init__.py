"""Accuracy on real fields that were never seen, all kinds of classifiers beside each other in the same run.

`python -m processors.bench.accuracy ../shared/data --json FILE` measures it all.
"""
