"""Series simulated for a place and its dates: what is told of the place is kept, and nothing else is made up."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from shapely import Polygon, box

from agrunet.data.series_source import SeriesSource
from catalog.errors import RequestError
from catalog.products import CROP_BANDS
from processors.simulation import place_series as here
from processors.simulation.place_series import MEASURED, Sight, crops_meant, crops_named, place_series, sight_of

BENCHMARK = Path(__file__).parents[3] / "docs" / "benchmarks" / "accuracy.json"
AREA = box(3.0, 51.0, 3.1, 51.1)
DAYS = [date(2019, 1, 10) + timedelta(days=20 * number) for number in range(10)]


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "PLACES", 4)
    monkeypatch.setattr(here, "FIELDS", 60)


def _sight(clear: float = 0.6, months: tuple[int, int] = (1, 7)) -> Sight:
    return sight_of(AREA, 2019, months, [(day, clear) for day in DAYS], CROP_BANDS)


def test_series_have_the_dates_the_gaps_and_the_crops_of_the_request() -> None:
    table = place_series(_sight(), crops_named({"corn": 1, "3301010101": 0.2}))
    assert len(table) == 240
    assert table.days[:10].tolist() == [day.timetuple().tm_yday for day in DAYS]
    assert set(table.labels) == {"corn", "soft winter wheat"}
    assert np.unique(table.labels, return_counts=True)[1].min() > 80, "each as often, whatever weight the map gives it"
    assert (table.values > 0).all(axis=1).mean() == pytest.approx(0.6, abs=0.05)
    assert ((table.lon >= 3) & (table.lon <= 3.1) & (table.lat >= 51) & (table.lat <= 51.1)).all()
    header = SeriesSource(table).header
    assert (header.synthetic, header.measured, header.months, header.level) == (True, MEASURED, (1, 7), "L2A")
    assert {entry["name"]: entry.get("hcat") for entry in header.legend}["soft winter wheat"] == "3301010101"


def test_the_same_sight_makes_the_same_series_and_another_seed_others() -> None:
    crops = crops_named({"corn": 1, "meadow": 1})
    one, two = (place_series(_sight(), crops) for _ in range(2))
    assert np.array_equal(one.values, two.values)
    assert not np.array_equal(one.values, place_series(_sight(), crops, seed=1).values)


def test_crops_grow_when_they_do() -> None:
    """Winter wheat is greener than maize in April, maize greener than ripe wheat in August."""
    days = [date(2019, 4, 20), date(2019, 8, 5)]
    table = place_series(
        sight_of(AREA, 2019, (1, 8), [(day, 1.0) for day in days], CROP_BANDS),
        crops_named({"corn": 1, "soft winter wheat": 1}),
    )
    values = table.values.reshape(len(table), 2, -1).astype(float)
    red, infrared = values[..., CROP_BANDS.index("B04")], values[..., CROP_BANDS.index("B08")]
    ndvi = (infrared - red) / (infrared + red)
    maize, wheat = (ndvi[np.array(table.labels) == name].mean(axis=0) for name in ("corn", "soft winter wheat"))
    assert wheat[0] > maize[0] + 0.2
    assert maize[1] > wheat[1] + 0.2


def test_a_season_that_begins_in_the_year_before_is_simulated_there() -> None:
    """Stubble and bare soil in October, not what grows in January."""
    days = [date(2018, 10, 10), date(2019, 5, 10)]
    sight = sight_of(AREA, 2019, (10, 7), [(day, 1.0) for day in days], CROP_BANDS)
    assert sight.days == [-82, 130]
    table = place_series(sight, crops_named({"soft winter wheat": 1, "winter rapeseed": 1}))
    values = table.values.reshape(len(table), 2, -1).astype(float)
    red, infrared = values[..., CROP_BANDS.index("B04")], values[..., CROP_BANDS.index("B08")]
    ndvi = ((infrared - red) / (infrared + red))[np.array(table.labels) == "soft winter wheat"].mean(axis=0)
    assert ndvi[1] > ndvi[0] + 0.2
    assert SeriesSource(table).header.months == (10, 7)


def test_of_two_looks_on_a_day_the_clearer_counts() -> None:
    sight = sight_of(AREA, 2019, (1, 7), [(DAYS[1], 0.2), (DAYS[0], 0.5), (DAYS[1], 0.9)], CROP_BANDS)
    assert (sight.days, sight.clear) == ([10, 30], [0.5, 0.9])


def test_points_lie_in_the_area_however_slender() -> None:
    slender = Polygon([(3, 51), (4, 52), (4.0000001, 52)])
    sight = sight_of(slender, 2019, (1, 7), [(DAYS[0], 1.0)], CROP_BANDS)
    assert sight.points.shape == (4, 2)
    assert (np.abs(sight.points - sight.points[0]) < 1).all()


@pytest.mark.parametrize(
    ("crops", "why"),
    [
        ({}, "crops: missing. A model is simulated for the crops that may grow"),
        ({"corn": 1}, "crops: corn alone leaves nothing to tell apart"),
        ({"corn": 1, "vanilla": 1}, "crops: the model names no 'vanilla'. It has meadow"),
    ],
)
def test_crops_that_cannot_be_simulated_are_refused(crops: dict[str, float], why: str) -> None:
    with pytest.raises(RequestError) as refused:
        crops_named(crops)
    assert str(refused.value).startswith(why)


def test_bands_that_cannot_be_simulated_are_refused() -> None:
    sight = sight_of(AREA, 2019, (1, 7), [(DAYS[0], 1.0)], ("B01", "B02"))
    with pytest.raises(RequestError, match="bands: B01 can't be simulated"):
        place_series(sight, crops_named({"corn": 1, "meadow": 1}))


def test_what_such_models_reached_is_what_was_measured() -> None:
    rows = {row["name"]: row for row in json.loads(BENCHMARK.read_text("utf-8"))["rows"]}
    for region, figure in (("Arkansas", "oa"), ("California", "oa"), ("Canada", "oa"), ("Flanders", "miou")):
        runs = rows[f"{region}, no real label"]["kinds"]["simulated"]
        mean = float(np.mean([run[figure] for run in runs]))
        assert f"{mean:.2f}" in MEASURED, f"{region}: {mean:.3f}"


@pytest.mark.parametrize(
    ("classes", "meant"),
    [
        (
            (("Maize", None), ("Winter wheat", None), ("Other", None)),
            ["soft winter wheat", "corn", "winter durum wheat"],
        ),
        ((("Blé", "3301010101"), ("Herbe", "3302000000")), ["meadow", "soft winter wheat"]),
        ((("Oak", None), ("Pine", None)), []),
    ],
)
def test_crops_are_meant_by_the_classes_of_labels(
    classes: tuple[tuple[str, str | None], ...], meant: list[str]
) -> None:
    legend = [{"name": name, "hcat": code, "role": "class"} for name, code in classes]
    labels = SimpleNamespace(classes=tuple(name for name, _ in classes), legend=legend, background=None)
    assert [crop.name for crop in crops_meant(labels)] == meant
