"""Where the sun stands: for sources that don't say."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_NOON_2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def sun_angles(time: datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """Zenith and azimuth (from north, clockwise) of the sun, degrees, at a UTC time and a place in degrees.

    The Astronomical Almanac's approximation as given by Michalsky (1988), "The Astronomical Almanac's algorithm for
    approximate solar position (1950-2050)", Solar Energy 40 (3); good to 0.01 degree, without refraction.
    """
    days = (time - _NOON_2000).total_seconds() / 86400
    mean_longitude = math.radians((280.460 + 0.9856474 * days) % 360)
    mean_anomaly = math.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic_longitude = mean_longitude + math.radians(
        1.915 * math.sin(mean_anomaly) + 0.020 * math.sin(2 * mean_anomaly)
    )
    obliquity = math.radians(23.439 - 0.0000004 * days)
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(ecliptic_longitude), math.cos(ecliptic_longitude))
    declination = math.asin(math.sin(obliquity) * math.sin(ecliptic_longitude))

    midnight = time.astimezone(UTC)
    hours = midnight.hour + midnight.minute / 60 + (midnight.second + midnight.microsecond * 1e-6) / 3600
    sidereal_hours = (6.697375 + 0.0657098242 * days + hours) % 24
    hour_angle = math.radians(sidereal_hours * 15 + longitude) - right_ascension

    north = math.radians(latitude)
    sine_elevation = math.sin(declination) * math.sin(north) + (
        math.cos(declination) * math.cos(north) * math.cos(hour_angle)
    )
    azimuth = math.atan2(
        -math.cos(declination) * math.sin(hour_angle),
        math.sin(declination) * math.cos(north) - math.cos(declination) * math.sin(north) * math.cos(hour_angle),
    )
    return 90 - math.degrees(math.asin(max(-1.0, min(1.0, sine_elevation)))), math.degrees(azimuth) % 360
