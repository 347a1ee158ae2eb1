"""A synthetic farmland of any size, made from a seed: what lies where, what grows on it, and how bright it is on a day.

The plane is cut into quadrangular blocks of about 1.3 km with displaced corners (`parcels`); roads follow their edges, rivers those
where a slow noise changes its sign. Everything hangs on hashes of absolute positions, so two windows agree exactly where they overlap,
and memory is bounded by the window asked for. South of the equator the farming year is turned by 182 days.

**All of it is synthetic**: no place looks like this, and no weather was like this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon, box

from catalog.grid import Window, burnt
from processors.simulation.land.appearance import Geometry, reflectance
from processors.simulation.land.crops import CROPS, VILLAGE, WATER, WOOD
from processors.simulation.land.fits import ALL, fitted_crops
from processors.simulation.land.growth import Season, grow
from processors.simulation.land.growth_state import Growth
from processors.simulation.land.parcels import BLOCK, Parcel, block_parcels
from processors.simulation.land.practice import practice, soil_brightness
from processors.simulation.land.rotation import FRANCE, Rotations, crops_of
from processors.simulation.land.weather import Climate, Weather, weather
from processors.simulation.noise.seeded import Keys, keys, noise, normal

Floats = npt.NDArray[np.float32]

FINE = 2
"""Edges are laid out on pixels of 10 m / `FINE`; a pixel is the mixture of what lies on its parts."""

_LAG = 4.0
"""Days by which the latest and the earliest spots of a field lie off its mean."""

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Truth of the land in a window; arrays (H, W)."""

    crop: npt.NDArray[np.uint8]
    """Code of `crops.CROPS` of what covers most of the pixel, as harvested in the year."""
    field: npt.NDArray[np.int64]
    """The field's number, -1 off the fields."""
    share: Floats
    """Share of the pixel that ``crop`` covers."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parcel under crops in a year."""

    number: int
    polygon: Polygon
    """Outline in the zone's metres, whole even where a window cuts it."""
    crop: int


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """The parcels of a window, and for each mixed or pure pixel what it is made of."""

    parcels: tuple[Parcel, ...]
    parts: npt.NDArray[np.int32]
    """(H, W, FINE²): positions in ``parcels``, sorted within a pixel."""


