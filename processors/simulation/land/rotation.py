"""Rotations of crops. A field keeps one rotation and its place in it, so every year's crops are known without the years before."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from processors.simulation.noise.seeded import Keys, uniform

Rotations = tuple[tuple[float, tuple[int, ...]], ...]
"""Shares of the fields, and codes of `crops` in the order of the years."""

FRANCE: Rotations = (
    (0.3642, (1,)),
    (0.1238, (8,)),
    (0.0349, (16,)),
    (0.0965, (3,)),
    (0.0147, (3, 2)),
    (0.0618, (5, 2, 4)),
    (0.0214, (9, 2, 6)),
    (0.0120, (9, 2, 13, 2)),
    (0.0351, (7, 11)),
    (0.0616, (14, 14, 14, 2, 3)),
    (0.0282, (15, 3)),
    (0.0610, (12, 2)),
    (0.0049, (17, 10)),
    (0.0165, (18, 2)),
    (0.0348, (10, 3, 4)),
    (0.0148, (17, 3)),
    (0.0137, (6, 13, 2, 3)),
)
"""Weighted so that the fields' shares are those of the 85,951 parcels of PASTIS (Garnot & Landrieu, 2021), within 12 % of each."""

FLANDERS: Rotations = (
    (0.22, (1,)),
    (0.06, (3,)),
    (0.16, (3, 2)),
    (0.20, (9, 2, 4)),
    (0.22, (13, 2, 9, 4)),
    (0.14, (13, 4, 3)),
)
"""Six crops, none rare: for the comparison with real fields of Flanders (`realism`); nobody's statistics."""

# Shares of the farming regions below are round numbers after national statistics, with rarer crops of the legend raised: a training set
# has to show them.
CORN_BELT: Rotations = (
    (0.34, (3, 15)), (0.08, (3,)), (0.12, (3, 15, 2)), (0.05, (6, 15)), (0.14, (1,)), (0.10, (14,)), (0.05, (18, 2)),
    (0.04, (12, 2)), (0.03, (9, 6, 15)), (0.03, (13, 6)), (0.02, (16,)),
)  # fmt: skip
DELTA: Rotations = (
    (0.34, (3, 15)), (0.20, (15,)), (0.12, (18, 15)), (0.10, (2, 15)), (0.14, (1,)), (0.03, (14,)), (0.04, (12, 15)),
    (0.03, (16,)),
)  # fmt: skip
PRAIRIES: Rotations = (
    (0.20, (6, 5)), (0.14, (6, 15)), (0.08, (2, 3)), (0.06, (17, 6)), (0.06, (7, 6)), (0.16, (1,)), (0.16, (14,)),
    (0.05, (9, 6)), (0.05, (13, 6)), (0.04, (11, 5)),
)  # fmt: skip
CALIFORNIA: Rotations = (
    (0.22, (8,)), (0.27, (16,)), (0.16, (14,)), (0.09, (12,)), (0.06, (12, 2)), (0.06, (3, 2)), (0.04, (7, 2)),
    (0.08, (1,)), (0.02, (18, 2)),
)  # fmt: skip
MEDITERRANEAN: Rotations = (
    (0.20, (8,)), (0.18, (16,)), (0.14, (7, 11)), (0.08, (11, 4)), (0.10, (14,)), (0.07, (3,)), (0.05, (12,)),
    (0.05, (15, 3)), (0.10, (1,)), (0.03, (18, 11)),
)  # fmt: skip
BLACK_SEA: Rotations = (
    (0.20, (7, 2)), (0.16, (3, 2)), (0.10, (5, 2, 4)), (0.12, (15, 2)), (0.08, (9, 6)), (0.08, (6, 7)), (0.10, (1,)),
    (0.07, (14,)), (0.04, (13, 10)), (0.02, (8,)), (0.03, (18, 2)),
)  # fmt: skip

FARMING: Mapping[str, Rotations] = MappingProxyType(
    {
        "france": FRANCE,
        "flanders": FLANDERS,
        "corn-belt": CORN_BELT,
        "delta": DELTA,
        "prairies": PRAIRIES,
        "california": CALIFORNIA,
        "mediterranean": MEDITERRANEAN,
        "black-sea": BLACK_SEA,
    }
)
"""Farming by name."""


def crops_of(rotations: Rotations, fields: Keys, year: int) -> npt.NDArray[np.int64]:
    """Code (N,) of what each field's crop harvested in ``year`` is."""
    shares = np.cumsum([share for share, _ in rotations])
    which = np.searchsorted(shares / shares[-1], uniform(fields, 61))
    phase = np.floor(uniform(fields, 62) * 60).astype(np.int64)
    codes = np.zeros(len(fields), np.int64)
    for number, (_, sequence) in enumerate(rotations):
        here = which == number
        codes[here] = np.array(sequence)[(phase[here] + year) % len(sequence)]
    return codes
