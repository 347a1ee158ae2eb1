"""The package in `docs/examples/mowing` is built, installed and tested as its README says; Cropline's checkout is only looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from plug_kit import build_and_install


def test_its_own_tests_pass_where_it_is_installed(repository: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build_and_install(repository / "docs" / "examples" / "mowing", tmp_path, site)
    data = os.environ.get("CROPLINE_TEST_DATA", str(repository.parent / "shared" / "data"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "source",
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{repository}", "CROPLINE_TEST_DATA": data},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
