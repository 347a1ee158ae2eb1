"""What is known about simulated products beside them: the crop of each pixel, the parcels, and what the sky was over each acquisition."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL, Window
from catalog.mission.scene import UNSEEN, Scene
from catalog.mission.sky import CLASSES
from catalog.mission.stac_writer import write_raster
from catalog.store import write_json, written_whole


def write_sky(folder: Path, name: str, scene: Scene) -> Path:
    """``<name>_sky.tif``, (H, W) at 10 m: values of `sky.CLASSES`, 255 beyond the swath; and ``<name>_clear.tif``, as the cube's own
    mask: 1 clear, 0 not, 255 unseen. Returns the latter's path. Raises `StoreError`."""
    write_raster(folder / f"{name}_sky.tif", scene.sky, scene.window, PIXEL, nodata=UNSEEN)
    path = folder / f"{name}_clear.tif"
    write_raster(path, clear(scene), scene.window, PIXEL, nodata=UNSEEN)
    write_json(folder / "sky_classes.json", {str(code): label for code, label in CLASSES.items()})
    return path


def clear(scene: Scene) -> npt.NDArray[np.uint8]:
    """(H, W): 1 clear, 0 not, 255 unseen."""
    return np.where(scene.sky == UNSEEN, UNSEEN, scene.sky == 0).astype(np.uint8)


def write_crops(path: Path, codes: npt.NDArray[np.uint16], window: Window) -> None:
    """(H, W) crop code of every pixel; 0 is none. Raises `StoreError`."""
    write_raster(path, codes, window, PIXEL, nodata=None)


def write_parcels(path: Path, parcels: geopandas.GeoDataFrame) -> None:
    """Polygons and what grew on them as GeoParquet, with ``synthetic`` in each row; whole or not at all. Raises `StoreError`."""
    with written_whole(path) as temporary:
        parcels.assign(synthetic=True).to_parquet(temporary, index=False)
