"""The rule once more, in tables instead of arrays: what the processor's numbers are compared with. It shares no code with the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ["count", "after", "seen", "loss", "gap"]


def clear_looks(ndvi: np.ndarray, days: Sequence[int], groups: Sequence[str]) -> pd.DataFrame:
    """A row for each clear look at a pixel, in the order of the passes; ``ndvi``: (T, H, W), NaN where not clear."""
    number, *place = np.nonzero(np.isfinite(ndvi))
    pixel = np.ravel_multi_index(place, ndvi.shape[1:])
    looks = {"pixel": pixel, "day": np.asarray(days)[number], "group": np.asarray(groups)[number]}
    return pd.DataFrame({**looks, "ndvi": ndvi[np.isfinite(ndvi)].astype(np.float32)})


def expected(looks: pd.DataFrame, last_day: int, rule: Any) -> pd.DataFrame:
    """`COLUMNS` of each pixel that was ever compared; days are None where there was no cut. ``rule``: has the names of `cuts.Rule`."""
    looks = looks.copy()
    same, pixel = looks.groupby(["pixel", "group"]), looks.groupby("pixel")
    looks["reference"], looks["reference_day"] = same["ndvi"].shift(), same["day"].shift()
    looks["next"], looks["next_day"] = pixel["ndvi"].shift(-1), pixel["day"].shift(-1)
    looks["lost"] = looks["reference"] - looks["ndvi"]
    compared = looks[
        (looks["group"] != "")
        & (looks["day"] - looks["reference_day"] <= rule.reference_days)
        & (looks["reference_day"] >= rule.since)
        & (looks["day"] <= rule.until)
    ]
    cloud = (compared["next"] - compared["ndvi"] >= np.float32(rule.least_loss)) & (
        compared["next_day"] - compared["day"] <= 10
    )
    sudden = compared[
        (compared["lost"] >= np.float32(rule.least_loss))
        & (compared["reference"] >= np.float32(rule.least_green))
        & ~cloud
    ]
    cuts = {number: _kept(rows) for number, rows in sudden.groupby("pixel")}
    end = min(rule.until, last_day)
    rows = {}
    known = looks[(looks["group"] != "") & looks["day"].between(rule.since, rule.until)]
    days = {number: clear["day"].tolist() for number, clear in known.groupby("pixel")}
    for number, looked in compared.groupby("pixel"):
        kept = cuts.get(number, [])
        first = (kept[0].reference_day, kept[0].day) if kept else (None, None)
        gap = np.diff([rule.since, *days[number], end]).max()
        rows[number] = [len(kept), *first, looked["lost"].max(), gap]
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)


def _kept(losses: pd.DataFrame) -> list[Any]:
    """The cuts among the sudden losses of one pixel, by time."""
    kept: list[Any] = []
    for loss in losses.itertuples():
        if kept:
            before = kept[-1]
            after_it = loss.reference_day >= before.day and loss.day - before.day >= 15
            if not after_it or loss.reference <= before.ndvi:
                continue
        kept.append(loss)
    return kept
