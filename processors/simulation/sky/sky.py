"""Clouds, their shadows, cirrus, haze and snow over a window of a UTM zone, seen by the satellite, with the truth about them.

A layer of cloud is a sheet at a height. It is seen where the line of sight pierces it and shades where the way to the sun does; both
displacements follow from the angles exactly. What happens in any window agrees with its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

from catalog.errors import RequestError
from catalog.grid import PIXEL, Window
from catalog.orbits.angles import Angles
from processors.simulation.noise.fractal import fractal
from processors.simulation.sky.atmosphere import Atmosphere, above
from processors.simulation.sky.cloud_optics import Particles, layer, step_of

Floats = npt.NDArray[np.float32]
Kind = Literal["cumulus", "stratus", "cirrus", "haze"]

CLASSES: dict[int, str] = {0: "clear", 1: "cloud", 2: "cloud shadow", 3: "cirrus", 4: "haze", 5: "snow"}
"""Classes of the truth. Only 0 is clear sky."""

VISIBLE = 0.3
"""Optical thickness from which a layer counts in the truth: it brightens dark ground by about 0.02."""
SHADED = 0.85
"""A pixel with less of the sun's beam than this is a shadow in the truth."""

# What clouds do to the light of the ground is smooth where they are far away: the sun's disc is 0.53 degrees wide.
_SUN_WIDTH = math.radians(0.53)
# Fresh, medium grained snow, after the spectra of Wiscombe & Warren (1980), rounded.
_SNOW = np.array([0.92, 0.93, 0.93, 0.92, 0.91, 0.90, 0.89, 0.87, 0.86, 0.78, 0.35, 0.11, 0.09])

_PARTICLES: dict[Kind, Particles] = {"cumulus": "water", "stratus": "water", "cirrus": "ice", "haze": "haze"}


@dataclass(frozen=True, slots=True)
class CloudLayer:
    """One sheet of cloud."""

    kind: Kind
    cover: float
    """Share of the land below it that it covers, 0 to 1; of haze, that it is not faint over."""
    height: float
    """Height above the ground, m."""
    thickness: float
    """Optical thickness at 550 nm where it is well developed."""
    scale: float
    """Size of its largest structures, m."""

    def __post_init__(self) -> None:
        if not (0 <= self.cover <= 1 and 0 <= self.height <= 20_000 and self.thickness >= 0 and self.scale >= 100):
            raise RequestError(
                f"a cloud layer with cover {self.cover:g}, height {self.height:g} m, thickness {self.thickness:g} and scale "
                f"{self.scale:g} m: a cover is 0 to 1, a height 0 to 20,000 m, a scale at least 100 m."
            )


@dataclass(frozen=True, slots=True)
class Sky:
    """The air and all that hangs in it at one time."""

    atmosphere: Atmosphere = field(default_factory=Atmosphere)
    layers: tuple[CloudLayer, ...] = ()
    """Layers from the lowest to the highest."""
    snow: float = 0.0
    """Share of the ground under snow, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class SkyView:
    """View of a sky in one window; all (H, W)."""

    thickness: tuple[Floats, ...]
    """Optical thickness of each layer, where it is seen."""
    beam: Floats | None
    """Share of the sun's beam that clouds leave, 0 to 1; None without clouds."""
    snow: Floats | None
    """Share of the ground under snow; None without."""
    classes: npt.NDArray[np.uint8]
    """Values of `CLASSES`."""


