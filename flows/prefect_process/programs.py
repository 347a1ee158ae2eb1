"""Programs of the system that copy what is backed up."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping

from catalog.storage.system_errors import is_refusal, refusal
from flows.prefect_process.api import ServiceError


class ProgramMissingError(ServiceError):
    """A program isn't installed."""


def run_program(words: list[str], package: str, secrets: Mapping[str, str] | None = None) -> None:
    """Run a program to its end; ``secrets`` go into its environment. Raises `ServiceError` where it fails or is missing.

    The error's first line says what the system refused and what to do, where that is known; what the program said follows.
    ``package``: Debian's, that has it.
    """
    # What the system refuses is known by its English words.
    environment = {**os.environ, "LC_ALL": "C", **(secrets or {})}
    try:
        done = subprocess.run(  # noqa: S603 - words of this project, no shell
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise ProgramMissingError(f"{words[0]} is missing. On Debian: apt-get install -y {package}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        cause, rest = _cause(said, done.returncode)
        raise ServiceError(f"{words[0]} failed: {cause}\n{rest[-2000:]}".rstrip())


def _cause(said: str, code: int) -> tuple[str, str]:
    """The system's refusal among a program's words, with the remedy; else its first line. And what else it said."""
    for number in errno.errorcode:
        if os.strerror(number) in said and is_refusal(error := OSError(number, os.strerror(number))):
            return f"{refusal(error)}, and run again.", said
    if code < 0:
        return f"it was ended by signal {-code}. Run again.", said
    first, _, rest = said.partition("\n")
    return first or f"it ended with {code} and said nothing. Run again.", rest
