"""Albedo and transmittance of layers of droplets, ice and haze in the 13 bands.

Two streams through a layer lit by the sun (Meador & Weaver, 1980, Eddington's coefficients) with delta scaling (Joseph et al., 1976).
A cloud's top is taken as Lambertian. Absorption by droplets of 8 µm and crystals of 30 µm, rounded from Mie results (King et al., 1997;
Baum et al., 2005): weak in visible light, strong in B11 and B12, stronger in ice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from catalog.products import BANDS

Floats = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.float64]
Particles = Literal["water", "ice", "haze"]

THICKEST = 80.0
"""Optical thickness beyond which nothing changes."""

STEPS = 4096

_ABSORBED = {
    "water": np.array([2e-6, 2e-6, 2e-6, 3e-6, 5e-6, 8e-6, 1e-5, 3e-5, 4e-5, 3e-4, 3e-3, 5.5e-3, 1.8e-2]),
    "ice": np.array([2e-6, 2e-6, 2e-6, 5e-6, 1e-5, 2e-5, 2e-5, 5e-5, 8e-5, 3e-4, 1.5e-2, 3.5e-2, 6e-2]),
    "haze": np.full(13, 0.05),
}
_ASYMMETRY = {"water": 0.86, "ice": 0.80, "haze": 0.68}
_HAZE_ANGSTROM = 1.2


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Tables over the steps of `step_of`, each (13, STEPS)."""

    reflected: Floats
    """Share of the sun's light."""
    lit: Floats
    """Share of the sun's light that comes through, beam and diffuse."""
    seen: Floats
    """The same on the way to the satellite."""


def step_of(thickness: Floats) -> npt.NDArray[np.uint16]:
    """Position of an optical thickness at 550 nm in the tables: finer where it is thin."""
    share = np.minimum(thickness, np.float32(THICKEST))
    share *= np.float32(1 / THICKEST)
    np.sqrt(share, out=share)
    share *= np.float32(STEPS - 1)
    share += np.float32(0.5)
    return share.astype(np.uint16)


@lru_cache(maxsize=64)
def layer(particles: Particles, sun: float, view: float) -> Layer:
    """Tables for the cosines of the zeniths of sun and satellite."""
    thickness = (np.arange(STEPS) / (STEPS - 1)) ** 2 * THICKEST
    scaled = np.ones(13)
    if particles == "haze":
        scaled = (np.array([band.wavelength for band in BANDS.values()]) / 550) ** -_HAZE_ANGSTROM
    albedo = 1 - _ABSORBED[particles][:, None]
    reflected, lit = two_streams(thickness * scaled[:, None], albedo, _ASYMMETRY[particles], sun)
    _, seen = two_streams(thickness * scaled[:, None], albedo, _ASYMMETRY[particles], view)
    return Layer(*(table.astype(np.float32) for table in (reflected, lit, seen)))


def two_streams(thickness: Spectrum, albedo: Spectrum, asymmetry: float, cosine: float) -> tuple[Spectrum, Spectrum]:
    """Plane albedo and total transmittance; meets energy conservation where the albedo of single scattering is 1."""
    forward = asymmetry**2
    tau = np.minimum((1 - albedo * forward) * thickness, 200.0)
    w = np.minimum((1 - forward) * albedo / (1 - albedo * forward), 1 - 1e-7)
    g = asymmetry / (1 + asymmetry)
    one, two = (7 - w * (4 + 3 * g)) / 4, -(1 - w * (4 - 3 * g)) / 4
    three = (2 - 3 * g * cosine) / 4
    four = 1 - three
    a1, a2 = one * four + two * three, one * three + two * four
    k = np.sqrt(one**2 - two**2)
    # The formula's resonance k cosine = 1 is stepped over.
    mu = np.where(np.abs(1 - k * cosine) < 1e-4, cosine * (1 + 1e-3), cosine)
    small, beam = np.exp(-k * tau), np.exp(-tau / mu)
    below = w / ((1 - (k * mu) ** 2) * ((k + one) + (k - one) * small**2))
    reflected = below * (
        (1 - k * mu) * (a2 + k * three)
        - (1 + k * mu) * (a2 - k * three) * small**2
        - 2 * k * (three - a2 * mu) * beam * small
    )
    diffuse = -below * (
        (1 + k * mu) * (a1 + k * four) * beam
        - (1 - k * mu) * (a1 - k * four) * beam * small**2
        - 2 * k * (four + a1 * mu) * small
    )
    return np.clip(reflected, 0, 1), np.clip(beam + diffuse, 0, 1)
