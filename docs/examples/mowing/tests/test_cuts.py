"""Which losses of NDVI are cuts: examples worked by hand, then many drawn at random against the rule written in pandas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rule_in_pandas import COLUMNS, clear_looks, expected

from cropline_mowing.cuts import NAMES, Cuts, Rule, find_cuts

RULE = Rule(least_loss=0.15, least_green=0.5, reference_days=30, since=0, until=200)


def of_one_pixel(looks: list[tuple[int, str, float]], rule: Rule = RULE) -> dict[str, float]:
    """What is found in (day, orbit, NDVI) of one pixel."""
    days, orbits, ndvi = zip(*looks, strict=True)
    cuts = find_cuts(np.array(ndvi, np.float32)[:, None, None], days, orbits, rule)
    return dict(zip(NAMES, cuts.stacked()[:, 0, 0].tolist(), strict=True))


def test_a_loss_between_two_passes_of_an_orbit_is_a_cut() -> None:
    found = of_one_pixel([(100, "A", 0.85), (110, "A", 0.60), (125, "A", 0.70)])
    assert found == pytest.approx({"count": 1, "after": 100, "seen": 110, "loss": 0.25, "gap": 100})


def test_another_orbit_sees_the_same_cut_and_it_counts_once() -> None:
    found = of_one_pixel([(100, "A", 0.85), (103, "B", 0.87), (110, "A", 0.60), (113, "B", 0.61)])
    assert (found["count"], found["after"], found["seen"]) == (1, 100, 110)


def test_passes_of_two_orbits_are_not_compared_with_each_other() -> None:
    """B looks from where the sward seems less green; nothing happens on the ground."""
    looks = [(100, "A", 0.85), (103, "B", 0.65), (110, "A", 0.86), (113, "B", 0.66), (120, "A", 0.85), (123, "B", 0.64)]
    assert of_one_pixel(looks)["count"] == 0
    whatever = [(day, "any", ndvi) for day, _, ndvi in looks]
    assert of_one_pixel(whatever)["loss"] == pytest.approx(0.21), "which looks like a cut where orbits are mixed"
    assert of_one_pixel([*whatever[:-1], (123, "any", 0.64), (134, "any", 0.64)])["count"] == 1


def test_a_loss_that_the_next_clear_pass_takes_back_was_a_cloud() -> None:
    cloud = [(100, "A", 0.85), (105, "A", 0.60)]
    assert of_one_pixel([*cloud, (112, "A", 0.84)])["count"] == 0
    assert of_one_pixel([*cloud, (107, "B", 0.84)])["count"] == 0, "whatever orbit takes it back"
    assert of_one_pixel([*cloud, (116, "A", 0.84)])["count"] == 1, "eleven days later it may have grown"
    assert of_one_pixel(cloud)["count"] == 1, "where nothing comes after it stands"


def test_a_second_cut_needs_a_sward_that_grew_again_and_time() -> None:
    first = [(100, "A", 0.85), (110, "A", 0.60)]
    assert of_one_pixel([*first, (130, "A", 0.80), (140, "A", 0.55)])["count"] == 2
    assert of_one_pixel([*first, (125, "A", 0.60), (140, "A", 0.42)])["count"] == 1, "it only fades"
    assert of_one_pixel([*first, (116, "A", 0.74), (122, "A", 0.55)])["count"] == 1, "too soon"


def test_bare_ground_and_old_passes_have_nothing_to_cut() -> None:
    assert of_one_pixel([(100, "A", 0.45), (110, "A", 0.20)])["count"] == 0
    assert np.isnan(of_one_pixel([(100, "A", 0.85), (131, "A", 0.60)])["count"]), "never compared"


def test_both_passes_lie_in_the_period() -> None:
    looks = [(100, "A", 0.85), (110, "A", 0.60), (125, "A", 0.62)]
    assert of_one_pixel(looks, replace(RULE, since=100, until=110))["count"] == 1
    assert of_one_pixel(looks, replace(RULE, since=101))["count"] == 0
    assert np.isnan(of_one_pixel(looks, replace(RULE, until=109))["count"])


def test_what_is_never_seen_is_not_known() -> None:
    nothing = np.full((3, 2, 2), np.nan, np.float32)
    assert np.isnan(find_cuts(nothing, (1, 6, 11), ("A", "A", "A"), RULE).stacked()).all()
    seen = np.full((3, 2, 2), 0.8, np.float32)
    assert np.isnan(find_cuts(seen, (1, 6, 11), ("", "", ""), RULE).stacked()).all(), "no orbit is known"


@pytest.mark.parametrize("seed", range(4))
def test_all_numbers_are_those_of_the_rule_in_pandas(seed: int) -> None:
    draw = np.random.default_rng(seed)
    passes, shape = 40, (12, 12)
    days = np.sort(draw.choice(180, passes, replace=False)).tolist()
    orbits = draw.choice(["R008", "R051", ""], passes, p=[0.4, 0.4, 0.2]).tolist()
    # Swards grow back and are cut; a tenth of what is clear isn't, and a third isn't seen.
    ndvi = np.clip(0.55 + 0.3 * np.sin(np.cumsum(draw.normal(0, 0.5, (passes, *shape)), axis=0)), 0, 1).astype(
        np.float32
    )
    ndvi -= (draw.random(ndvi.shape) < 0.1).astype(np.float32) * np.float32(0.3)
    ndvi[draw.random(ndvi.shape) < 1 / 3] = np.nan
    rule = replace(RULE, since=10, until=150)
    found: Cuts = find_cuts(ndvi, days, orbits, rule)
    table = expected(clear_looks(ndvi, days, orbits), days[-1], rule)
    layers = {name: np.asarray(getattr(found, name)).ravel() for name in NAMES}
    known = np.flatnonzero(np.isfinite(layers["count"]))
    assert known.tolist() == sorted(table.index)
    assert table["count"].max() >= 2, "the drawn series have something to find"
    for name in COLUMNS:
        np.testing.assert_array_equal(layers[name][table.index], table[name].to_numpy(np.float32), err_msg=name)
