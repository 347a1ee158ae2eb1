"""From an order to slabs of cells: the only place that reads pixels of products. Imports `cube` and the engine."""
