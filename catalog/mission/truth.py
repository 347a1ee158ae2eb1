"""What is known about simulated products beside them: crops and parcels, and of each acquisition the sky and how far the fields were."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioIOError

from catalog.errors import StoreError
from catalog.grid import PIXEL, Window
from catalog.mission.crops import CROPS, is_crop
from catalog.mission.growth import Stage
from catalog.mission.land import Field
from catalog.mission.scene import UNSEEN, Scene
from catalog.mission.sky import CLASSES
from catalog.mission.staging import Staging, to_cog
from catalog.store import write_json, written_whole

Bytes = npt.NDArray[np.uint8]

NOTHING = 255
"""In the truth of the land: not looked at."""


@contextmanager
def acquisition_truth(folder: Path, name: str, window: Window) -> Iterator[Callable[[Scene, Bytes], None]]:
    """The function yielded takes a scene and the `growth.Stage` of its pixels (H, W); when the block ends well, all lies in the folder.

    COGs over the window: ``<name>_sky.tif``, values of `sky.CLASSES`, 255 where nothing was seen; ``<name>_clear.tif``, as the cube's own
    mask: 1 clear, 0 not, 255 unseen; ``<name>_stage.tif``, 255 where no scene was. Raises `StoreError`.
    """
    with _staged(folder, window, name) as staging:

        def add(scene: Scene, stages: Bytes) -> None:
            staging.write("sky", PIXEL, scene.window, scene.sky, UNSEEN)
            staging.write("clear", PIXEL, scene.window, clear(scene), UNSEEN)
            staging.write("stage", PIXEL, scene.window, stages, NOTHING)

        yield add


def clear(scene: Scene) -> Bytes:
    """(H, W): 1 clear, 0 not, 255 unseen."""
    return np.where(scene.sky == UNSEEN, UNSEEN, scene.sky == 0).astype(np.uint8)


def write_crops(folder: Path, year: int, parts: Iterable[tuple[Window, Bytes]], window: Window) -> None:
    """``<year>_crop.tif``: a COG over a window of the codes of `CROPS` harvested in a year, given by parts of it (H, W), 255 elsewhere.

    Raises `StoreError`.
    """
    with _staged(folder, window, str(year)) as staging:
        for part, codes in parts:
            staging.write("crop", PIXEL, part, codes, NOTHING)


def write_parcels(path: Path, fields: Iterable[Field], year: int, epsg: int) -> None:
    """Polygons and what grew on them as GeoParquet, with ``synthetic`` in each row; whole or not at all. Raises `StoreError`."""
    rows = sorted(fields, key=lambda field: field.number)
    parcels = geopandas.GeoDataFrame(
        {
            "parcel": [field.number for field in rows],
            "year": year,
            "crop": [field.crop for field in rows],
            "name": [CROPS[field.crop].name for field in rows],
            "hcat": [CROPS[field.crop].hcat for field in rows],
            "synthetic": True,
        },
        geometry=[field.polygon for field in rows],
        crs=f"EPSG:{epsg}",
    )
    with written_whole(path) as temporary:
        parcels.to_parquet(temporary, index=False)


def write_legend(folder: Path) -> None:
    """``legend.json``: what the values of the rasters mean. Raises `StoreError`."""
    legend = {
        "sky": {str(code): label for code, label in CLASSES.items()} | {str(UNSEEN): "not seen"},
        "clear": {"0": "not clear", "1": "clear", str(UNSEEN): "not seen"},
        "stage": {str(stage.value): stage.name.lower() for stage in Stage} | {str(NOTHING): "not simulated"},
        "crop": {
            str(code): {
                "name": crop.name,
                "colour": crop.colour,
                "group": crop.group,
                "hcat": crop.hcat,
                "is_crop": is_crop(code),
            }
            for code, crop in CROPS.items()
        },
    }
    write_json(folder / "legend.json", legend)


@contextmanager
def _staged(folder: Path, window: Window, name: str) -> Iterator[Staging]:
    """What is written to the staging lies in the folder as ``<name>_<raster>.tif`` when the block ends well."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as temporary:
            staging = Staging(Path(temporary), window)
            try:
                yield staging
            finally:
                staging.close()
            for raster in sorted(Path(temporary).iterdir()):
                with written_whole(folder / f"{name}_{raster.name}") as whole:
                    to_cog(raster, whole)
    except (OSError, RasterioIOError) as error:
        raise StoreError(
            f"can't write into {folder}: {error}. Free some space or check the permissions, and run again."
        ) from error
