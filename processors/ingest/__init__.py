"""Ingestion, from an order to slabs of cells: nothing else reads pixels of products. Imports `cube` and the engine."""
