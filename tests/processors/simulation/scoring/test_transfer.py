"""Transfer to real regions: where the real series are, models that saw none of them do better than chance by far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog.errors import RequestError
from processors.simulation.scoring.regions import REGIONS, read_region
from processors.simulation.scoring.transfer import transfer


def test_an_unknown_region_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no region 'mars'; there are arkansas"):
        read_region(tmp_path, "mars")


def test_regions_are_read_as_they_are_described(real_data: Path) -> None:
    square = read_region(real_data, "flanders")
    assert (len(square.label), int(square.scored.sum())) == (3725, 3520)
    assert len(np.unique(square.group[square.scored])) == 14
    west = read_region(real_data, "canada")
    assert west.bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
    assert np.bincount(west.label).tolist() == [396, 458, 296, 181, 476]
    assert west.days.min() >= 91


@pytest.mark.slow
@pytest.mark.parametrize("region", sorted(REGIONS))
def test_a_land_that_saw_nothing_of_a_region_transfers_to_it(real_data: Path, region: str) -> None:
    least = {"arkansas": 0.75, "california": 0.6, "canada": 0.4, "flanders": 0.6}
    made = transfer(real_data, region)
    assert made.fit == f"without-{region}"
    assert made.simulated.oa > least[region]
