"""Ratios and gains from given rates, and what the JSON holds."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from agrunet.bench.rows import Row, season_gains, to_json, with_ratios

Make = Callable[..., Row]


def test_a_figure_is_the_median_of_its_rounds(make_row: Make) -> None:
    row = make_row().with_rates([4.0, 1.0, 10.0, 5.0, 4.5])
    assert (row.images_per_second, row.slowest, row.fastest, row.rounds) == (4.5, 1.0, 10.0, 5)


def test_ratios_are_of_times_to_the_eager_fp32_ones(make_row: Make) -> None:
    rows = [
        make_row(2.0, network="agrunet"),
        make_row(8.0, network="agrunet", precision="bf16"),
        make_row(4.0, network="utae"),
        make_row(16.0, network="utae", precision="bf16"),
        make_row(20.0, network="utae", mode="inference-compiled"),
        make_row(5.0, network="unet3d"),
    ]
    found = with_ratios(rows)
    # U-TAE takes 0.25 s an image, UNet-3D 0.2 s.
    assert [row.ratio_to_utae for row in found] == [2.0, 0.5, 1.0, 0.25, 0.2, 0.8]
    assert [row.ratio_to_unet3d for row in found] == [2.5, 0.625, 1.25, 0.3125, 0.25, 1.0]


@pytest.mark.parametrize("other", [{"mode": "training"}, {"season": "year"}, {"config": "munich"}])
def test_ratios_stay_within_their_group(other: dict[str, str], make_row: Make) -> None:
    found = with_ratios([make_row(2.0), make_row(4.0, network="utae", **other)])
    assert found[0].ratio_to_utae is None
    assert found[1].ratio_to_utae == 1.0


def test_without_a_reference_or_a_figure_there_is_no_ratio(make_row: Make) -> None:
    failed = make_row(network="utae", reason="out of memory")
    found = with_ratios(
        [make_row(2.0), failed, make_row(3.0, network="unet3d"), make_row(network="tsvit", reason="no")]
    )
    assert [row.ratio_to_utae for row in found] == [None] * 4
    assert [row.ratio_to_unet3d for row in found] == [1.5, None, 1.0, None]


def test_compiled_training_is_compared_with_eager_training(make_row: Make) -> None:
    found = with_ratios([make_row(1.0, network="utae", mode="training"), make_row(2.0, mode="training-compiled")])
    assert found[1].ratio_to_utae == 0.5


def test_gains_of_the_season_stand_beside_the_talks(make_row: Make) -> None:
    rows = [
        make_row(3.0, season="year"),
        make_row(6.0, season="jan-jul"),
        make_row(2.0, season="year", mode="training", precision="bf16"),
        make_row(3.0, season="jan-jul", mode="training", precision="bf16"),
        make_row(1.0, season="year", network="utae"),
        make_row(2.5, season="jan-jul", network="utae"),
        make_row(4.0, season="jan-jul", config="munich"),
    ]
    found = [(gain.network, gain.mode, gain.gain, gain.talk) for gain in season_gains(rows)]
    assert found == [
        ("agrunet", "inference", 2.0, 1.8),
        ("agrunet", "training", 1.5, 1.7),
        ("utae", "inference", 2.5, None),
    ]


def test_json_is_a_list_of_objects_with_the_agreed_names(make_row: Make) -> None:
    listed = json.loads(to_json(with_ratios([make_row(2.0), make_row(network="utae", reason="out of memory")])))
    agreed = {
        *("network", "config", "parameters", "gflop", "device", "precision", "mode", "images_per_second"),
        *("ratio_to_utae", "ratio_to_unet3d", "talk", "dates", "batch", "peak_bytes", "season", "torch", "threads"),
        *("quick", "dates_assumed", "slowest", "fastest", "reason"),
    }
    assert [agreed - set(item) for item in listed] == [set(), set()]
    assert listed[0]["images_per_second"] == 2.0
    assert listed[1]["images_per_second"] is None
    assert listed[1]["reason"] == "out of memory"
