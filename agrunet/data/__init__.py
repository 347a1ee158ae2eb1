"""What networks learn from and read: folders of patches, crops of them, folds, and the public data sets."""
