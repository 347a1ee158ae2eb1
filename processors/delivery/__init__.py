"""The delivery: rasters, areas, picture, report and STAC item, made aside and swapped in. Imports the processors' protocol."""
