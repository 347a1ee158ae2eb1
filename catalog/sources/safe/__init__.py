"""SAFE products of all baselines: as folders, as archives, and as tiles in the AWS layout."""
