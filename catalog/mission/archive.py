"""An archive of the mission's products over an area, as SAFE or as STAC + COG, with the truth beside it. **All of it is synthetic.**

A product that is there whole is not made again; the settings are written first and the catalogue last. A SAFE product is as large as
a real one, no data where nothing was asked for; it is made in blocks, whatever its size. A STAC item holds the area's part of a tile,
which is in memory as a whole: 2.5 GB for all of a tile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import geopandas
import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from catalog.area import as_geojson
from catalog.errors import RequestError, StoreError
from catalog.grid import Window, to_zone, window_around
from catalog.mission.crops import CROPS
from catalog.mission.mission import VERSION, Mission
from catalog.mission.overpass import Overpass, home_zone, overpasses
from catalog.mission.products import Granule
from catalog.mission.safe_writer import write_safe
from catalog.mission.scene import UNSEEN, Scene
from catalog.mission.stac_writer import joined, write_catalogue, write_item
from catalog.mission.tiles import Tile
from catalog.mission.truth import write_crops, write_legend, write_parcels, write_sky, write_stages
from catalog.products import Level
from catalog.store import write_json

Form = Literal["safe", "stac"]
SETTINGS = "simulated.json"
_STEP = 6
"""Pixels of 10 m to which areas are widened: where pixels of 60 m begin."""

_BLOCK = 1020
"""Edge of the blocks in which the truth is made, pixels."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Where its parts lie."""

    folder: Path
    source: str
    """Address of the source that reads the products."""
    window: Window
    """Of the area, widened to pixels of 60 m."""
    labels: Path
    """Crop codes of every pixel, over the window."""
    legend: Path
    parcels: Path
    products: tuple[Path, ...]
    """Items, or ``.SAFE`` folders."""


