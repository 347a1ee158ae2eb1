"""Conversion of surface reflectance to reflectance at the top of the atmosphere in the 13 bands, and back.

A flat, cloudless atmosphere over a flat, Lambertian ground (Tanré et al., 1979; Vermote et al., 1997):

    top = gas_path * path + gas * down * up * surface / (1 - back * surface)

- Molecules: optical thickness by Hansen & Travis (1974), eq. 2.30, in proportion to the pressure; phase function 3/4 (1 + cos²).
- Aerosol: Ångström's law (1929), phase function of Henyey & Greenstein (1941).
- Path reflectance, transmittances and spherical albedo: exact single scattering with Sobolev's (1975) approximation of multiple
  scattering, which vanishes where the atmosphere is thin. It is scalar: a few per cent of the blue are lost where the sun is low.
- Gases: ozone by Beer's law with its cross sections (Serdyuchenko et al., 2014) at the bands' centres; water vapour as
  ``exp(-a (u m) ** n)`` (the form of SMAC; Rahman & Dedieu, 1994); oxygen, carbon dioxide and methane as a fixed thickness. The
  coefficients of vapour are rounded, those of B09 and B10 chosen so that clear real scenes' ratio B09 / B8A and darkness of B10 come out.
  Aerosol lies in half of the vapour, molecules scatter above most of it.

Left out: what neighbouring pixels scatter into the view (adjacency), terrain, polarisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from catalog.errors import RequestError
from catalog.orbits.angles import Angles
from catalog.products import BANDS

Floats = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.float64]

NAMES: tuple[str, ...] = tuple(BANDS)
"""Order of all spectra here: B01 ... B08 B8A B09 B10 B11 B12."""

_MICROMETRES = np.array([band.wavelength for band in BANDS.values()]) / 1000

# Absorption of ozone, 1/(atm cm), and the fixed gases' thickness.
_OZONE = np.array([0.0034, 0.0215, 0.104, 0.052, 0.021, 0.011, 0.008, 0.004, 0, 0, 0, 0, 0])
_FIXED = np.array([0, 0, 0, 0.001, 0, 0, 0.001, 0.004, 0, 0, 0, 0.011, 0.018])
_VAPOUR = np.array([0, 0.0001, 0.0015, 0.003, 0.009, 0.011, 0.0015, 0.018, 0.0006, 0.50, 2.97, 0.0035, 0.013])
_VAPOUR_POWER = np.array([0.8] * 9 + [0.55] + [0.8] * 3)

_VAPOUR_HEIGHT, _AIR_HEIGHT = 2000.0, 8000.0
"""Scale heights, m."""


@dataclass(frozen=True, slots=True)
class Atmosphere:
    """A cloudless day."""

    aerosol: float = 0.12
    """Optical thickness at 550 nm."""
    angstrom: float = 1.3
    """Exponent by which it falls with the wavelength; 1.3 is continental, 0.3 dust."""
    vapour: float = 2.0
    """Water column, cm."""
    ozone: float = 320.0
    """Column, Dobson units."""
    pressure: float = 1013.25
    """Pressure at the ground, hPa."""
    albedo: float = 0.93
    """Share of what aerosol takes out of the beam that it scatters."""
    asymmetry: float = 0.66
    """Mean cosine of the aerosol's scattering angle."""

    def __post_init__(self) -> None:
        limits = {"aerosol": (0, 3), "vapour": (0, 8), "ozone": (0, 600), "pressure": (400, 1100), "albedo": (0.5, 1)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise RequestError(f"atmosphere: {name} is {value:g}, simulated are {least:g} to {most:g}.")


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """Transfer of light through an atmosphere at given angles; each of (13,), all but ``path`` shares of the light."""

    path: Spectrum
    """Reflectance of the atmosphere itself, gases included."""
    direct: Spectrum
    """Share of the sun's beam that arrives as a beam; the halo around the sun counts as beam, for clouds hide both."""
    diffuse: Spectrum
    """Share of the sun's beam that arrives from the sky."""
    up: Spectrum
    """Transmittance from the ground to the satellite, gases included."""
    back: Spectrum
    """Share of the ground's light that the sky throws back: spherical albedo."""

    def to_top(self, band: int, surface: Floats, beam: Floats | None = None) -> Floats:
        """Surface reflectance (H, W) of a band as seen from the top. ``beam``: what clouds leave of the sun's beam (H, W), 0 to 1."""
        result = np.multiply(surface, np.float32(-self.back[band]))
        result += np.float32(1)
        np.divide(surface, result, out=result)
        if beam is None:
            result *= np.float32(self.up[band] * (self.direct[band] + self.diffuse[band]))
        else:
            light = beam * np.float32(self.up[band] * self.direct[band])
            light += np.float32(self.up[band] * self.diffuse[band])
            result *= light
        result += np.float32(self.path[band])
        return result

    def to_surface(self, band: int, top: Floats) -> Floats:
        """The inverse of `to_top` without clouds: atmospheric correction. Raises `ValueError` for B10, which doesn't see the ground."""
        if NAMES[band] == "B10":
            raise ValueError("no light of the ground reaches the satellite in B10")
        result = np.subtract(top, np.float32(self.path[band]))
        result *= np.float32(1 / (self.up[band] * (self.direct[band] + self.diffuse[band])))
        coupled = result * np.float32(self.back[band])
        coupled += np.float32(1)
        result /= coupled
        return result


def molecular_thickness(micrometres: Spectrum, pressure: float = 1013.25) -> Spectrum:
    """Rayleigh optical thickness of all air (Hansen & Travis, 1974)."""
    inverse = micrometres**-2.0
    thickness: Spectrum = 0.008569 * inverse**2 * (1 + 0.0113 * inverse + 0.00013 * inverse**2) * pressure / 1013.25
    return thickness


def transfer(atmosphere: Atmosphere, angles: Angles) -> Transfer:
    """The terms of the module's equation."""
    molecules = molecular_thickness(_MICROMETRES, atmosphere.pressure)
    aerosol = atmosphere.aerosol * (_MICROMETRES / 0.55) ** -atmosphere.angstrom
    scattered = atmosphere.albedo * aerosol
    thickness = molecules + scattered
    asymmetry = atmosphere.asymmetry * scattered / thickness

    cosine = angles.scattering
    of_molecules = 0.75 * (1 + cosine**2)
    g = atmosphere.asymmetry
    of_aerosol = (1 - g * g) / (1 + g * g - 2 * g * cosine) ** 1.5
    single, multiple = _sobolev(thickness, asymmetry, angles)

    m = angles.air_mass
    soot = np.exp(-(aerosol - scattered) * m)
    vapour = atmosphere.vapour * m
    high, middle = (_gas(atmosphere, m, vapour * share) for share in (_share_above_molecules(), 0.5))
    by_molecules = single * of_molecules * molecules / thickness
    by_aerosol = single * of_aerosol * scattered / thickness
    path = soot * (high * by_molecules + middle * (by_aerosol + multiple))

    down, up = (_transmitted(thickness, asymmetry, mu) for mu in (angles.sun, angles.view))
    # Light that aerosol turns by a few degrees only goes on as beam (the delta scaling of Joseph et al., 1976).
    direct = np.exp(-(molecules + scattered * (1 - g * g)) / angles.sun)
    half = (3 - 3 * asymmetry) * thickness
    return Transfer(
        path=path,
        direct=direct,
        diffuse=np.maximum(down - direct, 0),
        up=up * soot * _gas(atmosphere, m, vapour),
        back=half / (4 + half),
    )


def above(atmosphere: Atmosphere, angles: Angles, height: float) -> Spectrum:
    """(13,): two-way transmittance of the gases above a height in m: what a cloud there is seen through."""
    vapour = atmosphere.vapour * angles.air_mass * math.exp(-height / _VAPOUR_HEIGHT)
    return _gas(atmosphere, angles.air_mass, vapour, fixed=math.exp(-height / _AIR_HEIGHT))


def misjudged(atmosphere: Atmosphere, random: np.random.Generator) -> Atmosphere:
    """Atmosphere that atmospheric correction assumes: one error a scene, in all of its bands.

    Standard deviations are the accuracy required of Sen2Cor: 0.1 aerosol + 0.03, and 0.1 vapour + 0.2 cm (ESA, Sentinel-2
    L2A Data Quality Report). The kind of aerosol is one of a few in its tables, never the one that is there.
    """
    aerosol = atmosphere.aerosol + random.normal(0, 0.1 * atmosphere.aerosol + 0.03)
    vapour = atmosphere.vapour + random.normal(0, 0.1 * atmosphere.vapour + 0.2)
    return replace(
        atmosphere,
        aerosol=float(np.clip(aerosol, 0.01, 3)),
        angstrom=float(np.clip(atmosphere.angstrom + random.normal(0, 0.15), 0, 2)),
        vapour=float(np.clip(vapour, 0.1, 8)),
        ozone=float(np.clip(atmosphere.ozone + random.normal(0, 10), 200, 500)),
        albedo=float(np.clip(atmosphere.albedo + random.normal(0, 0.02), 0.8, 1)),
        asymmetry=float(np.clip(atmosphere.asymmetry + random.normal(0, 0.03), 0.5, 0.8)),
    )


def _sobolev(thickness: Spectrum, asymmetry: Spectrum, angles: Angles) -> tuple[Spectrum, Spectrum]:
    """Reflectance over black ground: of single scattering for an isotropic phase function, and of all that follows."""
    sun, view = angles.sun, angles.view
    first = 3 * asymmetry  # the phase function's first coefficient
    single = -np.expm1(-thickness * angles.air_mass) / (4 * (sun + view))
    spread = _diffused(thickness, sun) * _diffused(thickness, view) / (4 + (3 - first) * thickness)
    multiple = 1 - spread + ((3 + first) * sun * view - 2 * (sun + view)) * single
    return single, np.maximum(multiple, 0)


def _diffused(thickness: Spectrum, cosine: float) -> Spectrum:
    result: Spectrum = 1 + 1.5 * cosine + (1 - 1.5 * cosine) * np.exp(-thickness / cosine)
    return result


def _transmitted(thickness: Spectrum, asymmetry: Spectrum, cosine: float) -> Spectrum:
    """Beam and diffuse light together."""
    result: Spectrum = 2 * _diffused(thickness, cosine) / (4 + (3 - 3 * asymmetry) * thickness)
    return result


def _gas(atmosphere: Atmosphere, air_mass: float, vapour: float, fixed: float = 1.0) -> Spectrum:
    thickness = (_OZONE * atmosphere.ozone / 1000 + _FIXED * fixed) * air_mass + _VAPOUR * vapour**_VAPOUR_POWER
    return np.exp(-thickness)


def _share_above_molecules() -> float:
    """Share of the vapour above the middle of the molecules."""
    return math.exp(-_AIR_HEIGHT * math.log(2) / _VAPOUR_HEIGHT)
