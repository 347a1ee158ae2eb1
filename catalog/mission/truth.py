"""What is known about simulated products beside them: the crop of each pixel, the parcels, and what the sky was over each acquisition."""

from __future__ import annotations

import csv
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL, Window
from catalog.mission.crops import CROPS, is_crop
from catalog.mission.growth import Stage
from catalog.mission.scene import UNSEEN
from catalog.mission.sky import CLASSES
from catalog.mission.stac_writer import write_raster
from catalog.store import write_json, written_whole

Bytes = npt.NDArray[np.uint8]


def write_sky(folder: Path, name: str, sky: Bytes, window: Window) -> Path:
    """``<name>_sky.tif``, (H, W) at 10 m: values of `sky.CLASSES`, 255 beyond the swath; and ``<name>_clear.tif``, as the cube's own
    mask: 1 clear, 0 not, 255 unseen. Returns the latter's path. Raises `StoreError`."""
    write_raster(folder / f"{name}_sky.tif", sky, window, PIXEL, nodata=UNSEEN)
    path = folder / f"{name}_clear.tif"
    write_raster(path, clear(sky), window, PIXEL, nodata=UNSEEN)
    write_json(folder / "sky_classes.json", {str(code): label for code, label in CLASSES.items()})
    return path


def clear(sky: Bytes) -> Bytes:
    """(H, W): 1 clear, 0 not, 255 unseen."""
    return np.where(sky == UNSEEN, UNSEEN, sky == 0).astype(np.uint8)


def write_stages(folder: Path, name: str, stages: Bytes, window: Window) -> None:
    """``<name>_stages.tif``, (H, W) at 10 m: `growth.Stage` of what covers most of each pixel. Raises `StoreError`."""
    write_raster(folder / f"{name}_stages.tif", stages, window, PIXEL, nodata=None)
    write_json(folder / "stages.json", {str(stage.value): stage.name.lower() for stage in Stage})


def write_legend(path: Path) -> None:
    """What the codes of `write_crops` mean, as a request's labels want it. Raises `StoreError`."""
    rows = [("source_code", "value", "name", "colour", "role")]
    rows += [
        (str(crop.code), str(crop.code), crop.name, crop.colour, "class")
        for crop in CROPS.values()
        if is_crop(crop.code)
    ]
    rows += [(str(code), "0", "background", "#d9d6cf", "background") for code in CROPS if not is_crop(code)]
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_crops(path: Path, codes: npt.NDArray[np.uint16], window: Window) -> None:
    """(H, W) crop code of every pixel; 0 is none. Raises `StoreError`."""
    write_raster(path, codes, window, PIXEL, nodata=None)


def write_parcels(path: Path, parcels: geopandas.GeoDataFrame) -> None:
    """Polygons and what grew on them as GeoParquet, with ``synthetic`` in each row; whole or not at all. Raises `StoreError`."""
    with written_whole(path) as temporary:
        parcels.assign(synthetic=True).to_parquet(temporary, index=False)
