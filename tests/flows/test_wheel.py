"""The wheel holds all that the checkout's packages do, also when it is built from the sdist, and works in an empty folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("agrunet", "catalog", "flows", "processors")

BUILD = "import setuptools.build_meta as backend, sys; print(getattr(backend, sys.argv[1])(sys.argv[2]))"


def build(source: Path, kind: str, output: Path) -> Path:
    """Build an sdist or a wheel of a source tree, as pip does, without network."""
    output.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{kind}", str(output)], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Files of the checkout that git knows or would add."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no checkout of git: which files belong to it can't be told")
    return [name for name in listed if (REPOSITORY / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked:
        target = folder / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target, follow_symlinks=False)
    sdist = build(folder / "checkout", "sdist", folder / "dist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return build(next((folder / "unpacked").iterdir()), "wheel", folder / "dist")


def test_a_wheel_holds_every_file_of_the_packages(wheel: Path, tracked: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        deployments = archive.read("flows/prefect_process/prefect.yaml")
    assert sorted(name for name in tracked if name.startswith(PACKAGES) and name not in held) == []
    assert {name.partition("/")[0] for name in held if ".dist-info" not in name} == set(PACKAGES)
    assert deployments == (REPOSITORY / "prefect.yaml").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_installed_wheel_works_in_an_empty_folder(
    wheel: Path, tmp_path: Path, run_command: Callable[..., Any], environment_of: Callable[..., dict[str, str]]
) -> None:
    """Beside the packages that the tests run with: the checkout is found by nobody."""
    site, folder = tmp_path / "site", tmp_path / "empty"
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel)],
        check=True,
    )  # fmt: skip
    env = environment_of(folder / ".cropline", PYTHONPATH=str(site))

    def cropline(*words: str) -> str:
        done = run_command("cropline", *words, cwd=folder, env=env, timeout=900)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    where = subprocess.run(
        [sys.executable, "-c", "import flows; print(flows.__file__)"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(site))
    assert "against what was simulated" in cropline("demo")
    try:
        assert "PREFECT_PLUGINS_ENABLED=true prefect deployment run crop-map/request" in cropline("up")
    finally:
        cropline("down")