@dataclass(frozen=True, slots=True)
class Land:
    """A synthetic landscape in one UTM zone. The same values make the same land."""

    epsg: int
    climate: Climate
    seed: int = 0
    rotations: Rotations = FRANCE
    fit: str = ALL
    """Fit of the crops to real regions, see `fits`."""

    def truth(self, window: Window, year: int) -> Truth:
        """Truth of what is harvested in ``year`` (south of the equator: in the twelve months from July of that year)."""
        layout = self._layout(window)
        kinds = self._kinds(layout.parcels, year)
        field = np.array(
            [-1 if kind >= WOOD else parcel.number for parcel, kind in zip(layout.parcels, kinds, strict=True)]
        )
        which, count = _majority(layout.parts)
        share = (count / layout.parts.shape[-1]).astype(np.float32)
        return Truth(kinds[which].astype(np.uint8), field[which], share)

    def stages(self, window: Window, day: date) -> npt.NDArray[np.uint8]:
        """(H, W): `growth.Stage` of what covers most of each pixel."""
        layout = self._layout(window)
        growth, _, _ = self._grown(layout.parcels, self._season_day(day), 0.0)
        return growth.stage[_majority(layout.parts)[0]]

    def fields(self, window: Window, year: int) -> list[Field]:
        """The fields that share some area with the window."""
        parcels = self._parcels(window)
        kinds = self._kinds(parcels, year)
        frame = box(*window.bounds)
        return [
            Field(parcel.number, Polygon(parcel.corners), int(kind))
            for parcel, kind in zip(parcels, kinds, strict=True)
            if kind < WOOD and shapely.intersects(Polygon(parcel.corners), frame)
        ]

    def reflectance(self, window: Window, day: date, geometry: Geometry, satellite: str = "S2A") -> Floats:
        """Surface reflectance (13, H, W) in the order of `products.BANDS`, all at 10 m, as seen through no atmosphere and no optics.

        Raises `RequestError` for a satellite without responses.
        """
        layout = self._layout(window)
        season_day = self._season_day(day)
        early, moisture, brightness = self._grown(layout.parcels, season_day, -_LAG)
        late, _, _ = self._grown(layout.parcels, season_day, _LAG)
        kinds = self._kinds(layout.parcels, season_day.year)
        spots = _Spots.of(self.seed, window)
        pixel, parcel, share = _pairs(layout.parts)
        seen = np.zeros((window.height * window.width, 13), np.float32)
        for start in range(0, len(pixel), _CHUNK):
            here = slice(start, start + _CHUNK)
            at, what = pixel[here], parcel[here]
            state = _blend(early, late, what, spots.progress[at])
            state.leaf_area *= spots.vigour[at]
            state.chlorophyll *= np.sqrt(spots.vigour[at])
            state.cover *= spots.closed[at]
            wet = np.clip(moisture[what] * spots.wetness[at], 0, 1)
            bright = reflectance(state, wet, brightness[what] * spots.brightness[at, None], geometry, satellite)
            bright *= np.exp(_TEXTURE[kinds[what]] * spots.grain[at])[:, None]
            part = bright * share[here, None]
            # A pixel's parts follow each other, at most FINE² of them: added in their order, whatever the chunk.
            np.add.at(seen, at, part)
        return np.ascontiguousarray(seen.T.reshape(13, window.height, window.width))

    def weather(self, day: date) -> tuple[Weather, int]:
        """The synthetic weather and the position of a day in it."""
        turned = self._season_day(day)
        series = weather(self.climate, turned.year, self.seed)
        return series, series.index(turned)

    def _season_day(self, day: date) -> date:
        return self.climate.season_day(day)

    def _parcels(self, window: Window) -> tuple[Parcel, ...]:
        if window.epsg != self.epsg:
            raise ValueError(f"a window of EPSG:{window.epsg}, a land of EPSG:{self.epsg}")
        west, south, east, north = window.bounds
        # Corners are displaced by less than a quarter of a block.
        columns = range(math.floor(west / BLOCK - 0.25), math.floor(east / BLOCK + 0.25) + 1)
        rows = range(math.floor(south / BLOCK - 0.25), math.floor(north / BLOCK + 0.25) + 1)
        return tuple(
            parcel
            for row in rows
            for column in columns
            for parcel in block_parcels(self.seed, column, row)
            if (parcel.corners.max(axis=0) >= (west, south)).all()
            and (parcel.corners.min(axis=0) <= (east, north)).all()
        )

    def _layout(self, window: Window) -> _Layout:
        return _layout(self, window)

    def _kinds(self, parcels: tuple[Parcel, ...], year: int) -> npt.NDArray[np.int64]:
        crops = crops_of(self.rotations, self._keys(parcels), year)
        return np.array(
            [crop if parcel.kind is None else parcel.kind for parcel, crop in zip(parcels, crops, strict=True)]
        )

    def _keys(self, parcels: tuple[Parcel, ...]) -> Keys:
        return keys(self.seed, np.array([parcel.number for parcel in parcels], np.int64), 21)

    def _grown(self, parcels: tuple[Parcel, ...], day: date, lag: float) -> tuple[Growth, Floats, Floats]:
        """State of each parcel, its moisture and its soil's brightness."""
        series = weather(self.climate, day.year, self.seed)
        key = self._keys(parcels)
        season = Season(key, *(self._kinds(parcels, day.year + step) for step in (-1, 0, 1)))
        moisture = series.surface_moisture[series.index(day)] * np.exp(0.15 * normal(key, 71))
        brightness = soil_brightness(practice(self.climate, self.seed), key)
        return grow(season, series, day, lag, fitted_crops(self.fit)), moisture.astype(np.float32), brightness