def random_sky(random: np.random.Generator, cover: float, *, snow: float = 0.0) -> Sky:
    """A plausible sky with about this share of clouds, 0 to 1. Which kinds there are is drawn, so is the air."""
    if not 0 <= cover <= 1:
        raise RequestError(f"a cloud cover is 0 to 1, not {cover:g}.")
    layers: list[CloudLayer] = []
    if random.random() < 0.2:
        layers.append(CloudLayer("haze", float(random.uniform(0.3, 0.9)), 800, float(random.uniform(0.1, 0.5)), 25_000))
    wispy = cover * random.uniform(0, 0.7) if random.random() < 0.35 else 0.0
    low = (cover - wispy) / (1 - wispy) if cover < 1 else 1.0
    if low > 0.6:
        height = float(random.uniform(600, 2500))
        layers.append(
            CloudLayer("stratus", low, height, float(random.uniform(8, 25)), float(random.uniform(15_000, 40_000)))
        )
    elif low > 0.002:
        height = float(random.uniform(700, 1900))
        layers.append(
            CloudLayer("cumulus", low, height, float(random.uniform(8, 24)), float(random.uniform(1500, 5000)))
        )
    if wispy > 0:
        height = float(random.uniform(7500, 11_500))
        layers.append(
            CloudLayer("cirrus", wispy, height, float(random.uniform(0.3, 1.5)), float(random.uniform(8000, 20_000)))
        )
    air = Atmosphere(
        aerosol=float(np.clip(random.lognormal(math.log(0.12), 0.5), 0.03, 0.6)),
        angstrom=float(random.uniform(1.0, 1.6)),
        vapour=float(np.clip(random.lognormal(math.log(1.7), 0.4), 0.3, 5)),
        ozone=float(random.uniform(280, 380)),
    )
    return Sky(air, tuple(layers), snow)


def look(sky: Sky, seed: int, window: Window, angles: Angles) -> SkyView:
    """View of a sky in a window."""
    seen = tuple(
        thickness(one, seed, number, window, angles.towards_satellite(one.height))
        for number, one in enumerate(sky.layers)
    )
    snow = snow_cover(sky.snow, seed, window)
    beam: Floats | None = None
    for number, one in enumerate(sky.layers):
        left = _beam(one, seed, number, window, angles)
        beam = left if beam is None else np.multiply(beam, left, out=beam)
    return SkyView(seen, beam, snow, _classes(sky.layers, seen, beam, snow, window.shape))


def thickness(cloud: CloudLayer, seed: int, number: int, window: Window, shift: tuple[float, float]) -> Floats:
    """(H, W): optical thickness at 550 nm of the ``number``-th layer, of what lies ``shift`` (m east, m north) from the window."""
    if cloud.cover <= 0 or cloud.thickness <= 0:
        return np.zeros(window.shape, np.float32)
    edge = np.float32(ndtri(1 - min(cloud.cover, 0.9999)))
    if cloud.kind == "haze" or cloud.kind == "cirrus":
        return _coarsely(cloud, seed, number, window, shift, edge)
    deep = fractal(seed, 10 + number, window, cloud.scale, shift=shift, gain=0.62)
    deep -= edge
    inside = deep > 0
    if not inside.any():
        return np.zeros(window.shape, np.float32)
    if cloud.kind == "cumulus":
        # Towers rise steeply from the edge.
        deep *= np.float32(1.2)
    else:
        deep *= np.float32(0.5)
        deep += np.float32(0.35)
    deep *= inside
    np.sqrt(deep, out=deep)
    deep *= deep + np.float32(0.25)
    deep *= np.float32(cloud.thickness)
    return deep


def snow_cover(share: float, seed: int, window: Window) -> Floats | None:
    """(H, W), 0 to 1: patchy where it thaws; None without snow."""
    if share <= 0:
        return None
    depth = fractal(seed, 5, window, 4000, least=40)
    depth -= np.float32(ndtri(1 - min(share, 0.9999)))
    depth *= np.float32(2.5)
    depth += np.float32(0.5)
    return np.clip(depth, 0, 1, out=depth)


def add_snow(surface: Floats, snow: Floats) -> None:
    """Cover surface reflectance (13, H, W), in place."""
    for band, white in enumerate(_SNOW):
        surface[band] += snow * (np.float32(0.95 * white) - surface[band])


def add_layers(top: Floats, band: int, sky: Sky, view: SkyView, angles: Angles) -> None:
    """Put a band's clouds, from the lowest to the highest, over reflectance at the top (H, W), in place."""
    for cloud, thick in zip(sky.layers, view.thickness, strict=True):
        if not thick.any():
            continue
        table = layer(_PARTICLES[cloud.kind], angles.sun, angles.view)
        step = step_of(thick)
        # The ground's light comes through once; that less of it arrives is the shadow's part.
        top *= table.seen[band][step]
        gases = above(sky.atmosphere, angles, cloud.height)[band]
        top += (table.reflected[band] * np.float32(gases))[step]


