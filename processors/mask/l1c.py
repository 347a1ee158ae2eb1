"""Masks of L1C cells: clouds by s2cloudless on blocks of pixels, cirrus, and shadows across the edges of cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry import Point

from catalog.errors import Reason
from catalog.grid import CELL, PIXEL, Cell, Window, cells_of_window, to_lonlat
from catalog.orbits.sun import sun_angles
from catalog.products import REFLECTANCE_SCALE, Acquisition, LeftOut
from processors.cube.cell_acquisition import CellAcquisition
from processors.cube.healing import healed
from processors.cube.layout import CLEAR_NO_DATA
from processors.mask.clear_layer import begin_mask, clear_at_most, finish_mask
from processors.mask.clouds import (
    NEEDED_BANDS,
    Mask,
    cast_shadows,
    cloud_mask,
    cloud_probability,
    dilated,
    shadow_reach,
)
from processors.mask.options import L1CMask, MaskOptions


@dataclass(frozen=True, slots=True)
class _Coarse:
    """A cell at the working resolution, (h, w) each."""

    probability: npt.NDArray[np.float32]
    cirrus: Mask
    dark: Mask


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Reflectance of a cell by blocks: (B, h, w) means over the pixels with data of each block, (h, w) where there are such,
    and (H, W) which pixels may be clear."""

    means: npt.NDArray[np.float32]
    known: Mask
    state: npt.NDArray[np.uint8]


def sort_out(waiting: Sequence[CellAcquisition]) -> tuple[list[CellAcquisition], list[LeftOut]]:
    """Divide them into those that hold what s2cloudless needs, and the others with their reason."""
    usable: list[CellAcquisition] = []
    dropped: list[LeftOut] = []
    for target in waiting:
        present = dict(zip(target.cube.bands, target.bands_present, strict=True))
        missing = [band for band in NEEDED_BANDS if not present[band]]
        if missing:
            reason = f"clouds can't be told without {', '.join(missing)}"
            dropped.append(
                LeftOut(
                    product=f"{target.cube.acquisition_ids[target.index]} {target.cell.name}",
                    reason=reason,
                    kind=Reason.LACKS_BANDS,
                )
            )
        else:
            usable.append(target)
    return usable, dropped


def mask_l1c(
    waiting: Sequence[CellAcquisition],
    neighbour: Callable[[Cell], CellAcquisition | None],
    acquisition: Acquisition,
    options: MaskOptions,
) -> None:
    """Write `cloud_probability` and `clear` of one acquisition into its cells.

    ``neighbour`` finds the acquisition in any cell: clouds of those masked before reach into these.
    """
    coarse: dict[Cell, _Coarse] = {}
    states: dict[Cell, npt.NDArray[np.uint8]] = {}
    for target in waiting:
        blocks = healed({target.cube.path: [target.index]}, partial(_blocks, target, options.l1c))
        if options.shares_clouds(target.masked_with):  # another threshold doesn't change the probability
            stored = partial(_stored_probability, target, blocks.known, options.l1c)
            percent = healed({target.cube.path: [target.index]}, stored)
            begin_mask(target)
        else:
            begin_mask(target)
            percent = _new_probability(target, blocks, options.l1c)
        coarse[target.cell] = _thresholds(percent, blocks, target.cube.bands, options.l1c)
        states[target.cell] = blocks.state
    margin = math.ceil(options.l1c.reach / PIXEL)
    around = {cell for target in waiting for cell in cells_of_window(target.cell.window.widened(margin))}
    for cell in sorted(around - coarse.keys()):
        there = neighbour(cell)
        if there is not None and (
            layers := healed({there.cube.path: [there.index]}, partial(_neighbour, there, options))
        ):
            coarse[cell] = layers
    for target in waiting:
        clouded = _clouded(target.cell, coarse, *_sun(target, acquisition), options.l1c)
        state = states.pop(target.cell)
        finish_mask(target, np.where(state == 1, ~clouded, state), options.record("L1C"))


def _neighbour(there: CellAcquisition, options: MaskOptions) -> _Coarse | None:
    """A cell that was masked before; None where that was with other clouds, or isn't so any more."""
    if not options.shares_clouds(there.masked_with):
        return None
    blocks = _blocks(there, options.l1c)
    percent = _stored_probability(there, blocks.known, options.l1c)
    return _thresholds(percent, blocks, there.cube.bands, options.l1c)


def _new_probability(target: CellAcquisition, blocks: _Blocks, options: L1CMask) -> npt.NDArray[np.uint8]:
    """(h, w): compute and write the cloud probability of a cell, %."""
    probability = np.zeros(blocks.known.shape, np.float32)
    if blocks.known.any():
        # a column of the pixels with data: trees look at each pixel by itself
        probability[blocks.known] = cloud_probability(blocks.means[:, blocks.known].T[:, np.newaxis])[:, 0]
    percent = np.rint(probability * 100).astype(np.uint8)
    valid = blocks.state != CLEAR_NO_DATA
    target.cube.write_slab(
        "cloud_probability", target.index, np.where(valid, _enlarged(percent, options), np.uint8(CLEAR_NO_DATA))
    )
    return percent


