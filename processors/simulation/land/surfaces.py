"""End-members: what lies on the ground or stands on a canopy that PROSAIL can't make, as reflectance in the 13 bands.

Plausible round numbers after published spectra and what Sentinel-2 sees over such places; none was fitted to a pixel. Soil is a
temperate loam that darkens with moisture, most in the short-wave infrared (Lobell & Asner, 2002). The three satellites share them: the
spectra are smooth, and the bands differ by less than the end-members are uncertain.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Ground(IntEnum):
    """Kinds of ground below a canopy; rows of `GROUND`."""

    SOIL = 0
    STRAW = 1
    LITTER = 2
    ASPHALT = 3
    ROOF = 4
    WATER = 5
    SWARD = 6


class Top(IntEnum):
    """Kinds of cover that stand above a canopy and hide it; rows of `TOP`."""

    RAPE_FLOWER = 0
    SUNFLOWER = 1
    EAR = 2
    TASSEL = 3
    BLOSSOM = 4


#                      B01    B02    B03    B04    B05    B06    B07    B08    B8A    B09    B10    B11    B12
GROUND: Floats = np.array(
    [
        [0.105, 0.125, 0.175, 0.230, 0.255, 0.278, 0.298, 0.308, 0.320, 0.325, 0.350, 0.382, 0.370],  # dry loam
        [0.085, 0.110, 0.165, 0.240, 0.295, 0.330, 0.360, 0.390, 0.415, 0.420, 0.400, 0.430, 0.290],  # straw
        [0.030, 0.040, 0.060, 0.090, 0.125, 0.160, 0.190, 0.215, 0.235, 0.250, 0.270, 0.280, 0.190],  # leaf litter
        [0.095, 0.105, 0.120, 0.132, 0.138, 0.143, 0.148, 0.155, 0.158, 0.160, 0.175, 0.190, 0.175],  # asphalt
        [0.110, 0.120, 0.145, 0.195, 0.215, 0.225, 0.230, 0.240, 0.245, 0.250, 0.270, 0.290, 0.270],  # roofs
        [0.050, 0.055, 0.060, 0.045, 0.040, 0.028, 0.027, 0.022, 0.018, 0.015, 0.008, 0.010, 0.008],  # turbid water
        [
            0.022,
            0.032,
            0.062,
            0.042,
            0.102,
            0.275,
            0.340,
            0.370,
            0.390,
            0.395,
            0.350,
            0.220,
            0.110,
        ],  # grass between rows
    ],
    np.float32,
)

TOP: Floats = np.array(
    [
        [0.030, 0.045, 0.220, 0.220, 0.270, 0.340, 0.380, 0.410, 0.420, 0.420, 0.380, 0.240, 0.140],  # rapeseed
        [0.030, 0.040, 0.170, 0.210, 0.270, 0.330, 0.360, 0.390, 0.400, 0.400, 0.370, 0.260, 0.150],  # sunflower
        [0.050, 0.075, 0.125, 0.120, 0.210, 0.330, 0.370, 0.400, 0.420, 0.420, 0.380, 0.270, 0.150],  # ears with awns
        [0.060, 0.085, 0.125, 0.145, 0.200, 0.270, 0.300, 0.330, 0.350, 0.350, 0.340, 0.290, 0.170],  # maize tassels
        [0.120, 0.170, 0.220, 0.210, 0.260, 0.340, 0.370, 0.390, 0.400, 0.400, 0.370, 0.260, 0.170],  # fruit blossom
    ],
    np.float32,
)

_WETTED: Floats = np.array([0.50, 0.50, 0.53, 0.56, 0.58, 0.61, 0.63, 0.64, 0.65, 0.64, 0.50, 0.40, 0.30], np.float32)
"""Share of dry soil's reflectance that is left when wet."""


def ground(shares: Floats, moisture: Floats, brightness: Floats) -> Floats:
    """(N, 13): a linear mixture. ``shares`` (N, 7) ordered as `Ground`, ``moisture`` 0 to 1 (N,), soil's ``brightness`` (N,) or (N, 13)."""
    # Not `@`: its rounding may depend on how many rows there are.
    seen: Floats = np.einsum("ng,gb->nb", shares, GROUND)
    wet = moisture[:, None]
    # Straw and litter darken like soil, stone and water hardly.
    natural = shares[:, : Ground.ASPHALT].sum(axis=1, keepdims=True)
    seen *= 1 + natural * wet * (_WETTED - 1)
    of_bands = brightness if brightness.ndim == 2 else brightness[:, None]
    seen *= 1 + shares[:, Ground.SOIL, None] * (of_bands - 1)
    return seen
