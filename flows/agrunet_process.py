"""`python -m agrunet` as a process of its own, which ends with this one. Torch stays there."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from pathlib import Path

from catalog.errors import ModelError
from flows.reporting.progress import Advance

_STEP = re.compile(r"step (\d+) of (\d+)")


def run_apart(command: list[str], made: Path, advance: Advance) -> None:
    """Run a command that makes a file; its lines of progress are passed on. A file that is there counts, whatever came after it.

    Raises `ModelError` with the last lines where it fails.
    """
    last = deque[str](maxlen=12)
    with subprocess.Popen(  # noqa: S603 - this interpreter, words of this module
        command,
        stdin=subprocess.PIPE,  # nothing comes through it; its end tells the training that this process is gone
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            for line in process.stdout or ():
                last.append(line.rstrip())
                if step := _STEP.search(line):
                    advance(int(step[1]), int(step[2]))
            process.wait()
        except BaseException:
            process.terminate()
            raise
    if process.returncode and not made.is_file():
        raise ModelError("\n".join([f"agrunet ended with exit code {process.returncode}; it said last:", *last]))