def _coarsely(
    cloud: CloudLayer, seed: int, number: int, window: Window, shift: tuple[float, float], edge: np.float32
) -> Floats:
    """Layers without sharp edges are made every 80 m and interpolated; nodes have fixed places, so windows agree."""
    factor = 8
    left, right = window.left // factor - 1, -(-window.right // factor) + 1
    top, bottom = -(-window.top // factor) + 1, window.bottom // factor - 1
    nodes = Window(window.epsg, left * factor, top * factor, right - left, top - bottom)
    field = _on_nodes(cloud, seed, number, nodes, factor, shift)
    field -= edge
    if cloud.kind == "haze":
        field = 0.5 + 0.35 * field
    else:
        field *= np.float32(0.8)
    np.clip(field, 0, 1.5, out=field)
    field *= np.float32(cloud.thickness)
    rows = (nodes.top - window.top + np.arange(window.height) + 0.5) / factor - 0.5
    columns = (window.left - nodes.left + np.arange(window.width) + 0.5) / factor - 0.5
    return _bilinear(field, rows, columns)


def _on_nodes(
    cloud: CloudLayer, seed: int, number: int, nodes: Window, factor: int, shift: tuple[float, float]
) -> Floats:
    # A window of coarse pixels: all lengths shrink by the factor.
    coarse = Window(nodes.epsg, nodes.left // factor, nodes.top // factor, nodes.width, nodes.height)
    moved = shift[0] / factor, shift[1] / factor
    stretch, gain = (3.5, 0.68) if cloud.kind == "cirrus" else (1.0, 0.45)
    return fractal(
        seed,
        10 + number,
        coarse,
        cloud.scale / factor / math.sqrt(stretch),
        least=12.0,
        gain=gain,
        shift=moved,
        stretch=stretch,
    )


def _bilinear(field: Floats, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Floats:
    row, column = rows.astype(np.int64), columns.astype(np.int64)
    down = (rows - row).astype(np.float32)[:, None]
    right = (columns - column).astype(np.float32)
    lines = field[:, column] * (1 - right) + field[:, column + 1] * right
    result: Floats = lines[row] * (1 - down)
    result += lines[row + 1] * down
    return result


def _beam(cloud: CloudLayer, seed: int, number: int, window: Window, angles: Angles) -> Floats:
    """Share of the sun's beam that a layer leaves, its edges as soft as the sun's disc makes them."""
    table = layer(_PARTICLES[cloud.kind], angles.sun, angles.view)
    # A disc's standard deviation is a quarter of its width.
    blur = cloud.height / angles.sun * _SUN_WIDTH / 4 / PIXEL
    reach = math.ceil(4 * blur) + 1
    wide = Window(
        window.epsg, window.left - reach, window.top + reach, window.width + 2 * reach, window.height + 2 * reach
    )
    thick = thickness(cloud, seed, number, wide, angles.towards_sun(cloud.height))
    if not thick.any():
        return np.ones(window.shape, np.float32)
    left = table.lit[2][step_of(thick)]
    soft: Floats = gaussian_filter(left, blur, truncate=4.0, mode="nearest")
    return np.ascontiguousarray(soft[reach:-reach, reach:-reach])


def _classes(
    layers: Sequence[CloudLayer],
    seen: Sequence[Floats],
    beam: Floats | None,
    snow: Floats | None,
    shape: tuple[int, int],
) -> npt.NDArray[np.uint8]:
    classes = np.zeros(shape, np.uint8)
    if snow is not None:
        classes[snow > 0.3] = 5
    for kinds, value in ((("haze",), 4), ((), 2), (("cirrus",), 3), (("cumulus", "stratus"), 1)):
        if value == 2:
            if beam is not None:
                classes[beam < SHADED] = 2
            continue
        for cloud, thick in zip(layers, seen, strict=True):
            if cloud.kind in kinds:
                classes[thick > VISIBLE] = value
    return classes
