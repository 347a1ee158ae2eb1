"""The position of the sun, against geometry, the published worked example and real products."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from catalog.orbits.clock import seconds_of
from catalog.orbits.sun import sun_angles, sun_elevation


@pytest.mark.parametrize(
    ("time", "place", "zenith", "azimuth"),
    [
        # Equinox, 12:00 on the equator: 7.5 min (1.86 degrees) before the true noon, declination -0.165: 90 + atan(0.165 / 1.86)
        (datetime(2019, 3, 20, 12, 0, tzinfo=UTC), (0.0, 0.0), 1.86, 95.1),
        # Summer solstice, true noon in the south, on the tropic's complement: 51.44 - 23.44 degrees
        (datetime(2019, 6, 21, 12, 1, 52, tzinfo=UTC), (0.0, 51.44), 28.0, 180.0),
        # The same in the southern hemisphere: the sun in the north
        (datetime(2019, 12, 22, 11, 58, 15, tzinfo=UTC), (0.0, -51.44), 28.0, 0.0),
    ],
)
def test_the_sun_of_equinox_and_solstices(
    time: datetime, place: tuple[float, float], zenith: float, azimuth: float
) -> None:
    found = sun_angles(time, *place)
    assert found[0] == pytest.approx(zenith, abs=0.05)
    assert abs((found[1] - azimuth + 180) % 360 - 180) < (1 if zenith < 5 else 0.3)


def test_the_sun_of_real_products(real_data: Path) -> None:
    worst = 0.0
    items = sorted((real_data / "flanders-2019" / "sentinel-2-l2a").glob("*/*.json"))
    for item in items:
        said = json.loads(item.read_text(encoding="utf-8"))["properties"]
        time = datetime.fromisoformat(said["datetime"])
        if time < datetime(2018, 11, 12, tzinfo=UTC):  # these say the datatake's start, up to 7 minutes early
            continue
        zenith, azimuth = sun_angles(time, 4.063, 50.746)
        worst = max(worst, abs(zenith - said["s2:mean_solar_zenith"]), abs(azimuth - said["s2:mean_solar_azimuth"]))
    assert len(items) == 72
    assert worst < 0.5  # the product's angles are the tile's mean


def test_the_worked_example_of_the_solar_position_algorithm() -> None:
    # Reda and Andreas (2004), "Solar position algorithm for solar radiation applications", NREL/TP-560-34302, appendix A.5:
    # 2003-10-17 12:30:30 at UTC-7; topocentric elevation 39.87205 degrees before refraction, azimuth 194.34024.
    zenith, azimuth = sun_angles(datetime(2003, 10, 17, 19, 30, 30, tzinfo=UTC), -105.1786, 39.742476)
    assert 90 - zenith == pytest.approx(39.87205, abs=0.012)
    assert azimuth == pytest.approx(194.34024, abs=0.015)


def test_arrays_say_the_same_as_single_times() -> None:
    times = [datetime(2023, month, 7, 3 * month % 24, 11, 5, 250_000, tzinfo=UTC) for month in range(1, 13)]
    longitudes, latitudes = np.linspace(-170, 175, 12), np.linspace(-80, 83, 12)
    together = sun_elevation(np.array([seconds_of(time) for time in times]), longitudes, latitudes)
    for time, longitude, latitude, elevation in zip(times, longitudes, latitudes, together, strict=True):
        assert elevation == pytest.approx(90 - sun_angles(time, longitude, latitude)[0], abs=1e-6)
