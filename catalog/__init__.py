"""What exists and where: Sentinel-2 products, cells, models, maps, subscriptions. Knows no other room."""
