"""Fractal noise over the plane of a UTM zone: any window of it agrees exactly with its neighbours, and nothing repeats.

Sums of octaves, each a cubic B-spline through random numbers that belong to the nodes of a lattice (`seeded`). Every value is normal
with mean 0 and variance 1, so a share of the plane above a threshold is known beforehand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL, Window
from processors.simulation.noise.seeded import keys, normal

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.floating[Any]]

_RATIO = 1.93
"""Ratio between the scales of octaves; not 2, lest lattices share nodes."""


def fractal(
    seed: int, purpose: int, window: Window, scale: float, *, least: float = 25.0, gain: float = 0.6,
    shift: tuple[float, float] = (0.0, 0.0), stretch: float = 1.0,
) -> Floats:  # fmt: skip
    """(H, W): noise with structures from ``scale`` down to ``least``, m, each octave ``gain`` times the one before.

    ``shift``: east and north, m: the window shows what lies that far from it. ``stretch``: how much longer structures are from west
    to east than from south to north.
    """
    # Pixels' centres, from the zone's origin: the same numbers in every window.
    east = (window.left + np.arange(window.width) + 0.5) * PIXEL + shift[0]
    north = (window.top - np.arange(window.height) - 0.5) * PIXEL + shift[1]
    total = np.zeros(window.shape, np.float32)
    octaves = max(1, 1 + int(math.log(scale / least) / math.log(_RATIO)))
    amplitudes = gain ** np.arange(octaves)
    amplitudes /= np.sqrt((amplitudes**2).sum())
    for octave, amplitude in enumerate(amplitudes):
        step = scale / _RATIO**octave
        _add_octave(total, (seed, purpose, octave), east / (step * stretch), north / step, np.float32(amplitude))
    return total


def _add_octave(
    total: Floats,
    key: tuple[int, int, int],
    x: Positions,
    y: Positions,
    amplitude: np.float32,
) -> None:
    column, across = _spline(x)
    row, along = _spline(y)
    columns = np.arange(column.min() - 1, column.max() + 3)
    rows = np.arange(row.min() - 1, row.max() + 3)
    seed, purpose, octave = key
    lattice = normal(keys(seed, rows[:, None], columns[None], octave), purpose).astype(np.float32)
    column, row = column - columns[0] - 1, row - rows[0] - 1
    lines = np.zeros((len(rows), len(x)), np.float32)
    for tap in range(4):
        lines += lattice[:, column + tap] * across[tap]
    along = along * amplitude
    for tap in range(4):
        total += lines[row + tap] * along[tap][:, None]


def _spline(positions: Positions) -> tuple[npt.NDArray[np.int64], Floats]:
    """The node before each place, and the weights (4, N) of that node's neighbourhood, scaled to a variance of 1."""
    node = np.floor(positions).astype(np.int64)
    t = positions - node
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3])
    weights /= np.sqrt((weights**2).sum(axis=0))
    return node, weights.astype(np.float32)
