"""The processor in Cropline: what it refuses, what it says, and that it keeps to the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agrunet.data.patches import Patch
from catalog.errors import RequestError
from processors.thematic.check import check_processor
from processors.thematic.protocol import Job
from processors.thematic.registry import make_processor

from cropline_mowing.processor import NO_CUT, NO_DAY, SELDOM, Mowing

JOB: dict[str, Any] = {
    "level": "L2A",
    "year": 2019,
    "months": (3, 10),
    "days": (0, 5, 8, 10),
    "relative_orbits": ("R051", "R051", "R094", "R051"),
    "bands": ("B04", "B08"),
    "synthetic": False,
    "crop_mask": True,
}


class _Patches:
    """One patch of a pixel that is cut between the second and the fourth pass, one without data, one never clear."""

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Patch:
        values = np.zeros((4, 2, 1, 3), np.uint16)
        values[:, 0, 0] = 400
        values[:, 1, 0] = np.array([4000, 4400, 4400, 1600])[:, None]
        values[..., 1] = 0
        clear = np.ones((4, 1, 3), bool)
        clear[..., 2] = False
        return Patch(values, clear, np.array(JOB["days"], np.int32))


def test_cropline_finds_it_and_it_keeps_to_the_contract() -> None:
    assert isinstance(make_processor("mowing", Job(**JOB)), Mowing)
    wrong = [check for check in check_processor("mowing") if check.problem]
    assert not wrong


def test_a_cut_is_delivered_with_the_two_passes_around_it() -> None:
    mowing = Mowing(Job(**JOB))
    [(index, fields)] = list(mowing.run(_Patches(), [0]))
    made = mowing.finish(fields, mowing.summarise(iter([fields])))
    assert index == 0
    assert made["cuts"].tolist() == [[1, 255, 255]]
    assert made["first_cut"].tolist() == [[[5, NO_DAY, NO_DAY]], [[10, NO_DAY, NO_DAY]]]
    assert made["greatest_loss"][0, 0] == pytest.approx(4000 / 4800 - 1200 / 2000)
    assert np.isnan(made["greatest_loss"][0, 1:]).all()
    assert made["longest_gap"].tolist() == [[5, NO_DAY, NO_DAY]]


def test_no_cut_is_told_from_too_few_looks() -> None:
    mowing = Mowing(Job(**JOB, parameters={"most_gap": 20}))
    fields = np.full((5, 1, 4), np.nan, np.float32)
    fields[0, 0], fields[4, 0] = [0, 0, 1, 7], [20, 21, 21, 21]
    assert mowing.finish(fields, {})["cuts"].tolist() == [[NO_CUT, SELDOM, 1, 4]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"level": "L1C"}, "level: mowing needs surface reflectance, L2A, not L1C"),
        ({"bands": ("B04",)}, "no B08 in every acquisition"),
        ({"parameters": {"since": "2019-02-28"}}, "since 2019-02-28 and until 2019-10-31 must lie one after the other in the season"),
        ({"parameters": {"since": "2019-06-15", "until": "2019-06-15"}}, "2019-03-01 to 2019-10-31"),
        ({"relative_orbits": ("unknown",) * 4}, 'Take another source, or "reference": "any"'),
    ],
)  # fmt: skip
def test_what_it_cannot_do_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Mowing(Job(**{**JOB, **changed}))


def test_notes_say_what_a_reader_must_know() -> None:
    assert Mowing(Job(**JOB)).notes == ("nothing to compare the only pass of R094 with",)
    assert "not masked to grassland" in Mowing(Job(**{**JOB, "crop_mask": False})).notes[0]
    some = ("R051", "unknown", "unknown", "R051")
    assert "2 of 4 passes are left out" in Mowing(Job(**{**JOB, "relative_orbits": some})).notes[0]
    mixed = Mowing(Job(**{**JOB, "relative_orbits": ("unknown",) * 4, "parameters": {"reference": "any"}}))
    assert "whatever their relative orbit" in mixed.notes[0]
