"""The first program of a container: secrets of files become variables of the process, and nothing else's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ENTRYPOINT = Path(__file__).resolve().parents[2] / "infra" / "container" / "entrypoint.sh"


def run(*words: str, secrets: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "CROPLINE_SECRETS": str(secrets), **more}
    return subprocess.run(["sh", str(ENTRYPOINT), *words], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "AWS_SECRET_ACCESS_KEY").write_text("s3cr3t $HOME `id` 'quoted'\nsecond line\n")
    (folder / "CROPLINE_REDIS").write_text("redis://:x@redis:6379/0")  # without an end of the line
    (folder / "redis.conf").write_text("requirepass x\n")
    (folder / "9_LIVES").write_text("no\n")
    return folder


def test_files_with_a_variables_name_become_variables(secrets: Path) -> None:
    lines = run("env", secrets=secrets).stdout.splitlines()
    assert "AWS_SECRET_ACCESS_KEY=s3cr3t $HOME `id` 'quoted'" in lines
    assert "CROPLINE_REDIS=redis://:x@redis:6379/0" in lines
    assert not [line for line in lines if "second" in line or "requirepass" in line or "LIVES" in line]


def test_what_is_set_already_stays(secrets: Path) -> None:
    done = run("printenv", "CROPLINE_REDIS", secrets=secrets, CROPLINE_REDIS="")
    assert (done.returncode, done.stdout) == (0, "\n"), "also where it is empty on purpose"


def test_it_becomes_the_command_without_secrets_and_with_all_words(tmp_path: Path) -> None:
    done = run("sh", "-c", 'echo "$$ $0 $1"; exit 7', "a b", "c", secrets=tmp_path / "none")
    assert done.returncode == 7
    assert done.stdout.split()[1:] == ["a", "b", "c"]


@pytest.mark.skipif(os.getuid() == 0, reason="root reads all files")
def test_a_secret_that_cannot_be_read_is_told(secrets: Path) -> None:
    (secrets / "CROPLINE_REDIS").chmod(0)
    done = run("true", secrets=secrets)
    assert done.returncode == 1
    assert "CROPLINE_REDIS can not be read by the user" in done.stderr


@pytest.mark.parametrize(
    ("words", "becomes"),
    [
        (
            "prefect worker start --type process --pool cropline --with-healthcheck",
            "cropline up --foreground worker --api http://server:4200/api --health 8080",
        ),
        ("prefect deployment ls", "prefect deployment ls"),
        ("dask-scheduler --port=8786 --protocol tls", "dask scheduler --port=8786 --protocol tls"),
        ("dask-worker tls://dask-scheduler:8786", "dask worker tls://dask-scheduler:8786"),
    ],
)
def test_words_of_charts_lead_to_the_right_programs(words: str, becomes: str, tmp_path: Path) -> None:
    for name in ("cropline", "prefect", "dask"):
        (tmp_path / name).write_text('#!/bin/sh\necho "${0##*/} $*"\n')
        (tmp_path / name).chmod(0o755)
    found = f"{tmp_path}:{os.environ['PATH']}"
    done = run(*words.split(), secrets=tmp_path / "none", PATH=found, PREFECT_API_URL="http://server:4200/api")
    assert done.stdout.strip() == becomes
