"""Processes of their own: their memory is theirs, and their end is a reason."""

from __future__ import annotations

import math
import os
import signal

import numpy as np
import pytest

from agrunet.bench.failures import MeasureError, reason
from agrunet.bench.isolation import isolated, peak_memory
from agrunet.errors import AgrunetError


def test_memory_of_this_process_is_not_the_childs() -> None:
    held = np.ones(500_000_000, dtype=np.uint8)
    assert peak_memory() > held.nbytes
    assert 20_000_000 < isolated(peak_memory) < held.nbytes


def test_results_and_reasons_come_back() -> None:
    assert isolated(math.hypot, 3.0, 4.0) == 5.0
    with pytest.raises(MeasureError, match="No such file"):
        isolated(os.stat, "/nowhere/at/all")


@pytest.mark.parametrize(
    ("function", "number", "message"),
    [
        (signal.raise_signal, int(signal.SIGKILL), "most likely out of memory"),
        (signal.raise_signal, int(signal.SIGSEGV), "SIGSEGV"),
        (os._exit, 3, "exit code 3"),
    ],
)
def test_a_process_that_dies_gives_a_reason(function: object, number: int, message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        isolated(function, number)  # type: ignore[arg-type]


def test_reasons_are_one_line_and_not_long() -> None:
    assert reason(RuntimeError("first\n  second")) == "first second"
    assert reason(MemoryError()) == "out of memory: MemoryError"
    assert len(reason(AgrunetError("x" * 5000))) == 200
