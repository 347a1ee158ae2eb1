"""The rule: which losses of NDVI are cuts. Arrays in, arrays out; nothing here knows Cropline.

Schwieder, M. et al. (2022): Mapping grassland mowing events across Germany based on combined Sentinel-2 and Landsat 8 time series.
Remote Sensing of Environment 269, 112795.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

TAKEN_BACK = 10
"""Days within which a clear pass that is as green again shows that a loss was a cloud's: sward takes about twenty to grow back (Sinergise,
mowing marker, on ten thousand cuts). Schwieder et al. (2022) take six, with passes of two to three satellites."""

PAUSE = 15
"""Fewest days between two cuts, as in Schwieder et al. (2022)."""

_NEVER = np.float32(-np.inf)


@dataclass(frozen=True)
class Rule:
    """What makes a loss of NDVI a cut."""

    least_loss: float
    """NDVI that a pixel loses at least."""
    least_green: float
    """NDVI of the sward before: below it there is nothing to cut."""
    reference_days: int
    """Most days between a pass and the one that it is compared with."""
    since: int
    """First day of the period; days are counted as those of the passes."""
    until: int
    """Last day of the period."""


@dataclass(frozen=True)
class Cuts:
    """What was seen in a period, each (H, W) float32; NaN where a pixel was never compared."""

    count: Floats
    """Number of cuts."""
    after: Floats
    """Day of the pass that still saw the sward of the first cut; NaN where there was none."""
    seen: Floats
    """Day of the pass that saw the first cut; NaN where there was none."""
    loss: Floats
    """Greatest loss of NDVI between two passes that were compared; below 0 where the pixel grew greener only."""
    gap: Floats
    """Longest time without a clear pass, days, from the period's beginning to its end."""

    def stacked(self) -> Floats:
        """All of them (5, H, W), in the order of `NAMES`."""
        return np.stack([getattr(self, name) for name in NAMES])


NAMES: tuple[str, ...] = tuple(field.name for field in fields(Cuts))


def find_cuts(ndvi: Floats, days: Sequence[int], groups: Sequence[str], rule: Rule) -> Cuts:
    """Find the cuts of each pixel.

    ``ndvi``: (T, H, W), NaN where a pixel isn't seen clearly; ``days``: (T,), rising; ``groups``: (T,), passes are compared within one
    only; empty: with none. Each clear pass is compared with the last clear one of its group. A loss is a cut where the sward was green
    enough, the next clear pass of whatever group doesn't take it back within `TAKEN_BACK` days, and, after a cut, the sward was seen
    greener than when that cut was seen, at least `PAUSE` days lie between the two, and both passes lie after it: two groups see one
    cut twice otherwise. Both passes of a pair lie in the period, so that the cut does.
    """
    shape = ndvi.shape[1:]
    count, loss = np.zeros(shape, np.float32), np.full(shape, _NEVER)
    after, seen = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    gap, last_clear = np.zeros(shape, np.float32), np.full(shape, np.float32(rule.since))
    last_cut, cut_value = np.full(shape, _NEVER), np.full(shape, _NEVER)
    returned = _taken_back(ndvi, days, rule.least_loss)
    for date, earlier, earlier_day in _pairs(ndvi, days, groups):
        day = np.float32(days[date])
        clear = np.isfinite(ndvi[date]) & bool(rule.since <= day <= rule.until)
        gap = np.where(clear, np.maximum(gap, day - last_clear), gap)
        last_clear = np.where(clear, day, last_clear)
        compared = clear & (day - earlier_day <= rule.reference_days) & (earlier_day >= rule.since)
        lost = np.where(compared, earlier - ndvi[date], _NEVER)
        loss = np.maximum(loss, lost)
        cut = (lost >= rule.least_loss) & (earlier >= rule.least_green) & ~returned[date]
        cut &= (earlier_day >= last_cut) & (earlier > cut_value) & (day - last_cut >= PAUSE)
        after, seen = (np.where(cut & (count == 0), of, kept) for of, kept in ((earlier_day, after), (day, seen)))
        count += cut
        last_cut, cut_value = np.where(cut, day, last_cut), np.where(cut, ndvi[date], cut_value)
    # Days after the last pass are no gap: a season may not be over.
    end = np.float32(min(rule.until, days[-1]))
    known = np.isfinite(loss)
    gap = np.maximum(gap, end - last_clear)
    return Cuts(*(np.where(known, layer, np.float32(np.nan)) for layer in (count, after, seen, loss, gap)))


def _pairs(ndvi: Floats, days: Sequence[int], groups: Sequence[str]) -> Iterator[tuple[int, Floats, Floats]]:
    """Number of each pass, and NDVI and day (H, W) of the last clear pass of its group before; NaN where there is none."""
    last: dict[str, tuple[Floats, Floats]] = {}
    nothing = np.full(ndvi.shape[1:], np.nan, np.float32)
    for date, group in enumerate(groups):
        if not group:
            continue
        value, day = last.get(group, (nothing, nothing))
        yield date, value, day
        clear = np.isfinite(ndvi[date])
        last[group] = np.where(clear, ndvi[date], value), np.where(clear, np.float32(days[date]), day)


def _taken_back(ndvi: Floats, days: Sequence[int], least_loss: float) -> Flags:
    """(T, H, W): True where the next clear pass is greener by at least ``least_loss``, and comes within `TAKEN_BACK` days."""
    returned = np.zeros(ndvi.shape, np.bool_)
    value, day = np.full(ndvi.shape[1:], np.nan, np.float32), np.full(ndvi.shape[1:], np.nan, np.float32)
    for date in reversed(range(len(days))):
        returned[date] = (value - ndvi[date] >= least_loss) & (day - days[date] <= TAKEN_BACK)
        clear = np.isfinite(ndvi[date])
        value, day = np.where(clear, ndvi[date], value), np.where(clear, np.float32(days[date]), day)
    return returned
