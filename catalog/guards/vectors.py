"""Vector files of users: labels and crop masks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from catalog.guards.refusal import Refuse, refusing


@contextmanager
def vector_errors(refuse: Refuse) -> Iterator[None]:
    """Turn what GDAL, GEOS and PROJ raise of a file that is damaged or isn't what it says into the caller's error."""
    from pyogrio import errors  # brings geopandas, slowly
    from pyproj.exceptions import ProjError
    from shapely.errors import ShapelyError

    foreign = (
        *(errors.DataSourceError, errors.DataLayerError, errors.FeatureError, errors.FieldError, errors.GeometryError),
        errors.CRSError,
        ShapelyError,  # an open ring
        ProjError,
        *(UnicodeDecodeError, OverflowError, MemoryError),
        UnboundLocalError,  # pyogrio 0.11 to 0.12, of a coordinate system that can't be written as text
    )
    with refusing(foreign, refuse):
        yield
