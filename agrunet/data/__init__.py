"""Data that networks learn from and read: the training contract, folders of patches, crops of them, folds, and the public data sets.

It may import networks (for their limits), files, settings and errors.
"""
