"""Elements: the real ones where they are, and synthetic ones made from the reference orbit, so that most tests need no data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sgp4.api import WGS72, Satrec
from sgp4.exporter import export_tle

from catalog.orbits.elements import Elements, read_elements
from catalog.orbits.orbit import reference_orbit

NUMBERS = {"S2A": 40697, "S2B": 42063, "S2C": 60989}


@pytest.fixture(scope="session")
def real_elements(real_data: Path) -> list[Elements]:
    """All published sets at hand."""
    return [one for file in sorted((real_data / "tle").glob("*.tle")) for one in read_elements(file)]


@pytest.fixture(scope="session")
def elements_of_2023(real_elements: list[Elements]) -> list[Elements]:
    """2B of 2022-10 and 2A of 2023-11."""
    return [one for one in real_elements if one.epoch < datetime(2024, 1, 1, tzinfo=UTC)]


@pytest.fixture(scope="session")
def synthetic_lines() -> Callable[..., tuple[str, str]]:
    """Two element lines of a satellite on the reference orbit, epoch in August 2024 or moved by days, its motion changed or not."""

    def make(platform: str = "S2B", day: int = 6, days: float = 0, motion: float = 1.0) -> tuple[str, str]:
        known = reference_orbit(platform, day).elements
        # After whole cycles the orbit's plane has turned with the sun: 360 degrees in a year.
        made = Satrec()
        epoch = known.epoch_seconds / 86400 + 18263.5 + days
        turned = known.satrec.nodeo + np.radians(360 / 365.2422 * days)
        made.sgp4init(
            WGS72, "i", NUMBERS[platform], epoch, 0.0, 0.0, 0.0, known.satrec.ecco, known.satrec.argpo, known.satrec.inclo,
            known.satrec.mo, known.satrec.no_kozai * motion, turned % (2 * np.pi),
        )  # fmt: skip
        made.classification, made.intldesg, made.ephtype, made.elnum, made.revnum = "U", "", 0, 1, 1
        first, second = export_tle(made)
        return first, second

    return make
