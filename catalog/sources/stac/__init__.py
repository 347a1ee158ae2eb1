"""Products described by STAC: catalogues and APIs."""
