"""Random numbers that belong to a position: the same whatever window asks for them, in whatever order.

Numbers come from hashing (the finaliser of SplitMix64; Steele et al., 2014), not from a generator's sequence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]


def keys(seed: int, *parts: npt.ArrayLike) -> Keys:
    """A hash of whole numbers (negative ones too), of the parts' broadcast shape."""
    mixed = _mixed(np.uint64(seed % 2**63))
    for part in parts:
        mixed = _mixed(mixed ^ _mixed(np.asarray(part).astype(np.int64).view(np.uint64)))
    return np.asarray(mixed, np.uint64)


def uniform(key: Keys, purpose: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in (0, 1), independent for each purpose."""
    bits = _mixed(key ^ _mixed(np.uint64(purpose)))
    drawn: npt.NDArray[np.float64] = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return drawn


def normal(key: Keys, purpose: int) -> npt.NDArray[np.float64]:
    """Normal numbers of mean 0 and variance 1."""
    drawn: npt.NDArray[np.float64] = ndtri(uniform(key, purpose))
    return drawn


def noise(seed: int, purpose: int, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], scale: int) -> Floats:
    """(H, W): smooth noise of mean 0 and variance 1 at absolute pixel coordinates; ``scale`` is the lattice's step in pixels."""
    row, down = _between(rows, scale)
    column, right = _between(columns, scale)
    nodes = keys(
        seed, np.arange(row[0], row[-1] + 2)[:, None], np.arange(column[0], column[-1] + 2)[None], np.int64(scale)
    )
    lattice = normal(nodes, purpose).astype(np.float32)
    row, column = row - row[0], column - column[0]
    upper = lattice[row][:, column] * (1 - right) + lattice[row][:, column + 1] * right
    lower = lattice[row + 1][:, column] * (1 - right) + lattice[row + 1][:, column + 1] * right
    mixed = upper * (1 - down)[:, None] + lower * down[:, None]
    # Between the nodes a mixture varies less than at them.
    spread = np.sqrt(down**2 + (1 - down) ** 2)[:, None] * np.sqrt(right**2 + (1 - right) ** 2)
    return np.asarray(mixed / spread, np.float32)


def _between(positions: npt.NDArray[np.int64], scale: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The node before each place (ascending) and the smoothed way to the next one."""
    node = positions // scale
    way = (positions - node * scale).astype(np.float32) / np.float32(scale)
    return node, way * way * (3 - 2 * way)


def _mixed(value: npt.NDArray[np.uint64] | np.uint64) -> Keys:
    with np.errstate(over="ignore"):
        mixed = np.asarray(value, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)
