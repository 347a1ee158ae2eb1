"""What a request is handed: rasters, areas, picture, report and STAC item, made aside and swapped in. Imports the processors' protocol."""
