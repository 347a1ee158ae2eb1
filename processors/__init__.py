"""The work on pixels: plain functions from paths and settings to paths, without Prefect. Knows `catalog` and `agrunet`."""
