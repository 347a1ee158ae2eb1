"""The mission as a whole: a land, its weather, its sky, and what the satellites' instrument makes of them in any window.

All follows from a seed and from the time and place: two windows agree where they overlap, two requests get the same products, and
memory is bounded by the window asked for. **All of it is synthetic.** Each UTM zone has a land of its own; within it the climate is
that of the middle of the tile's band of latitude (8 degrees), varied by the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from catalog.grid import Window
from catalog.orbits.tiles import Tile
from processors.simulation.instrument.instrument import Instrument
from processors.simulation.land.appearance import Geometry
from processors.simulation.land.climates import climate_near
from processors.simulation.land.land import Land
from processors.simulation.land.rotation import FARMING
from processors.simulation.land.weather import Weather
from processors.simulation.mission.overpass import BASELINE, Overpass
from processors.simulation.mission.scene import UNSEEN, Scene, blocks_of, observe, with_margin
from processors.simulation.noise.seeded import keys
from processors.simulation.sky.sky import Sky, look, random_sky

VERSION = 2
"""Changes whenever the same settings make other pixels."""

Floats = npt.NDArray[np.float32]

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_WET = 0.5
"""Rain of a day, mm, from which it counts as wet."""

_DEEP = 12.0
"""Water in the snow, mm, from which it hides the ground."""


@dataclass(frozen=True, slots=True)
class Mission:
    """The same values make the same pixels."""

    seed: int = 0
    farming: str = "france"
    """A key of `FARMING`."""

    def land(self, tile: Tile) -> Land:
        """The land that a tile lies in."""
        latitude = -76.0 + 8 * _BANDS.index(tile.name[2])
        longitude = 6.0 * (tile.epsg % 100) - 183.0
        climate = climate_near(longitude, latitude).varied(self.seed)
        return Land(tile.epsg, climate, self.seed, FARMING[self.farming])

    def sky(self, overpass: Overpass) -> Sky:
        """The air and the clouds of a datatake, as likely as the day's weather makes them, and the snow that lies."""
        random = np.random.default_rng([self._number(overpass), 0xC10D])
        series, index = self.land(overpass.tile).weather(overpass.sensed.date())
        return random_sky(random, drawn_cover(random, series, index), snow=snow_cover(series, index))

    def cloud_cover(self, overpass: Overpass) -> float:
        """Share of the sky that its layers cover, haze aside, %; what a provider would state of the tile."""
        clear = np.prod([1 - layer.cover for layer in self.sky(overpass).layers if layer.kind != "haze"])
        return round(100 * (1 - float(clear)), 1)

    def surface(self, overpass: Overpass, window: Window) -> Floats:
        """Reflectance of the land (13, H, W), as it is lit and looked at then, without air or optics between."""
        angles = overpass.angles
        geometry = Geometry(
            angles.sun_zenith, angles.view_zenith, abs((angles.sun_azimuth - angles.view_azimuth + 180) % 360 - 180)
        )
        return self.land(overpass.tile).reflectance(window, overpass.sensed.date(), geometry, overpass.platform)

    def sky_classes(self, overpass: Overpass, window: Window) -> npt.NDArray[np.uint8]:
        """The truth of the sky (H, W): values of `sky.CLASSES`, 255 beyond the swath. That of the scenes, without their pixels."""
        classes = look(self.sky(overpass), self._number(overpass), window, overpass.angles).classes
        seen = overpass.seen(window)
        if seen is not None:
            classes[~seen] = UNSEEN
        return classes

    def scenes(self, overpass: Overpass, area: Window, size: int = 1050) -> Iterator[Scene]:
        """Scenes of an area of the overpass's tile, in blocks aligned to 60 m of at most ``size`` pixels (a multiple of 6).

        Blocks beyond the swath are left out. ``area`` is of the tile's zone.
        """
        sky, number = self.sky(overpass), self._number(overpass)
        instrument = Instrument(overpass.platform, day_of_year(overpass.sensed.date()))
        for window in blocks_of(overpass.tile.window, area, size):
            seen = overpass.seen(window)
            if seen is not None and not seen.any():
                continue
            surface = self.surface(overpass, with_margin(window))
            yield observe(
                surface, window, overpass.angles, sky, instrument=instrument, baseline=BASELINE, seed=number, seen=seen
            )

    def _number(self, overpass: Overpass) -> int:
        """Number of the datatake, from which its clouds and its noise follow."""
        return int(keys(self.seed, ord(overpass.platform[-1]), overpass.absolute_orbit, 1)) >> 1


def day_of_year(day: date) -> int:
    """1 to 366."""
    return day.timetuple().tm_yday


def drawn_cover(random: np.random.Generator, weather: Weather, index: int) -> float:
    """A share of sky under clouds, 0 to 1: mostly clear or mostly covered, as cloudiness is, and more of the latter on wet days.

    The mean over a temperate year comes to about 0.6, that of western Europe in satellite records (King et al., 2013).
    """
    wet = weather.rain[index] >= _WET
    return float(random.beta(1.3, 0.45) if wet else random.beta(0.5, 0.62))


def snow_cover(weather: Weather, index: int) -> float:
    """Share of the ground under snow, 0 to 1: what falls below 1 °C stays, and melts by degree-days (4 mm each; Hock, 2003)."""
    lying = 0.0
    for temperature, rain in zip(
        weather.temperature[max(0, index - 60) : index], weather.rain[max(0, index - 60) : index], strict=True
    ):
        lying = max(0.0, lying + (rain if temperature < 1 else 0.0) - 4 * max(0.0, temperature))
    return min(1.0, lying / _DEEP)
