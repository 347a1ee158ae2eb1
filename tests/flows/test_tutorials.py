"""Tutorials are what their commands do: each is run in an empty folder, command by command, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
LEFT = {
    "first-map.md": ["first-map/report.html", "first-map/truth.png"],
    "own-labels.md": ["own-map/crop_map.tif", "own-map/evaluation", "own-map-sample.gpkg"],
    "cluster.md": ["vegetation/item.json", "vegetation-to-august/item.json"],
}
"""What each leaves."""


def commands(tutorial: Path) -> str:
    """All that a reader types into the shell."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", tutorial.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


def test_every_tutorial_is_tried() -> None:
    assert {path.name for path in TUTORIALS.glob("*.md")} == set(LEFT)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LEFT)
def test_the_commands_of_a_tutorial_work(name: str, tmp_path: Path) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "CROPLINE_"))}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    folder = tmp_path / "reader"
    folder.mkdir()
    try:
        done = subprocess.run(
            ["bash", "-e", "-c", commands(TUTORIALS / name)], cwd=folder, env=env, capture_output=True, text=True, timeout=1500
        )  # fmt: skip
    finally:
        subprocess.run(["cropline", "down"], cwd=folder, env=env, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [left for left in LEFT[name] if not (folder / left).exists()] == []
