"""The talk's figures as its pages print them, and the machines that they are set beside."""

from __future__ import annotations

import pytest

from agrunet.bench.talk import (
    FIGURES,
    FULL_PAGE,
    INFERENCE_PAGE,
    SEASON_GAINS,
    TRAINING_PAGE,
    machine_class,
    talk_figure,
)


@pytest.mark.parametrize(
    ("network", "config", "season", "purpose", "precision", "device", "gpus", "rate", "page"),
    [
        ("unet3d", "orthopastis", "year", "training", "fp32", "Tesla V100-SXM2-32GB", 1, 2.95, FULL_PAGE),
        ("utae", "munich", "year", "inference", "fp32", "Tesla V100-SXM2-32GB", 1, 59.29, FULL_PAGE),
        ("agrunet", "orthopastis", "year", "inference", "bf16", "Tesla V100-SXM2-32GB", 1, 41.04, FULL_PAGE),
        ("agrunet", "munich", "year", "training", "bf16", "Tesla V100-SXM2-32GB", 3, 186.26, FULL_PAGE),
        ("agrunet", "orthopastis", "jan-jul", "training", "fp32", "NVIDIA A100-SXM4-40GB", 1, 5.61, TRAINING_PAGE),
        ("agrunet", "orthopastis", "jan-jul", "inference", "bf16", "NVIDIA H100 80GB HBM3", 1, 605.53, INFERENCE_PAGE),
        ("agrunet", "orthopastis", "jan-jul", "training", "bf16", "NVIDIA GH200 480GB", 1, 59.49, TRAINING_PAGE),
        ("agrunet", "munich", "jan-jul", "inference", "bf16", "NVIDIA H100 80GB HBM3", 1, 1649.10, INFERENCE_PAGE),
        ("agrunet", "munich", "jan-jul", "training", "tf32", "NVIDIA H100 PCIe", 1, 185.25, TRAINING_PAGE),
        ("agrunet", "munich", "jan-jul", "inference", "tf32", "NVIDIA A100-SXM4-40GB", 8, 3166.60, INFERENCE_PAGE),
    ],
)
def test_figures_are_those_of_the_slides(
    network: str,
    config: str,
    season: str,
    purpose: str,
    precision: str,
    device: str,
    gpus: int,
    rate: float,
    page: str,
) -> None:
    figure = talk_figure(network, config, season, purpose, precision, device, gpus)  # type: ignore[arg-type]
    assert figure is not None
    assert (figure.images_per_second, figure.page) == (rate, page)


def test_every_cell_stands_once() -> None:
    # Full length: training 2 + 2 + 4 x 4, inference 2 + 2 + 3 x 4; the machines, each of two tables: 2 x (8 + 5 + 5 + 3).
    assert len(FIGURES) == 20 + 16 + 2 * 42
    keys = {
        (f.network, f.config, f.season, f.purpose, f.machine, f.gpus, f.precision, f.images_per_second) for f in FIGURES
    }
    assert len(keys) == len(FIGURES)


def test_more_gpus_are_faster_in_every_column() -> None:
    # A digit that slipped shows here: throughput grows with the number of GPUs everywhere in the talk.
    columns: dict[tuple[str, ...], list[tuple[int, float]]] = {}
    for f in FIGURES:
        key = (f.network, f.config, f.season, f.purpose, f.machine, f.precision)
        columns.setdefault(key, []).append((f.gpus, f.images_per_second))
    for key, column in columns.items():
        rates = [rate for _, rate in sorted(column)]
        assert rates == sorted(rates), key
        assert all(rate <= rates[0] * gpus * 1.02 for gpus, rate in column), key


def test_gains_of_the_season_follow_from_the_tables() -> None:
    for (purpose, precision), gain in SEASON_GAINS.items():
        rates = {
            season: talk_figure("agrunet", "orthopastis", season, purpose, precision, "V100")  # type: ignore[arg-type]
            for season in ("year", "jan-jul")
        }
        short, whole = rates["jan-jul"], rates["year"]
        assert short is not None
        assert whole is not None
        assert short.images_per_second / whole.images_per_second == pytest.approx(gain, abs=0.051)


@pytest.mark.parametrize(
    "device",
    [
        "Intel(R) Xeon(R) Gold 6242 CPU @ 2.80GHz, 32 cores",
        "NVIDIA RTX A1000 Laptop GPU",
        "NVIDIA H200",
        "AMD EPYC 7742",
    ],
)
def test_other_machines_have_no_figure(device: str) -> None:
    assert machine_class(device) is None
    assert talk_figure("agrunet", "orthopastis", "jan-jul", "inference", "fp32", device) is None


def test_a_season_that_the_talk_did_not_run_there_has_none() -> None:
    assert talk_figure("agrunet", "orthopastis", "year", "inference", "fp32", "NVIDIA H100 80GB HBM3") is None
