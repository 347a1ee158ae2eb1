"""How many runs a machine has at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.prefect_process import work_pool


@pytest.mark.parametrize(("cores", "gigabytes", "runs"), [(2, 25, 2), (16, 25, 6), (16, 3, 1), (1, 100, 1)])
def test_runs_find_a_core_and_their_memory(
    cores: int, gigabytes: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_pool, "cores", lambda: cores)
    monkeypatch.setattr(work_pool, "memory", lambda: gigabytes * 1_000_000_000)
    assert work_pool.usual_runs() == runs


def test_the_memory_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = work_pool.memory()
    (tmp_path / "limit").write_text("1000000\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(work_pool, "_LIMITS", (tmp_path / "none", tmp_path / "absent"))
    assert work_pool.memory() >= whole
    monkeypatch.setattr(work_pool, "_LIMITS", (tmp_path / "none", tmp_path / "limit"))
    assert work_pool.memory() == 1_000_000
