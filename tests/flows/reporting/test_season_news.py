"""News of a season, on a line and in rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.reporting.season_news import change_rows, changes_line, changes_text, pass_rows
from processors.delivery.changes import BandChange, Changes, ClassChange, MapBefore, Transition
from processors.delivery.coming_passes import ComingPass, ComingPasses

BEFORE = MapBefore(created=datetime(2019, 5, 1, tzinfo=UTC), status="preliminary", acquisitions=7)


def changes(**told: Any) -> Changes:
    return Changes(before=BEFORE, **told)


CLASSES = changes(
    compared=200, changed=7, share=0.035,
    hectares=(
        ClassChange(name="wheat", before=1.0, after=0.95, difference=-0.05),
        ClassChange(name="maize", before=1.0, after=1.05, difference=0.05),
        ClassChange(name="beet", before=0.4, after=0.4, difference=0.0),
    ),
    matrix=(
        Transition(before="wheat", after="wheat", pixels=93), Transition(before="wheat", after="maize", pixels=7),
    ),
)  # fmt: skip
BANDS = changes(
    bands=(
        BandChange(variable="ndvi", band="2019-04", pixels=9, before=0.3, after=0.31, difference=0.01, absolute=0.02),
        BandChange(variable="ndvi", band="2019-05", pixels=9, after=0.5),
    )
)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (CLASSES, "7 of 200 pixels changed class (3.5 %) since the preliminary map before."),
        (BANDS, "Most different from the map before: ndvi 2019-04, by 0.020 on average."),
        (changes(not_comparable="another grid"), "Not comparable with the map before: another grid."),
        (changes(), "No band has values in both this map and the one before."),
    ],
)
def test_changes_are_told_on_one_line(told: Changes, line: str, tmp_path: Path) -> None:
    assert changes_line(told) == line
    file = tmp_path / "changes.json"
    file.write_text(told.model_dump_json())
    assert changes_text([str(tmp_path / "crop_map.tif"), str(file)]) == line
    assert changes_text([str(tmp_path / "crop_map.tif")]) == ""


def test_hectares_stand_with_what_changed_most() -> None:
    rows = change_rows(CLASSES)
    assert [(row["class"], row["difference"], row["mostly"]) for row in rows] == [
        ("wheat", "-0.05", "0.07 ha to maize"),
        ("maize", "+0.05", "0.07 ha from wheat"),
        ("beet", "+0.00", "unchanged"),
    ]


def test_bands_stand_with_their_means() -> None:
    assert [(row["band"], row["mean before"], row["mean now"]) for row in change_rows(BANDS)] == [
        ("2019-04", "0.300", "0.310"),
        ("2019-05", "", "0.500"),
    ]


def test_passes_are_rows_with_their_orbits() -> None:
    time = datetime(2019, 5, 4, 10, 56, tzinfo=UTC)
    seen = ComingPass(time=time, platform="S2B", relative_orbit="R051", covered=1.0, sun_elevation=55.0)
    [row] = pass_rows(ComingPasses(start=time, end=time, passes=(seen,), basis=()))
    assert row == {
        "time (UTC)": "2019-05-04 10:56", "platform": "S2B", "orbit": "R051", "seen": "100 %", "L2A ready": "lost on board",
    }  # fmt: skip
