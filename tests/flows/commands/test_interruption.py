"""An interrupt that a library drops ends the run all the same."""

from __future__ import annotations

import os
import signal

import pytest

from flows.commands.interruption import remembered


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
