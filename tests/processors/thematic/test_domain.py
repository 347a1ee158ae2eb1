"""The domain check: shares of pixels by place, the verdict that follows from them, and what is looked at."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import thematic_kit
from shapely.geometry import box

from agrunet.data.patches import Patch
from agrunet.hull import Hull, PixelSeries, fit_hull, monthly_indices
from catalog.errors import ModelError
from catalog.grid import Window
from processors.thematic.domain import Domain, Sample, Verdict, draw_samples, judge_domain, model_hull

BANDS = ("B04", "B08")
DAYS = np.arange(5, 90, 10).astype(np.int32)
ENDS = (31, 59, 90)
SIZE = 16


def patch(level: npt.NDArray[np.float64], clear: npt.NDArray[np.bool_] | None = None, seed: int = 0) -> Patch:
    """A patch whose greenness rises to a level of each pixel (H, W)."""
    rise = np.linspace(0, 1, len(DAYS))[:, None, None] * level
    green = rise + np.random.default_rng(seed).normal(0, 0.05, rise.shape)
    values = np.stack([2000 * (1 - green), 2000 * (1 + green)], axis=1).astype(np.uint16)
    return Patch(values, np.ones(rise.shape, bool) if clear is None else clear, DAYS)


@pytest.fixture(scope="module")
def hull() -> Hull:
    everywhere = np.arange(SIZE * SIZE)
    learnt, others = (PixelSeries.of(patch(np.full((SIZE, SIZE), 0.6), seed=seed), everywhere) for seed in (1, 2))
    unseen = [monthly_indices(others.until(end, 3), BANDS, ENDS[: last + 1]) for last, end in enumerate(ENDS)]
    return fit_hull(monthly_indices(learnt, BANDS, ENDS), unseen, BANDS, ENDS, least_dates=3)


class OnePatch:
    def __init__(self, made: Patch) -> None:
        self.made = made

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Patch:  # noqa: ARG002
        return self.made


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [(0, Verdict.INSIDE), (3, Verdict.EDGE), (5, Verdict.OUTSIDE), (11, Verdict.OUTSIDE), (16, Verdict.OUTSIDE)],
)
def test_the_verdict_follows_from_the_shares(hull: Hull, rows: int, verdict: Verdict) -> None:
    level = np.full((SIZE, SIZE), 0.6)
    level[:rows] = 0.1
    found = judge_domain(
        OnePatch(patch(level, seed=3)), [Sample(0, np.arange(SIZE * SIZE))], hull, 3, BANDS, masked=False
    )
    assert found.verdict is verdict
    assert (found.pixels, found.months) == (256, 3)
    assert sum(found.shares.values()) == pytest.approx(1, abs=1e-3)
    assert found.shares["outside"] == pytest.approx(rows / SIZE, abs=0.04)
    note = found.note
    if verdict is Verdict.INSIDE:
        assert note is None
    else:
        assert note is not None
        assert note.startswith(f"Domain: {verdict}. {100 * (1 - found.shares['inside']):.0f} % of the pixels")
        assert "abels of this region" in note
        assert note.endswith("a crop_mask leaves them out.")
        cropland = found.model_copy(update={"masked": True}).note
        assert cropland is not None
        assert "crop_mask" not in cropland


def test_pixels_that_are_not_mapped_do_not_count(hull: Hull) -> None:
    level, clear = np.full((SIZE, SIZE), 0.6), np.ones((len(DAYS), SIZE, SIZE), bool)
    level[:8], clear[2:, :8] = 0.1, False
    found = judge_domain(OnePatch(patch(level, clear, 4)), [Sample(0, np.arange(256))], hull, 3, BANDS, masked=False)
    assert (found.pixels, found.verdict) == (128, Verdict.INSIDE)


def test_months_that_are_not_over_are_not_compared(hull: Hull) -> None:
    level = np.full((SIZE, SIZE), 0.6)
    late = patch(level, seed=5)
    late.values[6:] = 4000
    sample = [Sample(0, np.arange(256))]
    assert judge_domain(OnePatch(late), sample, hull, 2, BANDS, masked=False).verdict is Verdict.INSIDE
    assert judge_domain(OnePatch(late), sample, hull, 3, BANDS, masked=False).verdict is Verdict.OUTSIDE


def test_without_a_hull_or_any_pixel_nothing_is_known(hull: Hull, tmp_path: Path) -> None:
    source, sample = OnePatch(patch(np.full((SIZE, SIZE), 0.6))), [Sample(0, np.arange(256))]
    unknown = Domain(verdict=Verdict.UNKNOWN)
    assert judge_domain(source, sample, None, 3, BANDS, masked=False) == unknown
    assert judge_domain(source, [], hull, 3, BANDS, masked=False) == unknown
    assert judge_domain(source, sample, hull, 3, ("B08", "B04"), masked=False) == unknown
    assert unknown.note is None
    model = thematic_kit.write_model(tmp_path / "model", BANDS)
    assert model_hull(model) is None
    (model / "hull.json").write_text(hull.model_dump_json())
    with pytest.raises(ModelError, match=r"item\.json states no checksum of hull\.json"):
        model_hull(model)


def test_the_shipped_model_knows_what_it_learnt_from() -> None:
    from catalog.registry import SHIPPED

    found = model_hull(SHIPPED / "simulated-18-crops")
    assert found is not None
    assert found.ends == tuple((date(2019, month, 1) - date(2019, 1, 1)).days for month in range(2, 9))
    assert all(0 < inside < edge < 1 for inside, edge in found.limits)


def test_pixels_are_drawn_from_the_area_and_the_mask_and_spread_over_both() -> None:
    windows = [Window(32631, 16 * column, 16, 16, 16) for column in range(200)]
    area = box(0, 0, 10 * 16 * 200, 80)  # the lower half of each window
    samples = draw_samples(windows, area)
    assert [len(sample.pixels) for sample in samples] == [128] * 48
    assert (samples[0].patch, samples[-1].patch) == (0, 199)
    assert all((sample.pixels >= 128).all() for sample in samples)
    again = draw_samples(windows, area)
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(samples, again, strict=True))

    class LeftHalf:
        def read(self, window: Window) -> npt.NDArray[np.bool_]:
            return np.broadcast_to(np.arange(16) < 8, (16, 16)) & (window.left < 1600)

    masked = draw_samples(windows, area, LeftHalf())
    assert {sample.patch < 100 for sample in masked} == {True}
    assert all((sample.pixels % 16 < 8).all() for sample in masked)