_TEXTURE = np.full(max(CROPS) + 1, 0.012, np.float32)
"""Spread of the brightness between neighbouring pixels, by code."""
_TEXTURE[[WOOD, VILLAGE, WATER]] = 0.08, 0.20, 0.03


@dataclass(frozen=True, slots=True, eq=False)
class _Spots:
    """Variation within fields; arrays (H * W,)."""

    progress: Floats
    """0 early to 1 late."""
    vigour: Floats
    closed: Floats
    wetness: Floats
    brightness: Floats
    grain: Floats

    @classmethod
    def of(cls, seed: int, window: Window) -> _Spots:
        rows = np.arange(window.bottom, window.top)
        columns = np.arange(window.left, window.right)

        def field(purpose: int, *scales: tuple[int, float]) -> Floats:
            # Rows run northward in the zone, southward in arrays.
            parts = [
                np.float32(weight) * noise(seed, purpose + scale, rows, columns, scale) for scale, weight in scales
            ]
            return np.asarray(sum(parts), np.float32)[::-1].ravel()

        return cls(
            progress=np.clip(0.5 + field(1000, (6, 0.2), (21, 0.25)), 0, 1),
            vigour=np.exp(field(2000, (1, 0.03), (5, 0.06), (17, 0.08))),
            closed=1 - np.abs(field(3000, (1, 0.012), (9, 0.02))),
            wetness=np.exp(field(4000, (13, 0.12))),
            brightness=np.exp(field(5000, (3, 0.02), (11, 0.05))),
            grain=field(6000, (1, 1.0)),
        )


@lru_cache(maxsize=4)
def _layout(land: Land, window: Window) -> _Layout:
    parcels = land._parcels(window)
    # Everything FINE times as large, so that whole pixels are the parts of pixels.
    fine = Window(window.epsg, window.left * FINE, window.top * FINE, window.width * FINE, window.height * FINE)
    shapes = ((Polygon(parcel.corners * FINE), number) for number, parcel in enumerate(parcels, start=1))
    painted = burnt(shapes, fine) - 1
    parts = painted.reshape(window.height, FINE, window.width, FINE).swapaxes(1, 2).reshape(*window.shape, FINE**2)
    return _Layout(parcels, np.sort(parts, axis=-1))


def _majority(parts: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The commonest part of each pixel (of several, the one painted last), and how often it is there."""
    counts = (parts[..., :, None] == parts[..., None, :]).sum(axis=-1)
    last = parts.shape[-1] - 1 - counts[..., ::-1].argmax(axis=-1)
    return (
        np.take_along_axis(parts, last[..., None], axis=-1)[..., 0],
        np.take_along_axis(counts, last[..., None], axis=-1)[..., 0],
    )


def _pairs(parts: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32], Floats]:
    """Flat position of the pixel, parcel, and share of the pixel, for every parcel of every pixel."""
    flat = parts.reshape(-1, parts.shape[-1])
    new = np.ones(flat.shape, bool)
    new[:, 1:] = flat[:, 1:] != flat[:, :-1]
    first = np.flatnonzero(new)
    share = np.diff(np.append(first, flat.size)) / flat.shape[1]
    return first // flat.shape[1], flat.ravel()[first], share.astype(np.float32)


def _blend(early: Growth, late: Growth, which: npt.NDArray[np.int32], progress: Floats) -> Growth:
    """States of pixels between the early and the late state of their parcels; float32."""
    mixed = {}
    for field in fields(Growth):
        one, other = (np.asarray(getattr(growth, field.name)) for growth in (early, late))
        if field.name == "stage":
            mixed[field.name] = one[which]
            continue
        way = progress if one.ndim == 1 else progress[:, None]
        first, second = one.astype(np.float32)[which], other.astype(np.float32)[which]
        mixed[field.name] = first + way * (second - first)
    return Growth(**mixed)
