"""A trained network on disk: weights, configuration and model card. It may import data, networks, calibration and metrics."""
