"""Accuracy on real fields that were never seen, the kinds of classifiers beside each other in the same run: `python -m processors.bench.accuracy`."""
