"""A training set from the simulated mission, in the layout of PASTIS (Garnot and Landrieu, 2021). **All of it is synthetic.**

Each patch lies somewhere else on a land of its own: soils, climate, weather, fields and skies differ between any two. Beside what
PASTIS holds stand the clear pixels of each date (`CLEAR_S2`), by the mask that maps are made with. The three layers of an annotation
are the crop's code (0 is none), the field's number in the patch from 1 on (0 is none; from the 255th on they share one) and how much of
the pixel that crop covers, %. A patch is whole when its description in `PATCHES` is there, which is written last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from shapely import unary_union
from shapely.geometry import Point, box
from shapely.geometry.base import BaseGeometry

from catalog.area import as_geojson
from catalog.errors import RequestError
from catalog.grid import PIXEL, Window, to_lonlat, to_zone, utm_zone
from catalog.orbits.tiles import Tile, tiles_meeting
from catalog.products import BANDS, CROP_BANDS, LEVEL_BANDS, NO_DATA, SATURATED, Asset, Frozen, season_period
from catalog.storage.whole import write_json, written_whole
from processors.ingest.cube_numbers import repeat_into, write_reflectance
from processors.mask.acquisition import clear_by_classes
from processors.mask.options import L2AMask
from processors.simulation.claimed_folder import MissionSettings, Progress, claimed, write_pieces
from processors.simulation.land.crops import WOOD
from processors.simulation.mission.granule import NOTICE
from processors.simulation.mission.mission import Mission
from processors.simulation.mission.overpass import BASELINE, Overpass, overpasses
from processors.simulation.noise.seeded import keys

YEAR = 2019
"""Year of the harvest, as in PASTIS, whose dates its readers count from September 2018."""

WORLD = "world"
"""Farming of a set whose patches lie in several regions of the northern temperate zone, each farmed as it is there."""

REGIONS: Mapping[str, tuple[float, tuple[float, float, float, float]]] = MappingProxyType(
    {
        "france": (0.34, (-1.0, 43.0, 17.0, 54.0)),
        "mediterranean": (0.13, (-8.0, 37.0, 18.0, 45.0)),
        "black-sea": (0.12, (19.0, 44.0, 40.0, 52.0)),
        "corn-belt": (0.14, (-100.0, 38.0, -76.0, 46.0)),
        "delta": (0.08, (-94.0, 31.0, -80.0, 37.0)),
        "prairies": (0.09, (-114.0, 45.0, -97.0, 53.0)),
        "california": (0.10, (-122.5, 36.5, -119.5, 40.5)),
    }
)
"""Shares of a set of the world, and longitude and latitude that patches of a farming lie in."""

FOLDS = 5
MAX_CLOUD = 95.0
"""Dates whose sky is cloudier are left out, %, as a request leaves them out."""

METADATA, NORMALISATION = "metadata.geojson", "NORM_S2_patch.json"
_LARGEST = 32_767
"""Largest number of 16 bits with a sign, as in PASTIS: brighter and saturated ones are clipped to it. No field is as bright."""

_SHIFTED = Asset(href="", offset=-1000)
_MARGIN = math.ceil(L2AMask().dilation / PIXEL)


class PatchSettings(MissionSettings):
    """Settings of a training set."""

    further: ClassVar[tuple[str, ...]] = (WORLD,)

    count: Annotated[int, Field(ge=FOLDS, le=1_000_000, description="number of patches")]
    size: Annotated[int, Field(ge=16, le=1024, description="edge of a patch, pixels of 10 m")] = 128
    months: Annotated[
        tuple[Annotated[int, Field(ge=1, le=12)], Annotated[int, Field(ge=1, le=12)]],
        Field(description="first and last month of the dates"),
    ] = (9, 8)
    min_clear: Annotated[
        float, Field(ge=0, le=1, description="dates with less of the sky over the patch clear are left out")
    ] = 0.0


class SimulatedPatch(Frozen):
    """One patch as its file in `PATCHES` describes it."""

    tile: str
    epsg: int
    left: int
    top: int
    dates: tuple[date, ...]
    pixels: Annotated[dict[int, int], Field(description="by code of the crop, 0 what is none")]


class Summary(Frozen):
    """Summary of a training set."""

    patches: int
    made: Annotated[int, Field(description="of them now")]
    pixels: Annotated[dict[int, int], Field(description="by code of the crop, 0 what is none")]
    dates: Annotated[float, Field(description="mean of a patch")]


@dataclass(frozen=True, slots=True, eq=False)
class DateOfPatch:
    """One acquisition over one window."""

    values: npt.NDArray[np.uint16]
    """(10, H, W)"""
    clear: npt.NDArray[np.bool_]


def write_patches(folder: Path, settings: PatchSettings, processes: int, progress: Progress | None = None) -> Summary:
    """Write what a set lacks, in so many processes; the metadata last. The folder may hold part of the same set.

    Raises `StoreError` where it holds another one, or can't be written.
    """
    folder = folder.expanduser().resolve()
    tell = progress or (lambda done, total: None)  # noqa: ARG005
    with claimed(folder, settings, growing="count"):
        missing = [index for index in range(settings.count) if not _description(folder, index).is_file()]
        there = settings.count - len(missing)
        tell(there, settings.count)
        write_pieces(
            write_patch,
            [(folder, settings, index) for index in missing],
            processes,
            lambda done: tell(there + done, settings.count),
        )
        return _finish(folder, settings, len(missing))


def write_patch(folder: Path, settings: PatchSettings, index: int) -> None:
    """Simulate one patch and write its files, its description last. Raises `RequestError` where no date is left of it."""
    mission, tile, window = site_of(settings, index)
    dates = dict(_dates(mission, tile, window, settings))
    if not dates:
        raise RequestError(
            f"patch {index} has no date in months {settings.months[0]} to {settings.months[1]} with {settings.min_clear:.0%} "
            "of the sky clear. Choose more months or a smaller min_clear."
        )
    values = np.minimum(np.stack([one.values for one in dates.values()]), _LARGEST).astype(np.int16)
    truth = mission.land(tile).truth(window, YEAR)
    crop = np.where(truth.crop < WOOD, truth.crop, 0).astype(np.uint8)
    _, parcel = np.unique(truth.field, return_inverse=True)  # 0 where there is any pixel off the fields
    parcel = np.where(truth.field < 0, 0, np.maximum(parcel.reshape(crop.shape), 1))
    share = np.round(100 * truth.share)
    _save(_file(folder, "DATA_S2", "S2", index), values)
    _save(_file(folder, "CLEAR_S2", "CLEAR", index), np.stack([one.clear for one in dates.values()]))
    _save(
        _file(folder, "ANNOTATIONS", "TARGET", index),
        np.stack([crop, np.minimum(parcel, 255), share]).astype(np.uint8),
    )
    codes, counts = np.unique(crop, return_counts=True)
    described = SimulatedPatch(
        tile=tile.name, epsg=window.epsg, left=window.left, top=window.top, dates=tuple(dates),
        pixels=dict(zip(codes.tolist(), counts.tolist(), strict=True)),
    )  # fmt: skip
    write_json(_description(folder, index), described.model_dump(mode="json"))


def site_of(settings: PatchSettings, index: int) -> tuple[Mission, Tile, Window]:
    """Mission, tile and window of a patch."""
    seed = int(keys(settings.seed, index, 0x5E7)) % 10**9
    random, half = np.random.default_rng([seed, 0x91ACE]), settings.size // 2
    farming = settings.farming
    if farming == WORLD:
        shares = np.array([share for share, _ in REGIONS.values()])
        farming = str(random.choice(list(REGIONS), p=shares / shares.sum()))
    region = _region(farming)
    while True:
        longitude, latitude = (float(random.uniform(region[axis], region[axis + 2])) for axis in (0, 1))
        centre, epsg = Point(longitude, latitude), utm_zone(longitude, latitude)
        (x, y), *_ = to_zone(centre, epsg).coords
        window = Window(epsg, round(x) // PIXEL - half, round(y) // PIXEL + half, settings.size, settings.size)
        for tile in tiles_meeting(centre):
            around = window.widened(_MARGIN)
            if tile.epsg == epsg and tile.window.intersection(around) == around:
                return Mission(seed, farming), tile, window


def _region(farming: str) -> tuple[float, float, float, float]:
    return REGIONS.get(farming, REGIONS["france"])[1]


def footprint(farming: str) -> BaseGeometry:
    """Longitudes and latitudes that the patches of a set lie in."""
    names = list(REGIONS) if farming == WORLD else [farming]
    return unary_union([box(*_region(name)) for name in names])


def _dates(mission: Mission, tile: Tile, window: Window, settings: PatchSettings) -> Iterator[tuple[date, DateOfPatch]]:
    """Overpasses by day, the first of each day; dates without any data are left out."""
    start, end = season_period(YEAR, settings.months)
    last: date | None = None
    for overpass in overpasses(to_lonlat(box(*window.bounds), window.epsg), window.epsg, start, end):
        day = overpass.sensed.date()
        if overpass.tile != tile or day == last or mission.cloud_cover(overpass) > MAX_CLOUD:
            continue
        if settings.min_clear and (mission.sky_classes(overpass, window) == 0).mean() < settings.min_clear:
            continue
        if (made := date_of(mission, overpass, window)) is not None:
            last = day
            yield day, made


def date_of(mission: Mission, overpass: Overpass, window: Window) -> DateOfPatch | None:
    """Pixels that the cube would hold of an overpass, and the mask that would be made; None where it holds nothing.

    The window and 60 m around it lie in the tile.
    """
    scenes = list(mission.scenes(overpass, window.widened(_MARGIN)))
    if not scenes:
        return None
    (scene,) = scenes
    rows, columns = scene.window.slices(window)

    def cut(numbers: npt.NDArray[Any], metres: int) -> npt.NDArray[Any]:
        step, out = metres // PIXEL, np.empty(window.shape, numbers.dtype)
        part = numbers[rows.start // step :, columns.start // step :]
        repeat_into(part, step, rows.start % step, columns.start % step, out)
        return out

    values = np.empty((len(CROP_BANDS), *window.shape), np.uint16)
    for band, out in zip(CROP_BANDS, values, strict=True):
        write_reflectance(cut(scene.l2a[band], BANDS[band].resolution), _SHIFTED, out)
    if not (values != NO_DATA).all(axis=0).any():
        return None
    # What the cube's mask takes for clear: as it is classified, where all bands of the level have data, and none is saturated.
    clear = clear_by_classes(scene.scl.repeat(2, axis=0).repeat(2, axis=1), None, L2AMask())[rows, columns]
    for band in LEVEL_BANDS["L2A"]:
        numbers = cut(scene.l2a[band], BANDS[band].resolution)
        clear &= (numbers != NO_DATA) & (numbers != SATURATED)
    return DateOfPatch(values, clear)


def _finish(folder: Path, settings: PatchSettings, made: int) -> Summary:
    """Write the metadata from the patches' descriptions."""
    described = [
        SimulatedPatch.model_validate_json(_description(folder, index).read_text(encoding="utf-8"))
        for index in range(settings.count)
    ]
    write_json(folder / NORMALISATION, _statistics(folder, settings.count))
    features = [
        {
            "type": "Feature",
            "id": str(index),
            "properties": {
                "ID_PATCH": index,
                "Fold": fold_of(index),
                "TILE": f"t{one.tile.lower()}",
                "dates-S2": {str(number): int(f"{day:%Y%m%d}") for number, day in enumerate(one.dates)},
            },
            "geometry": as_geojson(to_lonlat(box(*_window(one, settings.size).bounds), one.epsg)),
        }
        for index, one in enumerate(described)
    ]
    write_json(
        folder / METADATA,
        {
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
            "cropline": {
                "synthetic": True,
                "notice": NOTICE,
                "made_from": settings.model_dump(mode="json"),
                # All of a region is farmed and clouded alike: what is learnt holds all over it.
                "footprint": as_geojson(footprint(settings.farming)),
                "months": settings.months,
                "baselines": [BASELINE],
                "min_clear": settings.min_clear,
                "min_acquisitions": 5,
                "hold_out": "One fold in five: simulated lands of their own, of which no field was learnt from.",
            },
            "features": features,
        },
    )
    pixels: dict[int, int] = {}
    for one in described:
        for code, count in one.pixels.items():
            pixels[code] = pixels.get(code, 0) + count
    dates = sum(len(one.dates) for one in described) / settings.count
    return Summary(patches=settings.count, made=made, pixels=dict(sorted(pixels.items())), dates=round(dates, 1))


