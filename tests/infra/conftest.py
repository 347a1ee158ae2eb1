"""The files of `infra`, read and run without an engine, a cluster or a scheduler."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Puts shell scripts in the place of programs, by name; an environment in which they are found first."""

    def environment(**bodies: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name, body in bodies.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CROPLINE_"))}
        return {**kept, "PATH": f"{folder}:{os.environ['PATH']}"}

    return environment
