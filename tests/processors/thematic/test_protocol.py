"""What a processor is told of its acquisitions: as many relative orbits as days, unknown where nothing says them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from processors.thematic.protocol import Job

GIVEN: dict[str, Any] = {
    "level": "L2A",
    "year": 2019,
    "months": (4, 5),
    "days": (0, 3, 5),
    "bands": ("B04",),
    "synthetic": True,
}


def test_each_day_has_an_orbit_which_may_be_unknown() -> None:
    assert Job(**GIVEN).relative_orbits == ("unknown",) * 3
    told = Job(**GIVEN, relative_orbits=("R051", "R094", "R051"))
    assert Job.model_validate_json(told.model_dump_json()) == told


def test_orbits_of_other_days_are_refused() -> None:
    with pytest.raises(ValidationError, match="2 relative orbits of 3 days: one belongs to each"):
        Job(**GIVEN, relative_orbits=("R051", "R094"))
