"""A map against reference data: what is compared is counted rightly, and what isn't is told with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import delivery_kit
import evaluation_kit
import geopandas
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from catalog.errors import RequestError
from catalog.legend import NONE_OF_THESE
from catalog.legend_words import ReadAs
from processors.delivery.delivered_map import DeliveredMap
from processors.delivery.evaluations import Design, Evaluation, NoIntervals, Unused
from processors.evaluation.drawing import SampleWish, draw_sample
from processors.evaluation.evaluate import evaluate
from processors.evaluation.reference import open_reference
from processors.evaluation.sample_file import write_sample

NAMES = evaluation_kit.NAMES
VALUES = [0, 1, 2, 5]
WINDOW = evaluation_kit.WINDOW


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> DeliveredMap:
    return evaluation_kit.opened(tmp_path_factory.mktemp("map"), evaluation_kit.pixels())


@pytest.fixture
def sample(delivered: DeliveredMap, tmp_path: Path) -> tuple[Path, dict[int, int], dict[int, int]]:
    """A sample of the map, filled in with the truth; its file, what is true and what is mapped at its points."""
    design = draw_sample(delivered, SampleWish(points=240, minimum=30, seed=4))
    path = tmp_path / "sample.gpkg"
    write_sample(path, design, list(NAMES.values()))
    true = evaluation_kit.value_at(design, evaluation_kit.truth(evaluation_kit.pixels()))
    evaluation_kit.fill_in(path, {number: NAMES[value] for number, value in true.items()})
    return path, true, evaluation_kit.value_at(design, evaluation_kit.pixels())


def evaluated(delivered: DeliveredMap, path: Path, **options: Any) -> Evaluation:
    return evaluate(delivered, open_reference(path, delivered.window.epsg), **options)


def saved(frame: Any, path: Path) -> Path:
    frame.to_file(path)
    return path


def test_a_filled_sample_gives_the_matrix_intervals_and_areas(delivered: DeliveredMap, sample: Any) -> None:
    path, true, mapped = sample
    made = evaluated(delivered, path)
    expected = confusion_matrix(list(true.values()), list(mapped.values()), labels=VALUES).T
    assert np.array_equal(made.matrix, expected)
    assert (made.design, made.no_intervals, made.unit, made.used) == (Design.THIS_MAP, None, "pixel", 240)
    assert made.unused == {}
    assert sum(entry.hectares.value for entry in made.classes if entry.hectares) == pytest.approx(119.0)
    whole = evaluation_kit.truth(evaluation_kit.pixels())[evaluation_kit.pixels() != 255]
    for entry, value in zip(made.classes, VALUES, strict=True):
        assert entry.value == value
        assert entry.hectares is not None
        assert entry.hectares.standard_error
        assert abs(entry.hectares.value - (whole == value).sum() / 100) < 3 * entry.hectares.standard_error
        assert entry.mapped_hectares == pytest.approx((evaluation_kit.pixels() == value).sum() / 100)
    assert [stratum.answered for stratum in made.strata] == [stratum.drawn for stratum in made.strata]


def test_points_without_an_answer_are_said_and_the_rest_still_estimates(delivered: DeliveredMap, sample: Any) -> None:
    path, true, _ = sample
    numbers = list(true)
    evaluation_kit.fill_in(path, {numbers[0]: None, numbers[1]: "", numbers[2]: "wheatt"})
    made = evaluated(delivered, path)
    assert made.unused == {Unused.NO_CLASS: 2, Unused.UNKNOWN_CLASS: 1}
    assert made.unknown_classes == ("wheatt",)
    assert made.used == 237
    assert made.intervals
    assert any("Not all points of the sample have an answer" in note for note in made.notes)
    assert any("Call them 'none of these'" in note for note in made.notes)


def test_rows_that_were_removed_moved_added_or_doubled_are_no_answers(delivered: DeliveredMap, sample: Any) -> None:
    path, true, _ = sample
    frame = geopandas.read_file(path, layer="points")
    frame.loc[0, "geometry"] = frame.geometry[1]
    added, again = frame.iloc[[5]].assign(id=9999), frame.iloc[[6]]
    evaluation_kit.with_rows(path, pd.concat([frame.drop(index=[2, 3]), added, again]))
    made = evaluated(delivered, path)
    assert made.unused == {Unused.REMOVED: 2, Unused.MOVED: 1, Unused.ADDED: 1, Unused.REPEATED: 1}
    assert made.used == len(true) - 3
    assert made.design is Design.THIS_MAP


def test_a_stratum_without_answers_leaves_no_estimate_of_the_whole(delivered: DeliveredMap, sample: Any) -> None:
    path, _, mapped = sample
    evaluation_kit.fill_in(path, {number: None for number, value in mapped.items() if value == 5})
    made = evaluated(delivered, path)
    assert (made.design, made.no_intervals) == (Design.THIS_MAP, NoIntervals.EMPTY_STRATUM)
    assert not made.intervals
    assert all(entry.hectares is None for entry in made.classes)
    assert any("less than two answers: sugar beet" in note for note in made.notes)


def test_what_is_none_of_the_maps_classes_is_an_error_of_the_map(delivered: DeliveredMap, sample: Any) -> None:
    path, true, _ = sample
    evaluation_kit.fill_in(path, dict.fromkeys(list(true)[:10], NONE_OF_THESE))
    made = evaluated(delivered, path)
    other = made.classes[-1]
    assert (other.name, other.value, other.reference_units, other.users) == (NONE_OF_THESE, None, 10, None)
    assert other.hectares is not None
    assert other.hectares.value > 0
    assert made.used == 240


def test_the_sample_of_another_map_of_the_same_pixels_estimates_with_its_own_strata(
    sample: Any, tmp_path: Path
) -> None:
    path, *_ = sample
    design_map = evaluation_kit.pixels()
    other = np.where(design_map == 255, 255, np.where(design_map == 1, 2, design_map)).astype(np.uint8)
    made = evaluated(evaluation_kit.opened(tmp_path / "other", other), path)
    assert (made.design, made.no_intervals) == (Design.OTHER_MAP, None)
    assert [stratum.name for stratum in made.strata] == list(NAMES.values())
    whole = evaluation_kit.truth(design_map)[design_map != 255]
    for entry, value in zip(made.classes, VALUES, strict=True):
        assert entry.hectares is not None
        assert abs(entry.hectares.value - (whole == value).sum() / 100) < 3 * (entry.hectares.standard_error or 0)
    right = (other == evaluation_kit.truth(design_map))[design_map != 255].mean()
    assert abs(made.overall.value - right) < 3 * (made.overall.standard_error or 0)
    assert any("drawn from another map of the same pixels" in note for note in made.notes)


def test_the_sample_of_a_map_of_other_ground_has_no_known_design(sample: Any, tmp_path: Path) -> None:
    path, *_ = sample
    fewer = evaluation_kit.pixels()
    fewer[50:60] = 255
    made = evaluated(evaluation_kit.opened(tmp_path / "other", fewer), path)
    assert (made.design, made.no_intervals) == (Design.UNKNOWN, NoIntervals.OTHER_GROUND)
    assert made.unused[Unused.NO_DATA] > 0
    assert not made.intervals


def test_points_of_unknown_design_have_accuracies_without_intervals(delivered: DeliveredMap, tmp_path: Path) -> None:
    values = evaluation_kit.pixels()
    rows = [(x + 0.3, y + 0.9, NAMES[int(values[y, x])]) for x, y in ((20, 20), (50, 33), (99, 80), (119, 99))]
    rows += [(3, 3, "maize"), (-5, 3, "maize"), (20, 150, "maize"), (40.5, 40.5, "rice"), (60, 60, None)]
    frame = evaluation_kit.points(rows)
    made = evaluated(delivered, saved(frame.to_crs(4326), tmp_path / "r.geojson"))
    assert (made.design, made.no_intervals) == (Design.UNKNOWN, NoIntervals.NO_DESIGN)
    assert (made.overall.value, made.overall.standard_error, made.used) == (1.0, None, 4)
    assert made.unused == {Unused.NO_DATA: 1, Unused.OUTSIDE: 2, Unused.UNKNOWN_CLASS: 1, Unused.NO_CLASS: 1}
    assert all(entry.hectares is None for entry in made.classes)
    assert made.proportions == ()


def test_a_point_takes_the_pixel_that_holds_it(delivered: DeliveredMap, tmp_path: Path) -> None:
    """Values of the map at 300 places, and on edges of pixels, as rasterio's own sampling reads them."""
    rng = np.random.default_rng(8)
    places = np.concatenate([rng.uniform((0, 0), (120, 100), (300, 2)), rng.integers((0, 0), (120, 100), (60, 2))])
    frame = evaluation_kit.points([(x, y, "1") for x, y in places])
    made = evaluated(delivered, saved(frame, tmp_path / "r.gpkg"), read_as=ReadAs.VALUES)
    with delivered.opened() as raster:
        sampled = [int(value[0]) for value in raster.sample([(place.x, place.y) for place in frame.geometry])]
    expected = [sampled.count(value) for value in VALUES]
    assert [entry.mapped_units for entry in made.classes] == expected
    assert made.unused == {Unused.NO_DATA: sampled.count(255)}


