"""The georeference that GDAL's tools write beside a raster whose format took none (``B04.tif.aux.xml``): two values, and nothing else.

GDAL itself would take much more from such a file, other files and addresses too, so it isn't shown it.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree.ElementTree import ParseError  # documents are parsed by defusedxml

from affine import Affine
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.transform import array_bounds

_MOST = 2**20
"""Bytes; such files have some thousand."""

Georeference = tuple[CRS, Affine]


class Placed:
    """An open raster with the georeference that its own file lacks; all else is the raster's."""

    def __init__(self, dataset: Any, georeference: Georeference) -> None:
        self._dataset = dataset
        self.crs, self.transform = georeference

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in units of the CRS."""
        west, south, east, north = array_bounds(self._dataset.height, self._dataset.width, self.transform)
        return west, south, east, north

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dataset.close()


def sidecar_of(address: str) -> Path | None:
    """The file beside a raster of this machine; None where there is none."""
    beside = Path(f"{address}.aux.xml")
    return beside if beside.is_file() else None


def georeference_in(sidecar: Path) -> Georeference | None:
    """Coordinate system and transform that a sidecar says; None where it says none that can be understood."""
    try:
        with sidecar.open("rb") as file:
            root = fromstring(file.read(_MOST), forbid_dtd=True)
        numbers = [float(text) for text in (root.findtext("GeoTransform") or "").split(",")]
        crs = CRS.from_wkt((root.findtext("SRS") or "").strip())
    except (OSError, ParseError, DefusedXmlException, ValueError, LookupError, CRSError):
        return None
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        return None
    return crs, Affine.from_gdal(*numbers)
