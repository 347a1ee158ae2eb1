"""Knowledge of what exists and where: areas, the grid, products, orders, models, maps, subscriptions. It imports no other room."""
