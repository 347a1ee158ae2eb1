"""Reflectance of a plant canopy over any ground in the 13 bands: an emulator of PROSAIL, for millions of pixels.

4SAIL couples canopy and ground as ``R = A + B r / (1 - C r)`` with r the ground's reflectance (exact but for the hotspot's share of
B). A, B, C of each band are learnt from PROSAIL by a small network (`canopy_table`), so that the ground stays free: wet or dry soil,
straw, snow. Carotenoids follow chlorophyll (2 + chlorophyll / 5 µg/cm²), anthocyanins are absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import RequestError

Floats = npt.NDArray[np.float32]

TABLE = "canopy.npz"

FITTED = ("S2A", "S2B")
"""Satellites with columns of their own in the table; 2C has 2B's responses."""

RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "leaf_area": (0.0, 8.0),  # m²/m²
        "chlorophyll": (1.0, 90.0),  # µg/cm²
        "water": (0.0005, 0.045),  # cm
        "dry_matter": (0.001, 0.02),  # g/cm²
        "leaf_angle": (15.0, 80.0),  # mean inclination, degrees
        "brown": (0.0, 1.5),  # brown pigment, arbitrary units
        "hotspot": (0.01, 0.5),
        "structure": (1.0, 2.6),  # PROSPECT's N
        "sun_zenith": (15.0, 80.0),  # degrees
        "view_zenith": (0.0, 13.0),
        "relative_azimuth": (0.0, 180.0),
    }
)
"""Ranges that the emulator was fitted to; values outside are clipped to it."""

_ROWS = 4096
"""Pixels a step; the hidden layers of so many stay in the processor's cache."""

_UNIT = 2.0**-20
"""Weights and activations are whole multiples of it: float64 adds their products without rounding, so that a matrix product is the same in
any order. Otherwise a pixel's last digit would depend on its place in the array, and windows would disagree."""


def carotenoids(chlorophyll: float) -> float:
    """µg/cm²: they fade more slowly than chlorophyll, which is what turns leaves yellow."""
    return 2 + chlorophyll / 5


def cover(leaf_area: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Share of the light that meets a leaf; makes the emulator exact over bare ground."""
    met: npt.NDArray[Any] = -np.expm1(-0.5 * np.maximum(leaf_area, 1e-6))
    return met


def features(parameters: Floats) -> Floats:
    """(N, 14): parameters (N, 11) in the order of `RANGES` as the network takes them, each roughly -1 to 1."""
    low, high = _BOUNDS
    area, chlorophyll, water, dry, angle, brown, hotspot, layers, sun, view, azimuth = np.clip(parameters, low, high).T
    tilt = np.tan(np.radians(view)) * 4
    made = (
        2 * np.exp(-0.25 * area) - 1,
        2 * np.exp(-area) - 1,
        (np.log(chlorophyll) - 3) / 1.5,
        chlorophyll / 45 - 1,
        (np.log(water) + 4.7) / 1.6,
        (np.log(dry) + 5.1) / 1.2,
        angle / 32.5 - 1.46,
        2 * np.sqrt(brown / 1.5) - 1,
        (np.log(hotspot) + 2.3) / 1.6,
        layers / 0.8 - 2.25,
        2.5 * np.cos(np.radians(sun)) - 1.4,
        tilt * np.cos(np.radians(azimuth)),
        2 * tilt - 1,
        sun / 32.5 - 1.46,
    )
    return np.stack(made, axis=1, dtype=np.float32)


def reflectance(parameters: Floats, ground: Floats, satellite: str) -> Floats:
    """Bidirectional reflectance (N, 13) of canopies with ``parameters`` (N, 11), see `RANGES`, over ``ground`` (N, 13).

    Raises `RequestError` for an unknown satellite.
    """
    emulator = _emulator(satellite)
    count = len(parameters)
    seen = np.empty((count, 13), np.float32)
    step = np.zeros((_ROWS, parameters.shape[1]), np.float32)
    for start in range(0, count, _ROWS):
        rows = slice(start, min(start + _ROWS, count))
        size = rows.stop - rows.start
        step[:size] = parameters[rows]
        dark, through, below = emulator.terms(step)
        bottom = ground[rows]
        seen[rows] = dark[:size] + through[:size] * bottom / (1 - below[:size] * bottom)
    return seen


class Emulator:
    """The fitted network of one satellite."""

    def __init__(self, table: Mapping[str, Floats], satellite: str) -> None:
        index = FITTED.index(satellite)
        columns = slice(39 * index, 39 * (index + 1))
        self._hidden = [(_whole(table[f"weight{layer}"]), table[f"bias{layer}"]) for layer in range(2)]
        self._last = _whole(table["weight2"][:, columns]), table["bias2"][columns]

    def terms(self, parameters: Floats) -> tuple[Floats, Floats, Floats]:
        """A, B and C (N, 13) of the module's equation."""
        values = features(parameters)
        for weight, bias in self._hidden:
            values = (_whole(values) @ weight).astype(np.float32)
            values += bias
            np.tanh(values, out=values)
        weight, bias = self._last
        values = (_whole(values) @ weight).astype(np.float32)
        values += bias
        met = cover(np.clip(parameters[:, :1], *RANGES["leaf_area"]))
        dark, lost, below = values[:, :13], values[:, 13:26], values[:, 26:]
        return met * dark * dark, 1 - met * lost, met * below


_BOUNDS = np.array(list(RANGES.values()), np.float32).T


def _whole(values: Floats) -> npt.NDArray[np.float64]:
    """The nearest multiples of `_UNIT`."""
    nearest: npt.NDArray[np.float64] = np.rint(values.astype(np.float64) / _UNIT) * _UNIT
    return nearest


@lru_cache
def _emulator(satellite: str) -> Emulator:
    known = "S2B" if satellite == "S2C" else satellite
    if known not in FITTED:
        raise RequestError(f"no canopy table of {satellite!r}; there are those of S2A, S2B and S2C.")
    with np.load(Path(__file__).with_name(TABLE), allow_pickle=False) as table:
        return Emulator(dict(table), known)
