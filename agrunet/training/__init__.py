"""Training: the standard recipe and cross-validation, alone or under `torchrun`, with the search for settings."""
