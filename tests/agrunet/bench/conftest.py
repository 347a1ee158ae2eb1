"""A problem so small that every network passes it in moments, and rows with given figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agrunet.bench.problems import Problem
from agrunet.bench.rows import Row


@pytest.fixture
def tiny() -> Problem:
    """16 x 16 pixels, two bands, three dates, AgrUNet with one level of four channels."""
    return Problem(
        name="orthopastis",
        size=16,
        bands=2,
        classes=3,
        filters=(4,),
        year=4,
        jan_jul=3,
        training_batch=2,
        inference_batch=3,
    )


@pytest.fixture
def make_row() -> Callable[..., Row]:
    """A row with the fields given; the rest is AgrUNet's inference in fp32 at OrthoPASTIS."""
    return _make_row


def _make_row(rate: float | None = None, **fields: Any) -> Row:
    plain: dict[str, Any] = {
        "network": "agrunet",
        "config": "orthopastis",
        "season": "jan-jul",
        "dates": 27,
        "size": 128,
        "batch": 1,
        "precision": "fp32",
        "mode": "inference",
        "device": "cpu",
        "device_name": "a processor, 2 cores",
        "threads": 2,
        "torch": "2.13.0",
    }
    row = Row(**{**plain, **fields})
    return row if rate is None else row.with_rates([rate])
