"""Masks of the clear pixels of an acquisition, at both levels. Imports `cube` and `ingest`."""
