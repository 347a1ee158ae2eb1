"""Measures of speed: ingestion beside what bounds it, and the cube's layouts. Imported by the command line only."""
