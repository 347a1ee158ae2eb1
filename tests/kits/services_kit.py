"""PostgreSQL and Redis of a test's own, by the script that users start them with."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "infra" / "services.sh"


def needs_packages() -> None:
    """Skip the test where Debian's packages are missing; `.ci/run` installs them."""
    if not shutil.which("redis-server") or not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("PostgreSQL and Redis are missing: apt-get install -y postgresql redis-server")


def call(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    return subprocess.run(
        ["bash", str(SCRIPT), *words], env=env, capture_output=True, text=True, timeout=240, check=False
    )


@contextmanager
def services_folder() -> Iterator[Path]:
    """A folder that the user `postgres` can enter, as pytest's own ones can't be; what runs in it is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cropline-services-"))
    folder.chmod(0o755)
    try:
        yield folder / "services"
    finally:
        call("stop", str(folder / "services"))
        shutil.rmtree(folder)


def environment(folder: Path) -> dict[str, str]:
    """What the script says that `cropline up` needs."""
    said = call("environment", str(folder))
    assert said.returncode == 0, said.stderr
    return dict(re.findall(r"export (\w+)=(.*)", said.stdout))


def processes_in(folder: Path) -> list[psutil.Process]:
    """The processes of PostgreSQL and Redis that work below a folder, the oldest first."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.name() in ("postgres", "redis-server") and folder in Path(process.cwd()).parents:
                found.append(process)
        except psutil.Error:
            continue
    return sorted(found, key=psutil.Process.create_time)
