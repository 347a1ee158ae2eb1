"""Reflectance of what grows: the canopy's emulator over the ground's end-members, flowers and ears on top, rows between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.simulation.land import canopy, surfaces
from processors.simulation.land.growth_state import Growth

Floats = npt.NDArray[np.float32]


_LOST = 0.5


@dataclass(frozen=True, slots=True)
class Geometry:
    """Angles of sun and satellite, degrees; (N,) each where states of several days are seen at once."""

    sun_zenith: float | Floats
    view_zenith: float | Floats = 4.0
    relative_azimuth: float | Floats = 90.0


def reflectance(growth: Growth, moisture: Floats, brightness: Floats, geometry: Geometry, satellite: str) -> Floats:
    """(N, 13): of states (N,) on a soil of ``moisture`` 0 to 1 (N,) and ``brightness`` about 1, (N,) or (N, 13)."""
    leaves = ("leaf_area", "chlorophyll", "water", "dry_matter", "leaf_angle", "brown", "hotspot", "structure")
    parameters = np.empty((len(moisture), len(canopy.RANGES)), np.float32)
    for column, name in enumerate(leaves):
        parameters[:, column] = getattr(growth, name)
    # What stands in rows or crowns has its leaves on less ground.
    cover = growth.cover.astype(np.float32)[:, None]
    for column, angle in enumerate((geometry.sun_zenith, geometry.view_zenith, geometry.relative_azimuth), len(leaves)):
        parameters[:, column] = angle
    # Clods and furrows lie in their own shadows when the sun is low.
    lit = 1 - 0.35 * np.clip((np.asarray(geometry.sun_zenith, np.float32) - 40) / 35, 0, 1)
    below = surfaces.ground(growth.ground.astype(np.float32), moisture, np.asarray((brightness.T * lit).T, np.float32))
    seen = canopy.reflectance(parameters, below, satellite)
    top = growth.top.astype(np.float32)
    seen = seen * (1 - top.sum(axis=1, keepdims=True)) + np.einsum("nt,tb->nb", top, surfaces.TOP)
    seen *= growth.shade.astype(np.float32)[:, None]
    # Trees and rows throw shadows on the ground between them, in which about half of the light is left.
    sun = np.tan(np.radians(np.clip(np.asarray(geometry.sun_zenith, np.float32), 0, 75)))
    dark = np.clip(growth.shadow.astype(np.float32) * sun * cover[:, 0], 0, 0.8)[:, None]
    return np.asarray(cover * seen + (1 - cover) * below * (1 - _LOST * dark), np.float32)