def write_archive(
    folder: Path,
    mission: Mission,
    area: BaseGeometry,
    period: tuple[datetime, datetime],
    *,
    levels: Sequence[Level] = ("L2A",),
    form: Form = "stac",
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> Archive:
    """Write what is sensed of an area (longitude, latitude) in [start, end), and the truth of the year in which it ends.

    Only products of the area's own zone (`home_zone`). ``progress`` is told how many overpasses are done, and of how many. Raises
    `RequestError` where nothing is sensed, `StoreError` where the folder holds anything else or can't be written.
    """
    folder = folder.expanduser().resolve()
    epsg = home_zone(area)
    window = _widened(window_around(to_zone(area, epsg), epsg))
    found = [one for one in overpasses(area, epsg, *period) if one.timeline is not None]
    if not found:
        raise RequestError(
            f"nothing is sensed of the area from {period[0]:%Y-%m-%d} to {period[1]:%Y-%m-%d}. Ask for longer."
        )
    settings = {
        "version": VERSION, "seed": mission.seed, "farming": mission.farming, "area": as_geojson(area), "form": form,
        "start": period[0].isoformat(), "end": period[1].isoformat(), "levels": list(levels),
    }  # fmt: skip
    _check(folder, settings)
    archive = _Archive(folder, mission, window, levels, form, found[0].tile)
    archive.write_land(period[1].year if period[1].month > 1 else period[1].year - 1)
    products: list[Path] = []
    progress(0, len(found))
    for done, overpass in enumerate(found, start=1):
        products += archive.write(overpass)
        progress(done, len(found))
    source = f"safe:{folder / 'products'}"
    if form == "stac":
        source = f"stac:{write_catalogue(folder / 'products', products, settings)}"
    truth = folder / "truth"
    return Archive(
        folder=folder,
        source=source,
        window=window,
        labels=truth / "crops.tif",
        legend=truth / "crops.legend.csv",
        parcels=truth / "parcels.parquet",
        products=tuple(products),
    )


@dataclass(frozen=True, slots=True)
class _Archive:
    folder: Path
    mission: Mission
    window: Window
    levels: Sequence[Level]
    form: Form
    tile: Tile
    """Any of the area: its band of latitude decides the climate of the land's truth."""

    def write(self, overpass: Overpass) -> list[Path]:
        """The products of one overpass and its truth; nothing where none of the area lies in the swath."""
        part = self.window.intersection(overpass.window)
        timeline = overpass.timeline
        seen = None if part is None else overpass.seen(part)
        if part is None or timeline is None or (seen is not None and not seen.any()):
            return []
        granules = [overpass.granule(level, timeline) for level in self.levels]
        products = self.folder / "products"
        sky = np.full(part.shape, UNSEEN, np.uint8)
        paths = [_place(products, granule, self.form) for granule in granules]
        name = granules[0].stem
        truth = self.folder / "truth"
        if all(path.exists() for path in paths) and (truth / f"{name}_clear.tif").exists():
            return paths
        scenes = _noting(self.mission.scenes(overpass, part), part, sky)
        if self.form == "safe":
            write_safe(products, scenes, granules)
        else:
            whole = joined(scenes, part)
            for granule in granules:
                write_item(products, whole, granule)
        for _ in scenes:  # where the products were there already
            pass
        write_stages(truth, name, self._stages(overpass, part), part)
        write_sky(truth, name, sky, part)
        return paths

    def write_land(self, year: int) -> None:
        """Crops, parcels and the legend."""
        land, truth = self.mission.land(self.tile), self.folder / "truth"
        crops = np.zeros(self.window.shape, np.uint16)
        rows: dict[int, dict[str, Any]] = {}
        for block in self.window.blocks(_BLOCK):
            crops[self.window.slices(block)] = land.truth(block, year).crop
            for field in land.fields(block, year):
                crop = CROPS[field.crop]
                rows[field.number] = {
                    "field": field.number, "code": field.crop, "crop": crop.name, "hcat": crop.hcat, "year": year,
                    "geometry": field.polygon,
                }  # fmt: skip
        write_crops(truth / "crops.tif", crops, self.window)
        write_legend(truth / "crops.legend.csv")
        columns = ["field", "code", "crop", "hcat", "year", "geometry"]
        parcels = geopandas.GeoDataFrame(
            list(rows.values()), columns=columns, geometry="geometry", crs=self.window.epsg
        )
        write_parcels(truth / "parcels.parquet", parcels)

    def _stages(self, overpass: Overpass, part: Window) -> npt.NDArray[np.uint8]:
        land, stages = self.mission.land(overpass.tile), np.zeros(part.shape, np.uint8)
        for block in part.blocks(_BLOCK):
            stages[part.slices(block)] = land.stages(block, overpass.sensed.date())
        return stages


def _noting(scenes: Iterable[Scene], part: Window, sky: npt.NDArray[np.uint8]) -> Iterator[Scene]:
    """The scenes as they are, the truth of their sky noted down."""
    for scene in scenes:
        sky[part.slices(scene.window)] = scene.sky
        yield scene


def _place(products: Path, granule: Granule, form: Form) -> Path:
    if form == "safe":
        return products / f"{granule.name}.SAFE"
    return products / f"sentinel-2-{granule.level.lower()}" / granule.name / f"{granule.name}.json"


def _widened(window: Window) -> Window:
    left, bottom = window.left // _STEP * _STEP, window.bottom // _STEP * _STEP
    right, top = -(-window.right // _STEP) * _STEP, -(-window.top // _STEP) * _STEP
    return Window(window.epsg, left, top, right - left, top - bottom)


def _check(folder: Path, settings: dict[str, Any]) -> None:
    """The folder is new, empty, or holds part of this very archive. Raises `StoreError`."""
    path = folder / SETTINGS
    try:
        if path.is_file():
            if json.loads(path.read_bytes()) != settings:
                raise StoreError(f"{folder} holds an archive of other settings. Name another folder, or remove it.")
        elif folder.is_dir() and any(folder.iterdir()):
            raise StoreError(f"{folder} holds something else. Name a folder that is new or empty.")
    except ValueError as error:
        raise StoreError(f"{path} can't be understood ({error}). Remove {folder}, or name another folder.") from error
    except OSError as error:
        raise StoreError(f"can't read {folder}: {error}. Check the permissions.") from error
    write_json(path, settings)
