"""Real regions that the simulated land is compared with, and what grows there in the land's terms.

A region's table is a series table (`agrunet.data.series_table`), Flanders a catalogue with declared crops (`land_realism`). The figures
of these series may be fitted to; the series themselves go nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from agrunet.data.series_table import read_series
from catalog.errors import RequestError
from catalog.products import CROP_BANDS
from processors.simulation.scoring import land_realism

_BLOCK = 0.5

SMALLEST_FIELD = 20
"""Pixels of a field that is scored, in Flanders."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of a region."""

    labels: tuple[str, ...]
    codes: tuple[int, ...]
    """Codes of `crops.CROPS` that are simulated for it, all alike often."""


@dataclass(frozen=True, slots=True)
class Region:
    """A region with real labels."""

    tables: tuple[str, ...]
    """Files below the folder of real data; none: the square of Flanders."""
    classes: Mapping[str, Kind]
    window: int
    """Days that a composite is made of."""
    days: tuple[int, int]
    """First and last day of the year that count."""


REGIONS: Mapping[str, Region] = MappingProxyType(
    {
        "arkansas": Region(
            ("us-2021/arkansas-north.parquet", "us-2021/arkansas-south.parquet"),
            {"maize": Kind(("corn",), (3,)), "soybean": Kind(("soybean",), (15,))},
            10,
            (1, 366),
        ),
        "california": Region(
            ("us-2021/california-north.parquet",),
            {
                "grapes": Kind(("grapes",), (8,)),
                "alfalfa": Kind(("alfalfa",), (14,)),
                "orchards": Kind(("almonds", "pistachios"), (16,)),
            },
            10,
            (1, 366),
        ),
        "canada": Region(
            ("canada-2017/canada-west.parquet",),
            {
                "maize": Kind(("Maize",), (3,)),
                "soybean": Kind(("Soya beans",), (15,)),
                "spring cereals": Kind(("Spring wheat",), (6,)),
                "winter wheat": Kind(("Winter wheat",), (2,)),
                "grassland": Kind(("Permanent grass crops",), (1,)),
            },
            30,
            (91, 334),
        ),
        "flanders": Region(
            (),
            {
                "winter wheat": Kind((), (2,)),
                "maize": Kind((), (3,)),
                "barley": Kind((), (4, 6)),
                "potato": Kind((), (13,)),
                "sugar beet": Kind((), (9,)),
                "grassland": Kind((), (1,)),
            },
            0,
            (1, 212),
        ),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class RealSeries:
    """N real points or pixels over T dates."""

    days: npt.NDArray[np.int64]
    """(T,): days of the year."""
    values: npt.NDArray[np.uint16]
    """(N, T, C): reflectance x 10000, 0 where not clear."""
    bands: tuple[str, ...]
    label: npt.NDArray[np.int64]
    """(N,): positions in the region's classes."""
    longitude: npt.NDArray[np.float64]
    latitude: npt.NDArray[np.float64]
    group: npt.NDArray[np.int64]
    """(N,): what is learnt and tested together, fields or blocks of half a degree."""
    scored: npt.NDArray[np.bool_]
    """(N,): pixels of a field that is scored; all points are."""


def read_region(folder: Path, name: str) -> RealSeries:
    """A region's labelled series. Raises `RequestError` for an unknown region, `AgrunetError` for a table that can't be read."""
    if name not in REGIONS:
        raise RequestError(f"no region {name!r}; there are {', '.join(REGIONS)}.")
    region = REGIONS[name]
    return _points(folder, region) if region.tables else _square(folder, region)


def _points(folder: Path, region: Region) -> RealSeries:
    tables = [read_series(folder / table) for table in region.tables]
    bands, days = tables[0].bands, tables[0].days[tables[0].dates(0)].astype(np.int64)
    class_of = {label: number for number, kind in enumerate(region.classes.values()) for label in kind.labels}
    kept = (days >= region.days[0]) & (days <= region.days[1])
    values, label, places = [], [], []
    for table in tables:
        of_class = np.array([class_of.get(text or "", -1) for text in table.labels])
        here = of_class >= 0
        # All rows of a composited table have the same dates.
        series = table.values.reshape(len(table), len(days), len(bands))
        values.append(series[here][:, kept])
        label.append(of_class[here])
        places.append(np.stack([table.lon[here], table.lat[here]]))
    longitude, latitude = np.concatenate(places, axis=1)
    joined = np.concatenate(label)
    blocks = np.floor(np.stack([longitude, latitude]) / _BLOCK)
    _, group = np.unique(blocks, axis=1, return_inverse=True)
    return RealSeries(
        days[kept], np.concatenate(values), bands, joined, longitude, latitude, group, np.ones(len(joined), bool)
    )


def _square(folder: Path, region: Region) -> RealSeries:
    square = land_realism.read(folder)
    used = [
        time
        for time, day in enumerate(square.days)
        if day.timetuple().tm_yday <= region.days[1] and square.clear[time].mean() > 0.5
    ]
    numbers = np.where(square.clear[used][:, None], np.round(square.values[used] * 1e4), 0).astype(np.uint16)
    count = len(square.label)
    return RealSeries(
        np.array([square.days[time].timetuple().tm_yday for time in used]),
        numbers.transpose(2, 0, 1),
        CROP_BANDS,
        square.label,
        np.full(count, 3.0),
        np.full(count, land_realism.LATITUDE),
        *_fields(square),
    )


def _fields(square: land_realism.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The pixels' fields (4-connected), and which of these are scored: of `SMALLEST_FIELD` pixels, of classes with two such fields."""
    if square.position is None:
        raise ValueError("simulated pixels have no place in the square")
    shape = tuple(square.position.max(axis=1) + 1)
    inside, numbers = np.zeros(shape, bool), np.zeros(shape, np.int64)
    for number in np.unique(square.label):
        plane = np.zeros(shape, bool)
        plane[tuple(square.position[:, square.label == number])] = True
        fields, count = ndimage.label(plane)
        numbers[fields > 0] = fields[fields > 0] + numbers.max()
        large = [field for field in range(1, count + 1) if (fields == field).sum() >= SMALLEST_FIELD]
        if len(large) >= 2:
            inside |= np.isin(fields, large)
    return numbers[tuple(square.position)], inside[tuple(square.position)]
