"""An interrupt that a library drops ends the run all the same."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import time
from pathlib import Path

import pytest

from flows.commands import entry
from flows.commands.interruption import remembered
from flows.commands.options import Asked
from flows.commands.stopping import INTERRUPTED


class Dropping:
    """What Python can't raise from: it prints that it is ignored."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10):
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_was_dropped_is_raised_at_the_next_word() -> None:
    before = signal.getsignal(signal.SIGINT)
    with remembered() as interruption:
        interruption.stage("order", 1, "the source")
        Dropping()
        with pytest.raises(KeyboardInterrupt):
            interruption.advance(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_is_raised_where_it_comes() -> None:
    with remembered(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_who_ignores_interrupts_is_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with remembered() as interruption:
            os.kill(os.getpid(), signal.SIGINT)
            interruption.finish(1, "done")
    finally:
        signal.signal(signal.SIGINT, before)


def test_with_json_an_interrupted_command_answers_in_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app(obj: Asked) -> None:
        obj.as_json = True
        sys.exit(INTERRUPTED)  # as Typer makes it of an interrupt

    monkeypatch.setattr("flows.commands.main.app", app)
    with pytest.raises(SystemExit) as end:
        entry.main()
    said = capsys.readouterr()
    assert end.value.code == 130
    assert json.loads(said.out) == {"error": said.err.strip()}


def _wait_until_loaded(library: str, process: int, argument: str) -> None:
    """Returns when a process that was called with an argument has loaded a library, by a part of its path."""
    deadline = time.monotonic() + 60
    folder = Path("/proc", str(process))
    while argument not in (folder / "cmdline").read_text() or library not in (folder / "maps").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("library", ["pydantic_core", "numpy", "_asyncio"])
def test_an_interrupt_while_python_still_imports_ends_in_one_message(library: str, tmp_path: Path) -> None:
    """From the command's first import on: what comes in the interpreter's own start ends by the signal, without a word."""
    command = Path(sys.executable).with_name("cropline")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(command, [str(command), "run", "nowhere.json"])
    _wait_until_loaded(library, child, "nowhere.json")
    os.write(terminal, b"\x03")
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the terminal's other end is closed
            break
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert b"Traceback" not in shown
    assert (os.waitstatus_to_exitcode(status), b"Stopped." in shown) == (130, True)
