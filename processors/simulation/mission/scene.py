"""One look of the instrument at a window of land: from surface reflectance to what L1C and L2A hold, with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.grid import Window
from catalog.orbits.angles import Angles
from catalog.products import BANDS, LEVEL_BANDS
from processors.simulation.instrument.instrument import (
    ALIGNMENT,
    MARGIN,
    Instrument,
    check_alignment,
    means,
    to_numbers,
    whole_pixels,
)
from processors.simulation.mission.classification import Errors, classify
from processors.simulation.noise.seeded import keys
from processors.simulation.sky.atmosphere import NAMES, misjudged, transfer
from processors.simulation.sky.sky import Sky, SkyView, add_layers, add_snow, look

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]

UNSEEN = 255
"""Value in the truth of the sky: nothing was seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Images and truth of one window. Numbers are those of products: reflectance = (number - offset of the baseline) x 1e-4."""

    window: Window
    l1c: Mapping[str, Numbers]
    """13 bands, each at its own pixel size."""
    l2a: Mapping[str, Numbers]
    """12 bands, each at its own pixel size."""
    scl: Bytes
    """(H / 2, W / 2): scene classification."""
    cloud_probability: Bytes
    """(H / 2, W / 2): %."""
    sky: Bytes
    """(H, W): the truth, values of `sky.CLASSES`, 255 where nothing was seen."""
    aerosol: float
    """Optical thickness at 550 nm that the correction assumed."""
    vapour: float
    """Water column that the correction assumed, cm."""


def with_margin(window: Window) -> Window:
    """The window of surface reflectance that `observe` needs for a window of products."""
    return Window(
        window.epsg, window.left - MARGIN, window.top + MARGIN, window.width + 2 * MARGIN, window.height + 2 * MARGIN
    )


def blocks_of(tile: Window, area: Window, size: int = 1050) -> list[Window]:
    """The windows in which an area of a tile is simulated: aligned, inside the tile, none larger than ``size`` (a multiple of 6)."""
    part = aligned(area).intersection(tile)
    return [] if part is None else list(part.blocks(size))


def aligned(window: Window) -> Window:
    """The smallest window of whole pixels of 60 m around a window."""
    left, top = window.left // ALIGNMENT * ALIGNMENT, -(-window.top // ALIGNMENT) * ALIGNMENT
    right, bottom = -(-window.right // ALIGNMENT) * ALIGNMENT, window.bottom // ALIGNMENT * ALIGNMENT
    return Window(window.epsg, left, top, right - left, top - bottom)


def observe(
    surface: Floats,
    window: Window,
    angles: Angles,
    sky: Sky,
    *,
    instrument: Instrument,
    baseline: str,
    seed: int,
    seen: npt.NDArray[np.bool_] | None = None,
    errors: Errors | None = None,
) -> Scene:
    """Make a window of an acquisition; all windows of one have the same ``angles``, ``sky`` and ``seed``, and agree at their edges.

    ``surface``: reflectance (13, H + 24, W + 24) float32 over `with_margin` of the window; it is changed where there is snow.
    ``window``: aligned to pixels of 60 m. ``seen``: (H, W), false beyond the swath; None: all of it is seen. Raises `ValueError` on
    other shapes.
    """
    check_alignment(window)
    wide = with_margin(window)
    if surface.shape != (len(NAMES), *wide.shape):
        raise ValueError(
            f"surface reflectance of {window} has the shape {(len(NAMES), *wide.shape)}, not {surface.shape}"
        )
    view = look(sky, seed, wide, angles)
    if view.snow is not None:
        add_snow(surface, view.snow)
    air = transfer(sky.atmosphere, angles)
    thought = misjudged(sky.atmosphere, np.random.default_rng([seed, 0xA1]))
    assumed = transfer(thought, angles)
    whole = {metres: None if seen is None else whole_pixels(seen, metres) for metres in (10, 20, 60)}
    l1c: dict[str, Numbers] = {}
    l2a: dict[str, Numbers] = {}
    for_classes: dict[str, Floats] = {}
    for number, band in enumerate(NAMES):
        top = air.to_top(number, surface[number], view.beam)
        add_layers(top, number, sky, view, angles)
        measured = instrument.measure(band, top, window, angles, seed)
        part = whole[BANDS[band].resolution]
        l1c[band] = to_numbers(measured, baseline, part)
        if band not in LEVEL_BANDS["L2A"]:
            continue
        corrected = assumed.to_surface(number, measured)
        corrected[np.isinf(measured)] = np.inf
        l2a[band] = to_numbers(corrected, baseline, part)
        if band in ("B02", "B03", "B04", "B8A", "B11"):
            for_classes[band] = means(corrected, 20 // BANDS[band].resolution)
    inner = _inner(view)
    scl, probability = classify(inner, sky, for_classes, window, int(keys(seed, 1)) >> 1, errors)
    truth = inner.classes.copy()
    if seen is not None:
        truth[~seen] = UNSEEN
        unseen = ~whole_pixels(seen, 20)
        scl[unseen] = 0
        probability[unseen] = 0
    return Scene(window, l1c, l2a, scl, probability, truth, thought.aerosol, thought.vapour)


def _inner(view: SkyView) -> SkyView:
    inside = slice(MARGIN, -MARGIN)
    return SkyView(
        thickness=tuple(thick[inside, inside] for thick in view.thickness),
        beam=None if view.beam is None else view.beam[inside, inside],
        snow=None if view.snow is None else view.snow[inside, inside],
        classes=view.classes[inside, inside],
    )
