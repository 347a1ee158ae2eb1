"""An archive of the simulated mission's products over an area, with the truth beside it. **All of it is synthetic.**

Only the parts of tiles around the area are simulated; the rest of a product is no data. An acquisition is whole when its products have
their names, which they get last, after its truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from catalog.errors import RequestError
from catalog.grid import Window, to_zone, window_around
from catalog.orbits.tiles import Tile
from catalog.products import Frozen, Level
from processors.simulation.claimed_folder import MissionSettings, Progress, claimed, write_pieces
from processors.simulation.instrument.instrument import MARGIN, whole_pixels
from processors.simulation.mission.granule import Granule, stamp
from processors.simulation.mission.overpass import Overpass, home_zone, overpasses
from processors.simulation.mission.scene import Scene, aligned, blocks_of, with_margin
from processors.simulation.products.safe_writer import safe_path, write_safe
from processors.simulation.products.stac_writer import item_path, write_catalogue, write_items
from processors.simulation.products.truth_writer import (
    acquisition_truth,
    crops_path,
    write_crops,
    write_parcels,
    write_values,
)

PRODUCTS, TRUTH = "products", "truth"
"""Folders in the archive."""


class ProductSettings(MissionSettings):
    """Settings of an archive."""

    area: Annotated[dict[str, Any], Field(description="GeoJSON geometry, longitude and latitude")]
    start: AwareDatetime
    end: Annotated[AwareDatetime, Field(description="what is sensed from then on is left out")]
    levels: Annotated[tuple[Level, ...], Field(min_length=1)] = ("L2A",)
    format: Annotated[Literal["safe", "stac"], Field(description="SAFE folders, or STAC items with COGs")] = "stac"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"the end, {self.end:%Y-%m-%d %H:%M}, is not after the start, {self.start:%Y-%m-%d %H:%M}")
        return self


class Archive(Frozen):
    """Archive that was written."""

    acquisitions: int
    products: int
    made: Annotated[int, Field(description="acquisitions, of them now")]
    lost: Annotated[
        int, Field(description="acquisitions that a full memory on board lost: there is no product of them")
    ]
    source: Annotated[str, Field(description="address to order from")]
    labels: Annotated[tuple[Path, ...], Field(description="crops by year of harvest, as labels of a request")]


@dataclass(frozen=True, slots=True)
class _Acquisition:
    overpass: Overpass
    granules: tuple[Granule, ...]


def write_products(
    folder: Path, settings: ProductSettings, processes: int, progress: Progress | None = None
) -> Archive:
    """Write what an archive lacks, acquisition by acquisition, in so many processes. The folder may hold part of the same archive.

    Raises `RequestError` where nothing is seen of the area, `StoreError` where the folder holds something else or can't be written.
    """
    folder = folder.expanduser().resolve()
    tell = progress or (lambda done, total: None)  # noqa: ARG005
    found, lost = _acquisitions(settings)
    if not found:
        raise RequestError(
            f"area: no product from {settings.start:%Y-%m-%d %H:%M} to {settings.end:%Y-%m-%d %H:%M} UTC, {lost} lost on board. "
            "Choose a longer time; satellites come every second to fifth day."
        )
    with claimed(folder, settings):
        labels = _write_land(folder / TRUTH, settings, found[0].overpass.tile)
        missing = [one for one in found if not all(path.exists() for path in _paths(folder, settings, one.granules))]
        there = len(found) - len(missing)
        tell(there, len(found))
        pieces = [
            (folder, settings, one.platform, one.relative_orbit, one.tile.name, one.sensed)
            for one in (acquisition.overpass for acquisition in missing)
        ]
        write_pieces(write_acquisition, pieces, processes, lambda done: tell(there + done, len(found)))
        source = f"safe:{folder / PRODUCTS}"
        if settings.format == "stac":
            items = [path for one in found for path in _paths(folder, settings, one.granules)]
            source = f"stac:{write_catalogue(folder / PRODUCTS, items, settings.model_dump(mode='json'))}"
    return Archive(
        acquisitions=len(found),
        products=len(found) * len(settings.levels),
        made=len(missing),
        lost=lost,
        source=source,
        labels=labels,
    )


def write_acquisition(
    folder: Path, settings: ProductSettings, platform: str, relative_orbit: int, tile: str, sensed: datetime
) -> None:
    """Write the truth of one acquisition of a tile, then its products. Raises `StoreError` where they can't be written."""
    overpass = Overpass.at(platform, relative_orbit, Tile.from_name(tile), sensed)
    granules = _granules(settings, overpass)
    zone_area = _zone_area(settings)
    scenes = _scenes(settings, overpass, zone_area, folder / TRUTH)
    if settings.format == "safe":
        write_safe(folder / PRODUCTS, scenes, granules)
    else:
        write_items(folder / PRODUCTS, scenes, granules, _around(_blocks(overpass.tile.window, zone_area)))


