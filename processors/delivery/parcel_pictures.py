"""Pictures of one parcel for a page: its NDVI curve as SVG, and chips of rasters around it with its outline."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from markupsafe import Markup
from PIL import Image
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterWindow

from catalog.grid import PIXEL
from processors.delivery.page.packing import data_address

AROUND = 6
"""Pixels of a chip around the parcel."""

LARGEST = 128
"""Longest side of a chip, pixels: of a larger parcel every so many are shown."""

SHOWN = 170
"""Longest side of a chip on the page, its own pixels."""

_WIDTH, _HEIGHT = 430, 130
_LEFT, _BOTTOM, _TOP, _RIGHT = 34, 20, 8, 8
_LOW, _HIGH = -0.2, 1.0


def curve_picture(
    days: Sequence[date], ndvi: npt.NDArray[np.float32], clear: npt.NDArray[np.bool_] | None
) -> Markup | None:
    """The curve (T,) of a parcel as SVG; None where no date is clear. ``clear`` (T,): dates at which half of it is."""
    known = np.flatnonzero(np.isfinite(ndvi))
    if not known.size:
        return None
    first, last = days[0], days[-1]
    span = max(1, (last - first).days)

    def x(day: date) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (day - first).days / span

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (_HIGH - min(_HIGH, max(_LOW, value))) / (_HIGH - _LOW)

    sure = [int(i) for i in known if clear is None or clear[i]]
    line = " ".join(f"{x(days[i]):.1f},{y(float(ndvi[i])):.1f}" for i in sure)
    peak = max(sure or known.tolist(), key=lambda i: float(ndvi[i]))
    parts = [
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="NDVI of {len(known)} dates, highest '
        f'{float(ndvi[peak]):.2f} on {days[peak].isoformat()}" font-size="11" fill="#5d6b63">'
    ]
    parts += [
        f'<path d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}" stroke="#dfe5e0"/>'
        f'<text x="{_LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value in (0.0, 0.5, 1.0)
    ]
    parts.append(f'<polyline points="{line}" fill="none" stroke="#2f7d4f" stroke-width="1.5"/>')
    for i in known.tolist():
        fill = "#2f7d4f" if clear is None or clear[i] else "#ffffff"
        parts.append(
            f'<circle cx="{x(days[i]):.1f}" cy="{y(float(ndvi[i])):.1f}" r="3" fill="{fill}" stroke="#2f7d4f">'
            f"<title>{days[i].isoformat()} {float(ndvi[i]):.2f}</title></circle>"
        )
    foot = _HEIGHT - 5
    parts.append(f'<text x="{_LEFT}" y="{foot}">{first.isoformat()}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{foot}" text-anchor="end">{last.isoformat()}</text></svg>')
    return Markup("".join(parts))  # noqa: S704 - numbers and dates alone


def chip_picture(raster: Any, polygon: Any, colours: npt.NDArray[np.uint8] | None, what: str) -> Markup | None:
    """The part of an open raster around a parcel, with its outline, as SVG; None where they don't meet.

    ``colours`` (256, 3): of the values of a class map; None for a picture of three bands. ``what``: plain words that name the picture.
    """
    west, south, east, north = shapely.bounds(polygon)
    transform = raster.transform
    left = math.floor((west - transform.c) / PIXEL) - AROUND
    top = math.floor((transform.f - north) / PIXEL) - AROUND
    right = math.ceil((east - transform.c) / PIXEL) + AROUND
    bottom = math.ceil((transform.f - south) / PIXEL) + AROUND
    column, row = max(0, left), max(0, top)
    width, height = min(raster.width, right) - column, min(raster.height, bottom) - row
    if width <= 0 or height <= 0:
        return None
    step = max(1, math.ceil(max(width, height) / LARGEST))
    shape = (-(-height // step), -(-width // step))
    bands = [1] if colours is not None else [1, 2, 3]
    values = raster.read(
        bands,
        window=RasterWindow(column, row, width, height),
        out_shape=(len(bands), *shape),
        resampling=Resampling.nearest,
    )
    pixels = colours[values[0]] if colours is not None else np.moveaxis(values, 0, -1)
    picture = Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8)))
    buffer = io.BytesIO()
    if colours is None:
        picture.save(buffer, "JPEG", quality=85)
        kind = "jpeg"
    else:
        picture.quantize(256).save(buffer, "PNG", optimize=True)
        kind = "png"
    address = data_address(buffer.getvalue(), f"image/{kind}")
    x0, y0 = transform.c + PIXEL * column, transform.f - PIXEL * row
    outline = _path(polygon, x0, y0)
    stroke, scale = max(width, height) / 90, SHOWN / max(width, height)
    return Markup(  # noqa: S704 - numbers, and words of ours
        f'<svg class="chip" viewBox="0 0 {width} {height}" width="{scale * width:.0f}" height="{scale * height:.0f}" role="img" '
        f'aria-label="{what}">'
        f'<image href="{address}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
        f'<path d="{outline}" fill="none" stroke="#000" stroke-width="{2 * stroke:.2f}"/>'
        f'<path d="{outline}" fill="none" stroke="#fff" stroke-width="{stroke:.2f}"/></svg>'
    )


def _path(polygon: Any, x0: float, y0: float) -> str:
    """The rings of a polygon in pixels from a corner; what is finer than a third of a pixel is left out."""
    simple = shapely.simplify(polygon, PIXEL / 3)
    rings = []
    for part in shapely.get_parts(simple):
        for ring in (part.exterior, *part.interiors):
            points = [f"{(x - x0) / PIXEL:.1f} {(y0 - y) / PIXEL:.1f}" for x, y in shapely.get_coordinates(ring)]
            rings.append(f"M{'L'.join(points)}Z")
    return "".join(rings)
