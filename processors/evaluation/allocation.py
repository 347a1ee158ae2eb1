"""Size of a stratified sample, and its units by stratum. Pure mathematics: numpy only."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

LEAST = 2
"""Units of a stratum without which its error can't be estimated."""


def sample_size(sizes: npt.NDArray[np.integer], expected: npt.NDArray[np.float64], standard_error: float) -> int:
    """Units that bring the overall accuracy to a standard error.

    ``sizes``: (H,) units of each stratum in the area; ``expected``: (H,) user's accuracies that are guessed before. Olofsson et al.
    (2014) eq. 13, which is Cochran (1977) eq. 5.25, with its term for finite areas.
    """
    units = np.asarray(sizes, np.float64)
    weights = units / units.sum()
    variances = expected * (1 - expected)
    needed = (weights @ np.sqrt(variances)) ** 2 / (standard_error**2 + (weights @ variances) / units.sum())
    return math.ceil(float(needed) - 1e-9)


def reached(
    sizes: npt.NDArray[np.integer], counts: npt.NDArray[np.integer], expected: npt.NDArray[np.float64]
) -> float:
    """Standard error of the overall accuracy that ``counts`` (H,) units of the strata lead to: Olofsson et al. (2014) eq. 5."""
    weights = np.asarray(sizes, np.float64) / np.sum(sizes)
    return float(np.sqrt((weights**2 * expected * (1 - expected) / np.maximum(counts, 1)).sum()))


def allocate(sizes: npt.NDArray[np.integer], total: int, minimum: int) -> npt.NDArray[np.int64]:
    """Units (H,) to draw from each stratum: ``minimum`` from rare ones (all where it has fewer), the others by their size.

    So Olofsson et al. (2014, section 5.1.2) advise: rare classes get what their user's accuracy needs, the rest is shared
    proportionally. Together they are ``total``, or the whole area where that has fewer. Raises `ValueError` where the minimum of all
    takes more.
    """
    sizes = np.asarray(sizes, np.int64)
    total = min(total, int(sizes.sum()))
    floor = np.minimum(sizes, minimum)
    if floor.sum() > total:
        raise ValueError(f"{floor.sum()} units are the least of all strata together, more than {total}")
    rare = np.zeros(len(sizes), bool)
    while True:
        left = total - int(floor[rare].sum())
        shares = np.where(rare, 0.0, left * sizes / max(1, int(sizes[~rare].sum())))
        under = ~rare & (shares < floor)
        if not under.any():
            break
        rare |= under
    counts = np.where(rare, floor, np.floor(shares)).astype(np.int64)
    # What rounding left goes to the largest remainders, where there is room.
    for number in np.argsort(np.floor(shares) - shares, kind="stable"):
        if counts.sum() >= total:
            break
        if not rare[number] and counts[number] < sizes[number]:
            counts[number] += 1
    return counts
