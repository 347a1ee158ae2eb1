"""A small delivery made by hand: rasters, season and facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from catalog.area import as_geojson
from catalog.grid import Window, to_lonlat
from catalog.legend import Legend, LegendClass
from catalog.scores import Score
from catalog.season_state import SeasonState
from processors.delivery.provenance import DeliveryFacts, ModelUsed
from processors.rasters import Variable, raster_writer
from processors.season import Season, SeasonAcquisition

NAN = float("nan")

LEGEND = Legend(
    entries=(
        LegendClass(value=0, name="not cropland", colour="#e6e2d8", role="background", source_codes=(9,)),
        LegendClass(value=1, name="winter wheat", colour="#e2b93b", source_codes=(1,)),
        LegendClass(value=2, name="maize", colour="#d1495b", source_codes=(2,)),
        LegendClass(value=5, name="sugar beet", colour="#3d5a80", source_codes=(5,)),
    )
)
WITHOUT_BACKGROUND = Legend(entries=LEGEND.classes)

CROP_MAP = Variable(name="crop_map", title="Crop", dtype="uint8", nodata=255, legend=LEGEND)
CONFIDENCE = Variable(name="confidence", title="Confidence of the crop map", dtype="float32", nodata=NAN)
NDVI = Variable(name="ndvi", title="NDVI", dtype="float32", bands=("2019-04", "2019-05", "2019-06"), nodata=NAN)
DEVIATION = Variable(
    name="ndvi_deviation",
    title="NDVI minus the mean",
    dtype="float32",
    bands=NDVI.bands,
    nodata=NAN,
    limits=(-0.4, 0.4),
)


WITH_CURVE = {
    "early": {
        "split": "hold-out",
        "points": [
            {"month": 3, "oa": 0.6, "miou": 0.3, "n_pixels": 900, "n_unmapped": 100},
            {"month": 4, "oa": 0.7, "miou": 0.4, "n_pixels": 950, "n_unmapped": 50},
            {"month": 5, "oa": 0.8, "miou": 0.5, "n_pixels": 1000, "n_unmapped": 0},
        ],
    }
}
"""Part of a checkpoint's configuration: its curve of accuracy over a season of March to May and the months before."""


def window(width: int, height: int) -> Window:
    return Window(32631, 56_000, 562_000, width, height)


def write_raster(folder: Path, variable: Variable, area: Window, values: npt.NDArray[Any]) -> Path:
    """A raster as the mosaic writes it; ``values``: (H, W) or (bands, H, W)."""
    path = folder / f"{variable.name}.tif"
    stacked = values if values.ndim == 3 else values[None]
    with raster_writer(path, variable, area) as raster:
        for block in area.blocks(512):
            raster.write(block, stacked[(slice(None), *area.slices(block))])
    return path


def crop_map_values(area: Window) -> npt.NDArray[np.uint8]:
    """Ten rows: 0 no data, 1 to 3 wheat, 4 to 6 maize, 7 and 8 sugar beet, the last not cropland; repeated downwards."""
    rows = np.array([255, 1, 1, 1, 2, 2, 2, 5, 5, 0], np.uint8)
    return np.repeat(np.resize(rows, area.height)[:, None], area.width, axis=1)


def crop_rasters(folder: Path, area: Window) -> dict[str, Path]:
    classes = crop_map_values(area)
    confidence = np.where(classes == 255, np.nan, 0.25 + 0.5 * (classes == 1)).astype(np.float32)
    return {
        "crop_map": write_raster(folder, CROP_MAP, area, classes),
        "confidence": write_raster(folder, CONFIDENCE, area, confidence),
    }


def vegetation_rasters(folder: Path, area: Window) -> dict[str, Path]:
    ndvi = np.stack([np.full(area.shape, level, np.float32) for level in (0.2, 0.5, 0.8)])
    return {
        "ndvi": write_raster(folder, NDVI, area, ndvi),
        "ndvi_deviation": write_raster(folder, DEVIATION, area, ndvi - 0.5),
    }


def season() -> Season:
    """Four candidates, three used."""
    start = datetime(2019, 4, 1, tzinfo=UTC)
    acquisitions = []
    for number, clear in enumerate((0.9, 0.1, 0.75, 1.0)):
        time = start + timedelta(days=9 + 20 * number, hours=10, minutes=50)
        acquisitions.append(
            SeasonAcquisition(
                id=f"S2A_{time:%Y%m%d}", time=time, platform="S2A", baseline="02.11",
                cloud_cover=None if number == 0 else 20.0, valid_fraction=1.0, clear_fraction=clear, sun_zenith=40.0,
                products=(f"S2A_MSIL2A_{time:%Y%m%d}_T31UES",), used=clear > 0.5,
                reason="" if clear > 0.5 else "clear over 10 % of the area, min_clear is 50 %",
            )
        )  # fmt: skip
    return Season(level="L2A", start=start, acquisitions=tuple(acquisitions), bands=("B04", "B08"))


def facts(area: Window | BaseGeometry, **changed: Any) -> DeliveryFacts:
    """Facts of a delivery over a window of the zone, or over a polygon (longitude, latitude)."""
    outline = to_lonlat(box(*area.bounds), area.epsg) if isinstance(area, Window) else area
    geometry = as_geojson(outline)
    values: dict[str, Any] = {
        "request": {"area": geometry, "year": 2019, "months": [4, 6], "source": "stac:catalog.json"},
        "request_digest": "0123456789ab",
        "processor": "crop-map",
        "processor_title": "Crop map",
        "processor_version": "1",
        "software_version": "0.1.0",
        "source": "stac:catalog.json",
        "source_id": "catalog-01234567",
        "level": "L2A",
        "synthetic": False,
        "year": 2019,
        "period": (datetime(2019, 4, 1, tzinfo=UTC), datetime(2019, 7, 1, tzinfo=UTC)),
        "state": SeasonState.of(2019, (4, 6), datetime(2026, 11, 1, tzinfo=UTC)),
        "season": season(),
        "left_out": ({"product": "S2A_CLOUDY", "reason": "98 % cloudy, max_cloud is 95"},),
        "model": ModelUsed(name="flanders", checksum="ab" * 32, summary={"bands": ["B04", "B08"]}),
        "scores": (
            Score(split="grouped k-fold", oa=0.924, miou=0.807, dice=0.873, n_pixels=3725),
            Score(split="hold-out", oa=0.574, miou=0.267, dice=0.368, n_pixels=3300, spread={"oa": 0.031}),
        ),
        "notes": ("Not masked to cropland: every pixel is shown as one of the crops.",),
        "epsg": 32631,
        "area": geometry,
        "seconds": {"ingest": 2.0, "thematic": 3.5},
        "created": datetime(2026, 11, 1, 12, 0, tzinfo=UTC),
    }
    return DeliveryFacts.model_validate({**values, **changed})
