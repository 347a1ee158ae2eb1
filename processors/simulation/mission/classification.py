"""A scene classification and a cloud probability as Sen2Cor makes them, with the errors it makes.

Made from the truth and from the reflectance that the correction gave. What is known to go wrong is put in at rates that can be set
(Baetens et al., 2019; Tarrio et al., 2020: thin clouds and cloud edges missed, bright ground taken for cloud, shadows missed and mixed
up with dark ground). Errors hang together in space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL, Window
from processors.simulation.instrument.instrument import means
from processors.simulation.noise.fractal import fractal
from processors.simulation.sky.sky import Sky, SkyView

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

NAMES: dict[int, str] = {
    0: "NODATA", 1: "SATURATED_DEFECTIVE", 2: "DARK_FEATURE_SHADOW", 3: "CLOUD_SHADOW", 4: "VEGETATION", 5: "NOT_VEGETATED",
    6: "WATER", 7: "UNCLASSIFIED", 8: "CLOUD_MEDIUM_PROBA", 9: "CLOUD_HIGH_PROBA", 10: "THIN_CIRRUS", 11: "SNOW_ICE",
}  # fmt: skip
"""Codes of the scene classification (ESA, Sentinel-2 Products Specification 14.9, 2021)."""

_FACTOR = 2  # it is made at 20 m


@dataclass(frozen=True, slots=True)
class Errors:
    """Error rates of the classification, shares of 0 to 1."""

    half_seen: float = 1.2
    """Optical thickness of a cloud that is found half of the time."""
    bright_as_cloud: float = 0.25
    """Share of bright ground that is taken for cloud."""
    shadow_missed: float = 0.25
    """Share of shadows in full depth that is missed; faint ones are missed more often."""
    cirrus_missed: float = 0.3
    snow_as_cloud: float = 0.1


def classify(
    view: SkyView, sky: Sky, surface: Mapping[str, Floats], window: Window, seed: int, errors: Errors | None = None
) -> tuple[Bytes, Bytes]:
    """Scene classification and cloud probability (%), both (H / 2, W / 2) at 20 m.

    ``surface``: reflectance after the correction at 20 m of B02, B03, B04, B8A, B11. ``window``: that of ``view``, at 10 m.
    """
    errors = errors or Errors()
    blue, green, red, infrared, short = (surface[name] for name in ("B02", "B03", "B04", "B8A", "B11"))
    luck = _luck(window, seed, 3), _luck(window, seed, 4)

    vegetation = (infrared - red) / np.maximum(infrared + red, 1e-3)
    water = (green - infrared) / np.maximum(green + infrared, 1e-3)
    classes = np.select(
        [(water > 0.05) & (infrared < 0.12), vegetation > 0.38, (infrared < 0.08) & (blue < 0.06), vegetation < 0.28],
        [6, 4, 2, 5],
        default=7,
    ).astype(np.uint8)

    odds: npt.NDArray[np.floating[Any]] = np.full(classes.shape, -4.0, np.float32)
    odds += 1.2 * luck[0]
    low = np.zeros(classes.shape, np.float32)
    high = np.zeros(classes.shape, np.float32)
    for cloud, thick in zip(sky.layers, view.thickness, strict=True):
        if cloud.kind == "cirrus":
            high += means(thick, _FACTOR)
        else:
            low += means(thick, _FACTOR) * np.float32(0.4 if cloud.kind == "haze" else 1.0)
    # Half at `half_seen`, nearly sure at three times that.
    odds = np.maximum(odds, 2.2 * np.log(np.maximum(low, 1e-3) / errors.half_seen) + 0.8 * luck[0])
    # Bright ground without the darkness of vegetation in B04 resembles cloud.
    bright = (red + blue > 0.36) & (vegetation < 0.25) & (short > 0.12)
    odds = np.where(bright & (_uniform(luck[1]) < errors.bright_as_cloud), np.maximum(odds, 0.6), odds)

    if view.beam is not None:
        depth = 1 - means(view.beam, _FACTOR)
        found = _uniform(luck[1]) > errors.shadow_missed + (1 - errors.shadow_missed) * np.clip(1 - depth / 0.45, 0, 1)
        classes[found & (depth > 0.12)] = 3
    wispy = (high > 0.12) & (_uniform(luck[0]) > errors.cirrus_missed * np.clip(1.6 - 2 * high, 0, 1))
    classes[wispy] = 10
    if view.snow is not None:
        snow = means(view.snow, _FACTOR) > 0.35
        taken = _uniform(luck[1]) < errors.snow_as_cloud
        classes[snow & ~taken] = 11
        odds = np.where(snow & taken, np.maximum(odds, 0.8), odds)
    probability = 1 / (1 + np.exp(-np.clip(odds, -20, 20)))
    classes[probability > 0.35] = 8
    classes[probability > 0.65] = 9
    classes[~np.isfinite(blue + red + infrared + short)] = 1
    return classes, np.round(100 * probability).astype(np.uint8)


def _luck(window: Window, seed: int, purpose: int) -> Floats:
    """(H / 2, W / 2), normal: errors in spots of about 100 m."""
    coarse = Window(
        window.epsg, window.left // _FACTOR, window.top // _FACTOR, window.width // _FACTOR, window.height // _FACTOR
    )
    return fractal(seed, purpose, coarse, 300 / _FACTOR, least=PIXEL, gain=0.8)


def _uniform(normal: Floats) -> Floats:
    """0 to 1, by the logistic approximation of the normal distribution (Bowling et al., 2009)."""
    return np.asarray(1 / (1 + np.exp(-1.5976 * normal - 0.07056 * normal**3)), np.float32)