def _scenes(settings: ProductSettings, overpass: Overpass, zone_area: BaseGeometry, truth: Path) -> Iterator[Scene]:
    """The scenes over an area; after the last one their truth is written."""
    mission, blocks, day = settings.mission, _blocks(overpass.tile.window, zone_area), overpass.sensed.date()
    land, inner = mission.land(overpass.tile), slice(MARGIN, -MARGIN)
    with acquisition_truth(truth, acquisition_name(overpass), _around(blocks)) as add:
        for block in blocks:
            for scene in mission.scenes(overpass, block):
                # The window that reflectance was made of, whose parcels are at hand.
                add(scene, land.stages(with_margin(scene.window), day)[inner, inner])
                yield scene


def acquisition_name(overpass: Overpass) -> str:
    """Text that the names of its truth's files begin with: products of both levels share them."""
    return f"{overpass.platform}_{stamp(overpass.datatake_start)}_R{overpass.relative_orbit:03d}_T{overpass.tile.name}"


def _write_land(folder: Path, settings: ProductSettings, tile: Tile) -> tuple[Path, ...]:
    """Write what is harvested in the years of the period; returns the crops' rasters."""
    land, zone_area = settings.mission.land(tile), _zone_area(settings)
    around = aligned(window_around(zone_area, tile.epsg))
    blocks = _blocks(around, zone_area)
    last = settings.end - timedelta(microseconds=1)
    labels = []
    for year in range(
        land.climate.season_day(settings.start.date()).year, land.climate.season_day(last.date()).year + 1
    ):
        labels.append(crops_path(folder, year))
        parcels = folder / f"parcels_{year}.parquet"
        if not parcels.is_file():  # written last
            write_crops(folder, year, ((block, land.truth(block, year).crop) for block in blocks), around)
            fields = {field.number: field for block in blocks for field in land.fields(block, year)}
            write_parcels(parcels, fields.values(), year, tile.epsg)
    write_values(folder)
    return tuple(labels)


def _acquisitions(settings: ProductSettings) -> tuple[list[_Acquisition], int]:
    """Acquisitions in which any of the area is seen, by time; and how many of them were lost."""
    found, lost = [], 0
    area, zone_area = shape(settings.area), _zone_area(settings)
    for overpass in overpasses(area, home_zone(area), settings.start, settings.end):
        if not any(_is_seen(overpass, block) for block in _blocks(overpass.tile.window, zone_area)):
            continue
        if granules := _granules(settings, overpass):
            found.append(_Acquisition(overpass, granules))
        else:
            lost += 1
    return found, lost


def _granules(settings: ProductSettings, overpass: Overpass) -> tuple[Granule, ...]:
    """Granules of each level; none where the acquisition was lost."""
    timeline = overpass.timeline
    return () if timeline is None else tuple(overpass.granule(level, timeline) for level in settings.levels)


def _is_seen(overpass: Overpass, block: Window) -> bool:
    seen = overpass.seen(block)
    return seen is None or bool(whole_pixels(seen, 60).any())


def _zone_area(settings: ProductSettings) -> BaseGeometry:
    area = shape(settings.area)
    return to_zone(area, home_zone(area))


def _blocks(tile: Window, zone_area: BaseGeometry) -> list[Window]:
    """Parts of a tile that are simulated: the blocks around an area that meet it."""
    blocks = blocks_of(tile, window_around(zone_area, tile.epsg))
    return [block for block in blocks if box(*block.bounds).intersects(zone_area)]


def _around(blocks: Sequence[Window]) -> Window:
    left, right = min(block.left for block in blocks), max(block.right for block in blocks)
    bottom, top = min(block.bottom for block in blocks), max(block.top for block in blocks)
    return Window(blocks[0].epsg, left, top, right - left, top - bottom)


def _paths(folder: Path, settings: ProductSettings, granules: Sequence[Granule]) -> list[Path]:
    path = safe_path if settings.format == "safe" else item_path
    return [path(folder / PRODUCTS, granule) for granule in granules]
