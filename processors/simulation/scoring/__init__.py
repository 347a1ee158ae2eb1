"""Deliveries, products and the land beside what is true: scores and pictures."""
