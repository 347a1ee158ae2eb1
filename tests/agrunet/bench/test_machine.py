"""Names of processors and what they can, from what Linux says of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agrunet.bench import machine


@pytest.mark.parametrize(
    ("said", "name", "bf16"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t\t: fpu avx avx2\n", "AMD EPYC 7B13", False),
        ("model name\t: Intel(R) Xeon(R)\nflags\t: avx2 avx512_bf16 amx_tile\n", "Intel(R) Xeon(R)", True),
        ("processor\t: 0\nFeatures\t: fp asimd i8mm bf16\n", None, True),
    ],
)
def test_the_processor_is_named(
    said: str, name: str | None, bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(said)
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine.device_name("cpu") == f"{name or 'aarch64'}, {os.cpu_count()} cores"
    assert machine.has_bf16("cpu") is bf16