def fold_of(index: int) -> int:
    """1 to 5. Lands differ between patches, so any cut into folds is field-disjoint."""
    return index % FOLDS + 1


def _statistics(folder: Path, count: int) -> dict[str, Any]:
    """Mean and standard deviation of each band over all pixels with data, by fold, as the authors of PASTIS give them."""
    sums = np.zeros((FOLDS, 3, len(CROP_BANDS)))
    for index in range(count):
        values = np.load(_file(folder, "DATA_S2", "S2", index), allow_pickle=False).astype(np.float64)
        there = values > 0
        axes = (0, 2, 3)
        sums[fold_of(index) - 1] += there.sum(axis=axes), values.sum(axis=axes), (values**2).sum(axis=axes)
    number, total, squares = sums.swapaxes(0, 1)
    mean = total / np.maximum(number, 1)
    deviation = np.sqrt(np.maximum(squares / np.maximum(number, 1) - mean**2, 1e-6))
    return {f"Fold_{fold + 1}": {"mean": mean[fold].tolist(), "std": deviation[fold].tolist()} for fold in range(FOLDS)}


def _window(patch: SimulatedPatch, size: int) -> Window:
    return Window(patch.epsg, patch.left, patch.top, size, size)


def _file(folder: Path, kind: str, prefix: str, index: int) -> Path:
    return folder / kind / f"{prefix}_{index}.npy"


def _description(folder: Path, index: int) -> Path:
    return folder / "PATCHES" / f"{index}.json"


def _save(path: Path, values: npt.NDArray[Any]) -> None:
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)
