"""Crops with traits fitted to real regions, by which regions the fit was allowed to see.

`fits.json` holds numbers only: how many standard deviations (`varieties.BETWEEN_PLACES`) each trait lies off what agronomy gives
(`crops.CROPS`). ``python -m processors.simulation.fitting`` writes it. A score without labels of a region takes the fit that left the
region out; the land as it is delivered takes all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from catalog.errors import RequestError
from processors.simulation.land.crops import CROPS, Crop
from processors.simulation.land.varieties import with_traits

ALL = "all"
"""The fit to all regions: that of the land as delivered."""

AGRONOMY = "agronomy"
"""No fit at all."""

FILE = Path(__file__).with_name("fits.json")

Fits = Mapping[str, Mapping[int, Mapping[str, float]]]
"""Deviations by name of the fit, code of the crop and trait."""


def without(region: str) -> str:
    """Name of the fit that saw nothing of a region."""
    return f"without-{region}"


@lru_cache
def fits() -> Fits:
    """The fits that were made."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: {int(code): traits for code, traits in crops.items()} for name, crops in content["fits"].items()}


@lru_cache
def fitted_crops(fit: str = ALL) -> Mapping[int, Crop]:
    """All crops by code. Raises `RequestError` for an unknown fit."""
    if fit == AGRONOMY:
        return CROPS
    if fit not in fits():
        raise RequestError(f"no fit {fit!r} of the land; there are {', '.join([AGRONOMY, *fits()])}.")
    changed = fits()[fit]
    return MappingProxyType({code: with_traits(crop, changed.get(code, {})) for code, crop in CROPS.items()})