def test_a_parcel_is_one_unit_that_most_of_its_inner_pixels_name(tmp_path: Path) -> None:
    values = np.zeros(WINDOW.shape, np.uint8)
    values[20:40, 20:40] = 1
    values[20:40, 40:44] = 2
    values[60:80, 20:25], values[60:80, 25:30] = 1, 2
    values[90:, :] = 255
    rows = [
        ((20, 20, 44, 40), "winter wheat"),  # 20 columns of wheat and 4 of maize
        ((18, 18, 21, 42), "winter wheat"),  # only its middle column lies inside whole, which is background
        ((20, 60, 30, 80), "maize"),  # half and half
        ((50, 50, 51, 51), "maize"),  # one pixel, none inside with its edge
        ((60, 91, 80, 99), "maize"),  # no data
        ((300, 20, 310, 30), "maize"),
        ((70, 20, 80, 30), "rice"),
    ]
    made = evaluated(
        evaluation_kit.opened(tmp_path, values), saved(evaluation_kit.parcels(rows), tmp_path / "fields.gpkg")
    )
    assert (made.unit, made.design, made.no_intervals) == ("parcel", Design.UNKNOWN, NoIntervals.PARCELS)
    assert made.unused == {
        Unused.NO_DATA: 1, Unused.OUTSIDE: 1, Unused.TOO_NARROW: 1, Unused.UNDECIDED: 1, Unused.UNKNOWN_CLASS: 1,
    }  # fmt: skip
    wheat = made.classes[1]
    assert (wheat.mapped_units, wheat.reference_units, made.used) == (1, 2, 2)
    assert made.classes[0].mapped_units == 1