def _stored_probability(target: CellAcquisition, known: Mask, options: L1CMask) -> npt.NDArray[np.uint8]:
    """(h, w): the cloud probability of a cell that was masked before, %."""
    k = _step(options)
    stored = target.cube.read("cloud_probability", target.index).reshape(CELL // k, k, CELL // k, k)
    # the least of a block is its value: what has no data is 255
    return np.where(known, stored.min(axis=(1, 3)), 0).astype(np.uint8)


def _thresholds(percent: npt.NDArray[np.uint8], blocks: _Blocks, bands: Sequence[str], options: L1CMask) -> _Coarse:
    # From the stored percent, in every case: a cell masked before and one masked now must meet without a seam.
    return _Coarse(
        probability=(percent / 100).astype(np.float32),
        cirrus=blocks.known & (blocks.means[bands.index("B10")] > options.cirrus),
        dark=blocks.known & (blocks.means[bands.index("B08")] < options.dark_nir),
    )


def _blocks(target: CellAcquisition, options: L1CMask) -> _Blocks:
    reflectance = target.cube.read("reflectance", target.index)
    state = clear_at_most(target, reflectance)
    valid = state != CLEAR_NO_DATA
    k = _step(options)
    counts = _block_sums(valid, k)
    sums = np.stack([_block_sums(np.where(valid, band, 0), k) for band in reflectance])
    means = (sums / np.maximum(counts, 1) * REFLECTANCE_SCALE).astype(np.float32)
    return _Blocks(means, counts > 0, state)


def _block_sums(array: npt.NDArray[Any], k: int) -> npt.NDArray[np.uint32]:
    """(h, w) of (H, W): rows first, which runs along memory. 256 pixels of 16 bits fit into 32."""
    height, width = array.shape
    rows = array.reshape(height // k, k, width).sum(axis=1, dtype=np.uint32)
    sums: npt.NDArray[np.uint32] = rows.reshape(height // k, width // k, k).sum(axis=2, dtype=np.uint32)
    return sums


def _step(options: L1CMask) -> int:
    """Edge of a working pixel, pixels."""
    return options.resolution // PIXEL


def _enlarged(array: npt.NDArray[Any], options: L1CMask) -> npt.NDArray[Any]:
    return array.repeat(_step(options), axis=0).repeat(_step(options), axis=1)


def _sun(target: CellAcquisition, acquisition: Acquisition) -> tuple[float, float]:
    if acquisition.sun_zenith is not None and acquisition.sun_azimuth is not None:
        return acquisition.sun_zenith, acquisition.sun_azimuth
    west, south, east, north = target.cell.window.bounds
    longitude, latitude, *_ = to_lonlat(Point((west + east) / 2, (south + north) / 2), target.cell.epsg).bounds
    return sun_angles(acquisition.time, longitude, latitude)


def _clouded(cell: Cell, coarse: Mapping[Cell, _Coarse], zenith: float, azimuth: float, options: L1CMask) -> Mask:
    """(H, W): cloud, cirrus or shadow."""
    resolution = options.resolution
    beyond = options.reach - max(0.0, options.shadow_distance - shadow_reach(zenith))
    margin = math.ceil(beyond / resolution)
    layers = {name: _coarse_around(cell, coarse, name, margin, options) for name in ("probability", "cirrus", "dark")}
    cirrus = dilated(layers["cirrus"], options.dilation / resolution)
    clouds = cloud_mask(layers["probability"], options) | cirrus
    cast = cast_shadows(clouds, zenith, azimuth, resolution, options.shadow_distance)
    shadows = dilated(cast & layers["dark"], options.shadow_dilation / resolution)
    inner = slice(margin, -margin), slice(margin, -margin)
    return np.asarray(_enlarged((clouds | shadows)[inner], options))


def _coarse_around(
    cell: Cell, coarse: Mapping[Cell, _Coarse], name: str, margin: int, options: L1CMask
) -> npt.NDArray[Any]:
    """A layer over a cell and ``margin`` working pixels around it; 0 or False where there is no neighbour."""
    edge = CELL // _step(options)
    # The same arithmetic as on the grid, in units of working pixels: cells are whole numbers of them.
    window = Window(cell.epsg, cell.column * edge, (cell.row + 1) * edge, edge, edge).widened(margin)
    whole = np.zeros(window.shape, getattr(coarse[cell], name).dtype)
    for other, layers in coarse.items():
        whole_cell = Window(cell.epsg, other.column * edge, (other.row + 1) * edge, edge, edge)
        part = window.intersection(whole_cell)
        if part is not None:
            whole[window.slices(part)] = getattr(layers, name)[whole_cell.slices(part)]
    return whole
