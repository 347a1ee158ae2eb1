"""`python -m agrunet` as a process of its own, which ends with this one. Torch stays there."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
from collections import deque
from pathlib import Path

from catalog.errors import ModelError
from flows.reporting.progress import Advance

_STEP = re.compile(r"step (\d+) of (\d+)")


ATTEMPTS = 3
"""Times that a process is begun that is killed, as by the system where memory runs out."""

_RANK_ENDED = re.compile(r"exitcode\s*:\s*(-?\d+)\)? ")
"""What torchrun says of a process of a training that failed; its own exit code is 1 whatever that was. All that follows is its own."""

_LAUNCHER = "torch/distributed/elastic/"
"""In lines of the launcher's own log."""

_KILLED = {-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT}
"""Exit codes of a process that was ended from outside, or by a fault below Python; who cancels sends another signal."""


class _KilledError(ModelError):
    """The process was ended before it could say anything."""


def run_apart(command: list[str], made: Path, advance: Advance) -> None:
    """Run a command that makes a file, again where it is killed; its lines of progress are passed on.

    A file that is there counts, whatever came after it. Raises `ModelError` with the last lines where it fails.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _run_once(command, made, advance)
        except _KilledError as error:
            logging.getLogger(__name__).warning("%s\nIt is begun again.", error)
    return _run_once(command, made, advance)


def _run_once(command: list[str], made: Path, advance: Advance) -> None:
    last, codes = deque[str](maxlen=12), set[int]()
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
                if ended := _RANK_ENDED.search(line):
                    codes.add(int(ended[1]))
                if not codes and _LAUNCHER not in line:  # it says at length that something failed, and not what
                    last.append(line.rstrip())
                if step := _STEP.search(line):
                    advance(int(step[1]), int(step[2]))
            process.wait()
        except BaseException:
            process.terminate()
            raise
    if process.returncode and not made.is_file():
        kind = _KilledError if {process.returncode, *codes} & _KILLED else ModelError
        raise kind("\n".join([f"agrunet ended with exit code {process.returncode}; it said last:", *last]))
