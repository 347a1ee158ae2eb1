"""Truth about simulated products, written beside them: crops and parcels, and of each acquisition the sky and how far the fields were."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL, Window
from catalog.storage.whole import write_json, written_whole
from processors.simulation.land.crops import CROPS, is_crop
from processors.simulation.land.growth_state import Stage
from processors.simulation.land.land import Field
from processors.simulation.mission.scene import UNSEEN, Scene
from processors.simulation.products.staging import Staging, staging_in, to_cog
from processors.simulation.sky.sky import CLASSES

Bytes = npt.NDArray[np.uint8]

NOTHING = 255
"""Value in the truth of the land: not looked at."""


@contextmanager
def acquisition_truth(folder: Path, name: str, window: Window) -> Iterator[Callable[[Scene, Bytes], None]]:
    """The function yielded takes a scene and the `growth.Stage` of its pixels (H, W); when the block ends well, all lies in the folder.

    COGs over the window: ``<name>_sky.tif``, values of `sky.CLASSES`, 255 where nothing was seen; ``<name>_clear.tif``, as the cube's own
    mask: 1 clear, 0 not, 255 unseen; ``<name>_stages.tif``, 255 where no scene was. Raises `StoreError`.
    """
    with _staged(folder, window, f"{name}_") as staging:

        def add(scene: Scene, stages: Bytes) -> None:
            staging.write("sky", PIXEL, scene.window, scene.sky, UNSEEN)
            staging.write("clear", PIXEL, scene.window, clear(scene), UNSEEN)
            staging.write("stages", PIXEL, scene.window, stages, NOTHING)

        yield add


def clear(scene: Scene) -> Bytes:
    """(H, W): 1 clear, 0 not, 255 unseen."""
    return np.where(scene.sky == UNSEEN, UNSEEN, scene.sky == 0).astype(np.uint8)


def crops_path(folder: Path, year: int) -> Path:
    """Path of what `write_crops` writes."""
    return folder / f"crops_{year}.tif"


def write_crops(folder: Path, year: int, parts: Iterable[tuple[Window, Bytes]], window: Window) -> None:
    """Codes of `CROPS` harvested in a year, a COG over a window, given by parts of it (H, W), 255 elsewhere; and their legend.

    Together they are labels that a request takes. Raises `StoreError`.
    """
    path = crops_path(folder, year)
    rows = [("source_code", "value", "name", "colour", "role")]
    rows += [
        (str(code), str(code), crop.name, crop.colour, "class")
        if is_crop(code)
        else (str(code), "0", "background", "#d9d6cf", "background")
        for code, crop in CROPS.items()
    ]
    with (
        written_whole(path.with_suffix(".legend.csv")) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(rows)
    with _staged(folder, window, path.stem) as staging:
        for part, codes in parts:
            staging.write("", PIXEL, part, codes, NOTHING)


def write_parcels(path: Path, fields: Iterable[Field], year: int, epsg: int) -> None:
    """Polygons and what grew on them as GeoParquet, with ``synthetic`` in each row; whole or not at all. Raises `StoreError`."""
    rows = sorted(fields, key=lambda field: field.number)
    parcels = geopandas.GeoDataFrame(
        {
            "field": [field.number for field in rows],
            "code": [field.crop for field in rows],
            "crop": [CROPS[field.crop].name for field in rows],
            "hcat": [CROPS[field.crop].hcat for field in rows],
            "year": year,
            "synthetic": True,
        },
        geometry=[field.polygon for field in rows],
        crs=f"EPSG:{epsg}",
    )
    with written_whole(path) as temporary:
        parcels.to_parquet(temporary, index=False)


def write_values(folder: Path) -> None:
    """Write ``values.json``: what the values of an acquisition's rasters mean. Raises `StoreError`."""
    values = {
        "sky": {str(code): label for code, label in CLASSES.items()} | {str(UNSEEN): "not seen"},
        "clear": {"0": "not clear", "1": "clear", str(UNSEEN): "not seen"},
        "stages": {str(stage.value): stage.name.lower() for stage in Stage} | {str(NOTHING): "not simulated"},
    }
    write_json(folder / "values.json", values)


@contextmanager
def _staged(folder: Path, window: Window, name: str) -> Iterator[Staging]:
    """Put what is written to the staging into the folder as ``<name><raster>.tif`` when the block ends well."""
    with staging_in(folder, window) as staging:
        yield staging
        staging.close()
        for raster in staging.paths:
            with written_whole(folder / f"{name}{raster.name}") as whole:
                to_cog(raster, whole)
