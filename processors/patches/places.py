"""Points and parcels of a user's file that lie in an area: which pixels each is, what it is called, and how it is labelled."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from catalog.area import Area, as_geojson, parse_area
from catalog.class_columns import CODE_COLUMNS, ID_COLUMNS, ROW_NUMBERS, called
from catalog.errors import RequestError
from catalog.grid import PIXEL, Window, inside, moved_points, to_lonlat, window_around
from catalog.legend import Legend
from catalog.legend_words import word_of
from processors.patches.labels import Labels, open_labels
from processors.patches.polygons import RowFault, faults_text
from processors.patches.round_parcels import covered_by_points
from processors.patches.vector_codes import Radii, VectorCodes, candidates
from processors.patches.vector_rows import open_rows

MOST_PIXELS = 10_000
"""Pixels that a parcel is judged by: of a larger one, as many spread over it."""

_MOST_GROUND = 5000
"""Pixels that are looked at to tell whether an acquisition is clear where the places are."""

EDGE = 10.0
"""Metres from the edge of a parcel that are left out, where enough of it remains: pixels there hold the neighbour, too."""

_LEAST = 4
"""Pixels that have to remain, then."""

_RASTERS = (".tif", ".tiff", ".jp2")
_NO_CLASSES = ("year", "date", "month", "day")

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Pixels (P,) of a point or parcel: columns counted from easting 0, and upper edges as `Window.top` is."""

    columns: Numbers
    uppers: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Points or parcels of a file that lie in an area, in its order, N of each; ``labels`` and ``codes`` are None where unknown."""

    ids: tuple[str, ...]
    places: tuple[Place, ...]
    longitudes: npt.NDArray[np.float64]
    latitudes: npt.NDArray[np.float64]
    labels: tuple[str | None, ...]
    codes: tuple[int | str | None, ...] | None
    fields: tuple[str, ...] | None
    legend: Legend | None
    medians: bool
    """Whether they are parcels, of many pixels each; a point without a radius is one pixel."""
    notes: tuple[str, ...]
    """Sentences on rows that are no place, or lie elsewhere, or have no label."""

    def ground(self, epsg: int) -> Area:
        """Their pixels, in longitude and latitude: what has to be clear. Of parcels some pixels spread over each, where they are many."""
        some = max(1, _MOST_GROUND // len(self.places))
        thinned = [
            (place.columns[::every], place.uppers[::every])
            for place in self.places
            for every in [-(-len(place.columns) // some)]
        ]
        columns, uppers = (np.concatenate(of) for of in zip(*thinned, strict=True))
        lefts, tops = np.unique(np.column_stack([columns, uppers]), axis=0).T * PIXEL
        pixels = shapely.union_all(shapely.box(lefts, tops - PIXEL, lefts + PIXEL, tops))
        return parse_area(as_geojson(to_lonlat(pixels, epsg)))


def read_places(
    path: Path,
    zone_area: BaseGeometry,
    epsg: int,
    legend: Path | None = None,
    layer: str | None = None,
    column: str | None = None,
    radius: float = 0.0,
) -> Places:
    """Read the points or parcels of a file that lie in an area, given in the metres of a zone; other arguments as `open_labels` has them.

    A file without a column of classes has places without labels. Raises `RequestError`: it is a raster, can't be read, or none lies there.
    """
    labels, codes = _opened(path, legend, layer, column, radius)
    around = window_around(zone_area, epsg)
    numbered = called(codes.rows.types, (*ID_COLUMNS, *ROW_NUMBERS))
    frame, held = codes.near(around, numbered[:1])
    rows = frame.iloc[held.rows]
    radii, sound = codes.radii.read(rows)
    shapely.prepare(zone_area)
    middles = held.shapes if codes.rows.pointed else shapely.point_on_surface(held.shapes)
    there = sound & shapely.intersects(zone_area, middles)
    faults = held.faults + Counter({RowFault.NO_RADIUS: int((~sound).sum())})
    faults[RowFault.NO_GEOMETRY] = codes.rows.without_geometry()
    notes = [f"{path.name}: {text}." for text in [faults_text(+faults)] if text]
    if not there.any():
        raise RequestError(
            f"labels {path}: none of its {codes.rows.count()} rows lies in the area{f' ({notes[0]})' if notes else ''}. Give points or "
            "parcels of the area, or their file as the area."
        )
    outside = codes.rows.count() - faults.total() - int(there.sum())
    if outside > 0:
        notes.append(f"{path.name}: {outside} row{'s lie' if outside > 1 else ' lies'} outside of the area.")
    kept = np.flatnonzero(there)
    shapes, radii, middles, rows = held.shapes[kept], radii[kept], middles[kept], rows.iloc[kept]
    at = shapely.get_coordinates(middles)
    places = _of_points(at, radii) if codes.rows.pointed else tuple(_of_parcel(shape, around) for shape in shapes)
    read, words = _labelled(labels, codes, rows)
    if codes.rows.pointed and labels is not None:
        read = _without_contradicted(read, places, notes, path.name)
    if unknown := read.count(None) if codes.column is not None else 0:
        notes.append(f"{path.name}: {unknown} row{'s have' if unknown > 1 else ' has'} no label.")
    longitudes, latitudes = moved_points(at[:, 0], at[:, 1], epsg, 4326)
    ids = _identifiers(rows, numbered, notes, path.name)
    return Places(
        ids, places, longitudes, latitudes, tuple(read), words, _fields(ids, places), None if labels is None else labels.legend,
        not codes.rows.pointed or bool((radii > 0).any()), tuple(notes),
    )  # fmt: skip


def _opened(
    path: Path, legend: Path | None, layer: str | None, column: str | None, radius: float
) -> tuple[Labels | None, VectorCodes]:
    """The file as labels where it has a column of classes, and its rows. Raises `RequestError`."""
    if path.suffix.lower() in _RASTERS:
        raise RequestError(
            f"labels: {path} is a raster, which holds no points or parcels. Give these as GeoPackage, GeoParquet, GeoJSON or, points, as "
            "CSV with lon and lat."
        )
    if not path.exists():
        raise RequestError(f"labels: no file {path}. Check the path; it resolves from where the command runs.")
    rows = open_rows(path, "labels", layer, points=True)
    named = [name for name in candidates(rows.types, CODE_COLUMNS) if name.casefold() not in _NO_CLASSES]
    if column is None and not named:
        return None, VectorCodes(rows, None, "labels", Radii.of(rows, radius))
    labels = open_labels(path, legend, (), layer, column, radius)
    if not isinstance(labels.codes, VectorCodes):
        raise RequestError(f"labels: {path} holds no points or parcels. Give a vector file or a table of points.")
    return labels, labels.codes


def _of_points(at: npt.NDArray[np.float64], radii: npt.NDArray[np.float64]) -> tuple[Place, ...]:
    covered = covered_by_points(at[:, 0], at[:, 1], radii)
    starts = np.searchsorted(covered.points, np.arange(len(at) + 1)).tolist()
    return tuple(Place(covered.columns[start:end], covered.uppers[start:end]) for start, end in pairwise(starts))


def _of_parcel(shape: Any, around: Window) -> Place:
    """Pixels whose centres lie in a parcel, `EDGE` from its edge where enough do; of a tiny one the pixel in its middle."""
    for part, least in ((shapely.buffer(shape, -EDGE), _LEAST), (shape, 1)):
        window = None if part.is_empty else window_around(part, around.epsg).intersection(around)
        if window is None:
            continue
        rows, columns = np.nonzero(inside(part, window))
        if len(rows) >= least:
            every = -(-len(rows) // MOST_PIXELS)
            return Place(window.left + columns[::every], window.top - rows[::every])
    middle = shapely.point_on_surface(shape)
    return _of_points(shapely.get_coordinates(middle), np.zeros(1))[0]


def _labelled(
    labels: Labels | None, codes: VectorCodes, rows: Any
) -> tuple[list[str | None], tuple[int | str | None, ...] | None]:
    """The class of each row, and what its field says where that is another thing."""
    if labels is None or codes.column is None:
        return [None] * len(rows), None
    names = {
        code: None if entry.role == "ignore" else entry.name
        for entry in labels.legend.entries
        for code in entry.source_codes
    }
    numbers, given = codes.codes_of(rows[codes.column])
    read = [names.get(number) if known else None for number, known in zip(numbers.tolist(), given, strict=True)]
    if codes.words is None:
        return read, tuple(number if known else None for number, known in zip(numbers.tolist(), given, strict=True))
    words = tuple(word_of(value) for value in rows[codes.column])
    return read, None if all(word in (None, name) for word, name in zip(words, read, strict=True)) else words


def _pixels_of(places: tuple[Place, ...]) -> tuple[Numbers, Numbers]:
    """Number of the place (P,) that each pixel of all is of, and of the pixel, the same for the same ground."""
    of = np.repeat(np.arange(len(places)), [len(place.columns) for place in places])
    columns = np.concatenate([place.columns for place in places])
    uppers = np.concatenate([place.uppers for place in places])
    return of, np.unique(np.column_stack([columns, uppers]), axis=0, return_inverse=True)[1].reshape(-1)


def _without_contradicted(
    read: list[str | None], places: tuple[Place, ...], notes: list[str], name: str
) -> list[str | None]:
    """Labels of points, none where another class has a point on its pixel, or a parcel that reaches there."""
    of, pixels = _pixels_of(places)
    kinds = {label: number for number, label in enumerate(sorted({label for label in read if label is not None}))}
    kind = np.array([-1 if label is None else kinds[label] for label in read], np.int64)[of]
    known = kind >= 0
    lowest, highest = np.full(pixels.max() + 1, len(kinds)), np.full(pixels.max() + 1, -1)
    np.minimum.at(lowest, pixels[known], kind[known])
    np.maximum.at(highest, pixels[known], kind[known])
    own = pixels[np.searchsorted(of, np.arange(len(places)))]  # a point's own pixel is the first of its pixels
    contradicted = lowest[own] < highest[own]
    dropped = [number for number in np.flatnonzero(contradicted).tolist() if read[number] is not None]
    if dropped:
        notes.append(
            f"{name}: {len(dropped)} points lie on a pixel where points of different classes meet: their label is unknown therefore."
        )
    return [None if contradicted[number] else label for number, label in enumerate(read)]


def _fields(ids: tuple[str, ...], places: tuple[Place, ...]) -> tuple[str, ...] | None:
    """What is held out together: places that share ground, by the id of the first; None where none do."""
    of, pixels = _pixels_of(places)
    order = np.argsort(pixels, kind="stable")
    of, pixels = of[order], pixels[order]
    same = np.flatnonzero(pixels[1:] == pixels[:-1])
    if not len(same):
        return None
    first = list(range(len(places)))

    def root(number: int) -> int:
        while first[number] != number:
            first[number] = first[first[number]]
            number = first[number]
        return number

    for one, other in zip(of[same].tolist(), of[same + 1].tolist(), strict=True):
        low, high = sorted((root(one), root(other)))
        first[high] = low
    return tuple(ids[root(number)] for number in range(len(places)))


def _identifiers(rows: Any, numbered: list[str], notes: list[str], name: str) -> tuple[str, ...]:
    """What the file calls its rows, where it calls each otherwise; else their numbers."""
    if numbered:
        words = [word_of(value) for value in rows[numbered[0]]]
        if None not in words and len(set(words)) == len(words):
            return tuple(map(str, words))
        notes.append(f"{name}: {numbered[0]} doesn't name each row otherwise: rows are called by their numbers.")
    return tuple(str(number + 1) for number in rows.index)
