"""Angles of sun and satellite over a scene, and what follows from them by trigonometry."""

from __future__ import annotations

import math
from dataclasses import dataclass

from catalog.errors import RequestError

SUN_LIMIT = 85.0
"""Largest zenith of the sun that is simulated, degrees: the mission observes no lower sun, and a flat atmosphere means nothing there."""


@dataclass(frozen=True, slots=True)
class Angles:
    """Degrees; azimuths from north, clockwise, of the direction from the ground towards sun and satellite."""

    sun_zenith: float
    sun_azimuth: float
    view_zenith: float = 0.0
    view_azimuth: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.sun_zenith <= SUN_LIMIT and 0 <= self.view_zenith <= 60):
            raise RequestError(
                f"sun at a zenith of {self.sun_zenith:g}°, satellite at {self.view_zenith:g}°: simulated are 0 to {SUN_LIMIT:g}° and "
                "0 to 60°. Choose another time."
            )

    @property
    def sun(self) -> float:
        """Cosine of the sun's zenith."""
        return math.cos(math.radians(self.sun_zenith))

    @property
    def view(self) -> float:
        """Cosine of the satellite's zenith."""
        return math.cos(math.radians(self.view_zenith))

    @property
    def air_mass(self) -> float:
        """Length of the way down and up through a flat atmosphere, in heights of it."""
        return 1 / self.sun + 1 / self.view

    @property
    def scattering(self) -> float:
        """Cosine of the angle by which single scattering turns sunlight towards the satellite; -1 is straight back."""
        sines = math.sin(math.radians(self.sun_zenith)) * math.sin(math.radians(self.view_zenith))
        return -self.sun * self.view - sines * math.cos(math.radians(self.sun_azimuth - self.view_azimuth))

    def towards_sun(self, height: float) -> tuple[float, float]:
        """East and north, m, from a place on the ground to the point below where its way to the sun reaches a height in m."""
        return _away(height, self.sun_zenith, self.sun_azimuth)

    def towards_satellite(self, height: float) -> tuple[float, float]:
        """The same on the way to the satellite."""
        return _away(height, self.view_zenith, self.view_azimuth)


def _away(height: float, zenith: float, azimuth: float) -> tuple[float, float]:
    distance = height * math.tan(math.radians(zenith))
    return distance * math.sin(math.radians(azimuth)), distance * math.cos(math.radians(azimuth))
