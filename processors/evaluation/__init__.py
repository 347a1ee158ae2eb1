"""Evaluation of delivered maps: samples drawn from a map, reference data read, and accuracy and areas estimated from both."""
