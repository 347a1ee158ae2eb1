"""The hull tells series like those of the training from others, month by month, and says nothing of months that are to come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from agrunet.hull import Hull, PixelSeries, Place, fit_hull, index_names, monthly_indices

BANDS = ("B04", "B08")
ENDS = (31, 59, 90)
DAYS = np.array([5, 20, 40, 70, 85], np.int32)


def season(n: int, peak: float, seed: int = 0) -> npt.NDArray[np.uint16]:
    """Series (n, T, 2) of fields that are greenest at day ``peak``."""
    random = np.random.default_rng(seed)
    green = 0.8 * np.exp(-(((DAYS - peak - random.normal(0, 4, (n, 1))) / 20) ** 2)) + random.normal(
        0, 0.02, (n, len(DAYS))
    )
    return np.stack([1500 * (1 - green), 1500 * (1 + green)], axis=-1).astype(np.uint16)


def indices(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    return monthly_indices(series(values), BANDS, ENDS)


def series(values: npt.NDArray[np.uint16]) -> PixelSeries:
    return PixelSeries(values, np.ones(values.shape[:2], bool), DAYS)


@pytest.fixture(scope="module")
def hull() -> Hull:
    learnt = np.concatenate([indices(season(400, peak, 1)) for peak in (20, 75)])
    others = series(np.concatenate([season(200, peak, 2) for peak in (20, 75)]))
    unseen = [monthly_indices(others.until(end, 2), BANDS, ENDS[: number + 1]) for number, end in enumerate(ENDS)]
    return fit_hull(learnt, unseen, BANDS, ENDS, least_dates=2)


def shares(hull: Hull, values: npt.NDArray[np.uint16], months: int | None = None) -> list[float]:
    places = hull.places(series(values), months)
    return [float((places == place).mean()) for place in Place]


def test_like_pixels_lie_inside_and_others_outside(hull: Hull) -> None:
    assert shares(hull, season(500, 75, 3))[Place.INSIDE] > 0.9
    assert shares(hull, season(500, 47, 3))[Place.OUTSIDE] > 0.9, "between the two kinds there is none"


def test_months_to_come_are_not_compared(hull: Hull) -> None:
    late = season(500, 75, 3)
    late[:, 3:] = 3000  # what isn't known yet may be anything
    assert shares(hull, late, 2)[Place.INSIDE] > 0.9
    assert shares(hull, late)[Place.OUTSIDE] > 0.9
    assert shares(hull, late, 0) == shares(hull, late, 1), "one month at least"


def test_pixels_with_too_few_clear_dates_by_then_have_no_place(hull: Hull) -> None:
    values = season(3, 75)
    clear = np.ones((3, len(DAYS)), bool)
    clear[0, 1:], clear[1, :3] = False, False
    pixels = PixelSeries(values, clear, DAYS)
    assert [len(hull.places(pixels, months)) for months in (1, 2, 3)] == [1, 1, 2]


def test_a_month_is_the_mean_between_clear_dates_and_ends_hold() -> None:
    values = np.array([[[1000], [9999], [3000]]], np.uint16)  # one band: the brightness alone
    clear = np.array([[True, False, True]])
    found = monthly_indices(PixelSeries(values, clear, np.array([10, 20, 30], np.int32)), ("B02",), (30, 60))
    np.testing.assert_allclose(found[0, 0], np.log([1000, 1500, 2500]).mean())
    np.testing.assert_allclose(found[0, 1], np.log(3000))


def test_indices_are_those_whose_bands_are_there() -> None:
    assert index_names(("B02",)) == ("brightness",)
    assert index_names(("B02", "B03", "B04", "B08", "B11")) == ("brightness", "B08-B04", "B08-B11", "B03-B11")


def test_a_hull_comes_back_and_one_that_does_not_fit_is_refused(hull: Hull) -> None:
    assert Hull.model_validate_json(hull.model_dump_json()) == hull
    with pytest.raises(ValueError, match="don't fit 3 months of 2 indices"):
        Hull.model_validate(hull.model_dump() | {"limits": hull.limits[:2]})
    with pytest.raises(ValueError, match="2 means and 2 deviations for bands B02"):
        Hull.model_validate(hull.model_dump() | {"bands": ("B02",)})
