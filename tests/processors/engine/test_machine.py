"""Which GPUs there are, without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.engine import machine
from processors.engine.machine import gpus, parse_listing

TWO = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-66666666-2222-3333-4444-555555555555)
"""
PARTED = """GPU 0: NVIDIA A100-PCIE-40GB (UUID: GPU-11111111-2222-3333-4444-555555555555)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaaaaaa-2222-3333-4444-555555555555)
  MIG 3g.20gb     Device  1: (UUID: MIG-bbbbbbbb-2222-3333-4444-555555555555)
GPU 1: NVIDIA A100-PCIE-40GB (UUID: GPU-cccccccc-2222-3333-4444-555555555555)
"""


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("0,2", ("0", "2")), ("", ()), ("-1", ()), ("GPU-1, GPU-2", ("GPU-1", "GPU-2")), ("3,-1,4", ("3",))],
)
def test_what_may_be_seen_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, visible: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == expected


def test_all_of_the_machine_are_listed_and_parts_instead_of_the_parted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert [name[:5] for name in parse_listing(TWO)] == ["GPU-1", "GPU-6"]
    assert [name[:5] for name in parse_listing(PARTED)] == ["MIG-a", "MIG-b", "GPU-c"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{TWO}END\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpus() == parse_listing(TWO)


def test_without_the_drivers_command_their_files_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "_DEVICES", tmp_path)
    assert gpus() == ()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus() == ("0", "1")
