"""Position of the sun, for sources that don't say, and for passes that haven't happened."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NOON_2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def sun_angles(time: datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """Zenith and azimuth (from north, clockwise) of the sun, degrees, at a UTC time and a place in degrees.

    The Astronomical Almanac's approximation as given by Michalsky (1988), "The Astronomical Almanac's algorithm for
    approximate solar position (1950-2050)", Solar Energy 40 (3); good to 0.01 degree, without refraction.
    """
    days = np.array((time - _NOON_2000).total_seconds() / 86400)
    elevation, azimuth = _angles(days, np.array(longitude), np.array(latitude))
    return 90 - float(elevation), float(azimuth)


def sun_elevation(seconds: Floats, longitude: Floats, latitude: Floats) -> Floats:
    """Elevation, degrees, at seconds since 2000-01-01 12:00 UTC and places in degrees; all of one shape. As `sun_angles`."""
    return _angles(seconds / 86400, longitude, latitude)[0]


def _angles(days: Floats, longitude: Floats, latitude: Floats) -> tuple[Floats, Floats]:
    mean_longitude = np.radians((280.460 + 0.9856474 * days) % 360)
    mean_anomaly = np.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic_longitude = mean_longitude + np.radians(1.915 * np.sin(mean_anomaly) + 0.020 * np.sin(2 * mean_anomaly))
    obliquity = np.radians(23.439 - 0.0000004 * days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic_longitude), np.cos(ecliptic_longitude))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic_longitude))

    hours = (days + 0.5) % 1 * 24
    sidereal_hours = (6.697375 + 0.0657098242 * days + hours) % 24
    hour_angle = np.radians(sidereal_hours * 15 + longitude) - right_ascension

    north = np.radians(latitude)
    sine_elevation = np.sin(declination) * np.sin(north) + (np.cos(declination) * np.cos(north) * np.cos(hour_angle))
    azimuth = np.arctan2(
        -np.cos(declination) * np.sin(hour_angle),
        np.sin(declination) * np.cos(north) - np.cos(declination) * np.sin(north) * np.cos(hour_angle),
    )
    return np.degrees(np.arcsin(np.clip(sine_elevation, -1, 1))), np.degrees(azimuth) % 360
