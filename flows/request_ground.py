"""Labels, crop mask and parcels of a request, opened: the one way from its fields to them, for its check as for its stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catalog.grid import Window
from catalog.zone import Zone
from flows.request import MapRequest
from processors.patches.labels import CropMask, Labels, open_crop_mask, open_labels
from processors.patches.places import Places, read_places
from processors.views.declared import Declared, open_declared


def request_labels(request: MapRequest, windows: Sequence[Window]) -> Labels | None:
    """The request's labels, or None. Raises `RequestError` where they can't be read."""
    if request.labels is None:
        return None
    return open_labels(
        Path(request.labels),
        None if request.legend is None else Path(request.legend),
        windows,
        request.labels_layer,
        request.labels_column,
        request.labels_radius,
    )


def request_crop_mask(request: MapRequest) -> CropMask | None:
    """The request's crop mask, or None. Raises `RequestError` where it can't be read."""
    return None if request.crop_mask is None else open_crop_mask(Path(request.crop_mask), request.crop_mask_layer)


def request_parcels(request: MapRequest, zone: Zone) -> Declared | None:
    """The parcels that the request names, those in its area, or None. Raises `RequestError` where they can't be read or none lies there."""
    if request.parcels is None:
        return None
    return open_declared(Path(request.parcels), zone.geometry, zone.epsg, request.parcels_layer)


def request_places(request: MapRequest, zone: Zone) -> Places:
    """The points or parcels that the request names as labels, those in its area. Raises `RequestError` where there are none."""
    return read_places(
        Path(str(request.labels)),
        zone.geometry,
        zone.epsg,
        None if request.legend is None else Path(request.legend),
        request.labels_layer,
        request.labels_column,
        request.labels_radius,
    )
