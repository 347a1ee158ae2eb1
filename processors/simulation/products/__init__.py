"""Simulated products on disk: SAFE or STAC, with the truth beside them."""
