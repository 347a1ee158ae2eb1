"""`cropline bench network`: whole runs with tiny shapes, and what goes where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agrunet.bench import plan
from agrunet.bench.problems import PROBLEMS, Problem
from catalog.errors import CroplineError
from flows.commands.main import app

AGREED = {
    *("network", "config", "parameters", "gflop", "device", "precision", "mode", "images_per_second"),
    *("ratio_to_utae", "ratio_to_unet3d", "talk", "dates", "batch", "peak_bytes", "season", "torch", "threads"),
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The talk's configurations, shrunk to what a test can wait for."""
    shrunk: dict[str, Problem] = {
        name: problem.model_copy(update={"size": 16, "filters": (4,), "year": 4, "jan_jul": 3})
        for name, problem in PROBLEMS.items()
    }
    monkeypatch.setattr(plan, "PROBLEMS", shrunk)


def _bench(*words: str) -> Any:
    return CliRunner().invoke(app, ["bench", "network", *words], catch_exceptions=False)


def test_a_whole_run_prints_a_table_and_writes_json_and_plot(tiny: None, tmp_path: Path) -> None:
    json_file, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    done = _bench(
        *("--quick", "--networks", "agrunet,utae,unet3d", "--configs", "orthopastis", "--season", "both"),
        *("--precisions", "fp32"),
        *("--rounds", "1", "--threads", "1", "--json", str(json_file), "--plot", str(plot)),
    )
    assert done.exit_code == 0
    assert "QUICK" in done.stdout
    assert "Throughput from January to July over that of the whole year" in done.stdout
    rows = json.loads(json_file.read_text())
    # Three networks, two seasons, inference and training.
    assert len(rows) == 3 * 2 * 2
    for row in rows:
        assert set(row) >= AGREED
        assert row["reason"] is None
        assert row["images_per_second"] > 0
        assert row["slowest"] <= row["images_per_second"] <= row["fastest"]
        assert row["peak_bytes"] > 20_000_000
        assert row["gflop"] > 0
        assert row["ratio_to_utae"] > 0
        assert row["talk"] is None
        assert (row["quick"], row["dates_assumed"], row["threads"], row["device"]) == (True, False, 1, "cpu")
        if row["network"] == "utae" and row["precision"] == "fp32":
            assert row["ratio_to_utae"] == 1
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_json_to_standard_output_is_all_that_stands_there(
    run_command: Callable[..., Any], environment_of: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    env = environment_of(tmp_path / "store")
    words = ("--quick", "--networks", "utae", "--configs", "orthopastis", "--precisions", "fp32")
    done = run_command("cropline", "bench", "network", *words, "--rounds", "1", "--json", "-", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert [(row["network"], row["mode"], row["reason"]) for row in json.loads(done.stdout)] == [
        ("utae", "inference", None),
        ("utae", "training", None),
    ]
    assert "time/U-TAE" in done.stderr  # the table


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--networks", "resnet"], "no network 'resnet'"),
        (["--precisions", "tf32"], "CUDA devices"),
    ],
)
def test_wrong_words_are_messages(words: list[str], message: str) -> None:
    with pytest.raises(CroplineError, match=message):
        _bench(*words)