def test_codes_of_the_legend_that_made_the_map_are_known(delivered: DeliveredMap, tmp_path: Path) -> None:
    """Background has code 9 and value 0, so only codes explain all."""
    values = evaluation_kit.pixels()
    rows = [(x + 0.5, 70.5, str(evaluation_kit.CODES[int(values[70, x])])) for x in range(0, 120, 3)]
    rows.append((50.5, 50.5, "9"))
    made = evaluated(delivered, saved(evaluation_kit.points(rows), tmp_path / "r.gpkg"))
    assert made.read_as == "codes"
    assert made.used == 41
    assert made.overall.value >= 40 / 41


def test_reference_data_of_which_nothing_can_be_compared_are_refused(delivered: DeliveredMap, tmp_path: Path) -> None:
    path = saved(evaluation_kit.points([(-5, 3, "maize"), (20, 20, None)]), tmp_path / "r.gpkg")
    with pytest.raises(
        RequestError, match=r"nothing of it can be compared with the map: 1 without a class, 1 outside the map's area"
    ):
        evaluated(delivered, path)


def test_labels_that_the_map_was_made_with_are_called_so(tmp_path: Path) -> None:
    path = saved(evaluation_kit.points([(50, 50, "maize")]), tmp_path / "r.gpkg")
    request = {**delivery_kit.facts(WINDOW).request, "labels": str(path)}
    made = evaluated(evaluation_kit.opened(tmp_path, evaluation_kit.pixels(), request=request), path)
    assert made.notes[0].startswith("These are the labels that the request gave")
    other = saved(evaluation_kit.points([(50, 50, "maize")]), tmp_path / "other.gpkg")
    assert not evaluated(evaluation_kit.opened(tmp_path, evaluation_kit.pixels(), request=request), other).notes


def test_a_map_that_was_made_from_simulated_data_says_so(tmp_path: Path) -> None:
    simulated = evaluation_kit.opened(tmp_path, evaluation_kit.pixels(), synthetic=True)
    made = evaluated(simulated, saved(evaluation_kit.points([(50, 50, "maize")]), tmp_path / "r.gpkg"))
    assert made.synthetic
    assert simulated.legend == delivery_kit.LEGEND
