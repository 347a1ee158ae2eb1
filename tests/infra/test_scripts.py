"""Shell scripts: a shell can read them, and shellcheck finds nothing; what was never run says so in its first lines."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
SCRIPTS = sorted([*INFRA.rglob("*.sh"), *INFRA.rglob("*.sbatch")])


def relative(path: Path) -> str:
    return path.relative_to(INFRA).as_posix()


@pytest.mark.parametrize("script", SCRIPTS, ids=relative)
def test_a_shell_can_read_it(script: Path) -> None:
    shell = script.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()[-1].rpartition("/")[2]
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is missing. On Debian: apt-get install shellcheck"
)
def test_shellcheck_finds_nothing() -> None:
    words = ["shellcheck", "--severity=warning", *map(str, SCRIPTS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "file",
    sorted(
        file
        for folder in ("container", "compose", "helm", "slurm")
        for file in (INFRA / folder).iterdir()
        if file.is_file() and file.name not in (".gitignore", "entrypoint.sh", "secrets.sh")
    ),
    ids=relative,
)
def test_what_was_never_run_says_so_first(file: Path) -> None:
    said = file.read_text(encoding="utf-8").partition("\nset -euo")[0][:2400]
    assert re.search(r"\b[Nn]ever (run|tried|installed|applied)\b", said)
