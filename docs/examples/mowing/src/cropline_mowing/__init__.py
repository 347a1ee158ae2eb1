"""When and how often grassland was cut, from the NDVI that it loses between two passes of one relative orbit."""
