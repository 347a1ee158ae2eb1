"""A trained network on disk: weights, configuration, model card and calibration."""
