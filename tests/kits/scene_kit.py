"""Scenes of the simulated mission as one, for tests that compare them with what was written or read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.grid import PIXEL, Window
from catalog.products import BANDS
from processors.simulation.mission.scene import Scene


def joined(scenes: Iterable[Scene], area: Window) -> Scene:
    """One scene of blocks that fill an area (aligned to pixels of 60 m)."""
    whole: Scene | None = None
    for scene in scenes:
        if whole is None:
            whole = _blank(scene, area)
        rows, columns = area.slices(scene.window)
        for target, source in ((whole.l1c, scene.l1c), (whole.l2a, scene.l2a)):
            for band, values in source.items():
                _put(target[band], values, rows, columns, BANDS[band].resolution // PIXEL)
        _put(whole.scl, scene.scl, rows, columns, 2)
        _put(whole.cloud_probability, scene.cloud_probability, rows, columns, 2)
        _put(whole.sky, scene.sky, rows, columns, 1)
    if whole is None:
        raise ValueError("no scenes to join")
    return whole


def _blank(like: Scene, area: Window) -> Scene:
    def bands(names: Iterable[str]) -> dict[str, npt.NDArray[np.uint16]]:
        factors = {name: BANDS[name].resolution // PIXEL for name in names}
        return {name: np.zeros((area.height // by, area.width // by), np.uint16) for name, by in factors.items()}

    half = np.zeros((area.height // 2, area.width // 2), np.uint8)
    sky = np.full(area.shape, 255, np.uint8)
    return Scene(area, bands(like.l1c), bands(like.l2a), half, half.copy(), sky, like.aerosol, like.vapour)


def _put(target: npt.NDArray[Any], values: npt.NDArray[Any], rows: slice, columns: slice, factor: int) -> None:
    target[rows.start // factor : rows.stop // factor, columns.start // factor : columns.stop // factor] = values
