"""The delivery: rasters, areas, picture, report and STAC item, made aside and swapped in. Imports `season` and `rasters`, no processor."""
