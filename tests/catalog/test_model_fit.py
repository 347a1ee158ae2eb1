"""Whether a model fits is decided by one function, whose reasons are enumerated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from shapely.geometry import box

from catalog.area import as_geojson
from catalog.legend import Legend, LegendClass
from catalog.model_fit import MisfitKind, ModelContract, Need, misfits

WHEAT = LegendClass(value=1, name="wheat", colour="#ffcc00", role="class", source_codes=(10,))
MAIZE = LegendClass(value=2, name="maize", colour="#00aa00", role="class", source_codes=(20,))
MODEL = ModelContract(
    level="L2A", bands=("B04", "B08"), months=(1, 7), synthetic=False, max_dates=30,
    footprint=as_geojson(box(4, 50, 5, 51)), legend=Legend(entries=(WHEAT, MAIZE)),
)  # fmt: skip
NEED = Need(
    "L2A", frozenset({"B02", "B04", "B08"}), False, months=(1, 7), dates=30, legend=MODEL.legend,
    area=box(4.1, 50.1, 4.2, 50.2),
)  # fmt: skip


def test_a_model_that_fits_has_nothing_against_it() -> None:
    assert misfits(MODEL, NEED) == ()


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"level": "L1C"}, MisfitKind.LEVEL),
        ({"bands": frozenset({"B04"})}, MisfitKind.BANDS),
        ({"synthetic": True}, MisfitKind.SYNTHETIC),
        ({"months": (10, 7)}, MisfitKind.MONTHS),
        ({"dates": 31}, MisfitKind.DATES),
        ({"legend": Legend(entries=(WHEAT,))}, MisfitKind.LEGEND),
        ({"area": box(10, 50, 11, 51)}, MisfitKind.AREA),
    ],
)
def test_each_need_has_a_reason_of_its_own(changed: dict[str, Any], kind: MisfitKind) -> None:
    (reason,) = misfits(MODEL, replace(NEED, **changed))
    assert reason.kind is kind
    assert reason.text


def test_what_is_not_asked_for_is_no_reason() -> None:
    anywhere = MODEL.model_copy(update={"footprint": None, "max_dates": None, "months": (3, 4)})
    bare = replace(NEED, area=None, months=None, legend=None, dates=1000)
    assert misfits(anywhere, bare) == ()


def test_every_reason_is_given_at_once() -> None:
    need = Need("L1C", frozenset(), True, months=(2, 3), dates=99)
    kinds = [reason.kind for reason in misfits(MODEL, need)]
    assert kinds == [MisfitKind.LEVEL, MisfitKind.BANDS, MisfitKind.SYNTHETIC, MisfitKind.MONTHS, MisfitKind.DATES]
