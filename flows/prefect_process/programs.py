"""Programs of the system that copy what is backed up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from flows.prefect_process.api import ServiceError


def run_program(words: list[str], package: str, secrets: Mapping[str, str] | None = None) -> None:
    """Run a program to its end; ``secrets`` go into its environment. Raises `ServiceError` with what it says, or where it is missing.

    ``package``: Debian's, that has it.
    """
    try:
        done = subprocess.run(  # noqa: S603 - words of this project, no shell
            words,
            env={**os.environ, **(secrets or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise ServiceError(f"{words[0]} is missing. On Debian: apt-get install -y {package}") from None
    if done.returncode:
        raise ServiceError(f"{words[0]} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
