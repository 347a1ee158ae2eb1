"""What exists and where: areas, the grid, products, orders, models, maps, subscriptions. Knows no other room."""
