"""Which pixels of an acquisition are clear: L2A by its scene classification, L1C by s2cloudless.

Dilation and shadows need what lies beyond a cell's edge: it is read from the neighbouring cells that hold the same acquisition,
so that no seam appears between cells of one request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from shapely.geometry import Point

from catalog.grid import CELL, PIXEL, Cell, Window, cells_of_window, to_lonlat
from catalog.products import NO_DATA, REFLECTANCE_SCALE, SATURATED, Acquisition, Frozen, LeftOut, Order
from catalog.store import Store
from catalog.sun import sun_angles
from processors.clouds import (
    CIRRUS_REFLECTANCE,
    CLOUD_AVERAGE,
    CLOUD_DILATION,
    DARK_NIR,
    NEEDED_BANDS,
    Mask,
    cast_shadows,
    cloud_mask,
    cloud_probability,
    dilated,
    shadow_reach,
)
from processors.cube import Cube
from processors.cube_layout import CLEAR_NO_DATA
from processors.ingest import acquisition_of

SCL_CLEAR = (4, 5, 6, 7)
"""Vegetation, bare soil, water, unclassified. Not clear: 1 defective, 2 dark, 3 shadow, 8-9 cloud, 10 cirrus, 11 snow."""

SCL_DILATED = (3, 8, 9)
SCL_DILATION = 60
"""The classification is tight around clouds and their shadows: m by which they are widened."""

WORKING_PIXELS = 4
"""Edge in pixels of the blocks that L1C clouds are found on: 40 m, where a cell takes 2 s on one core (31 s at 10 m) and the
authors' reference scene gets the native mask for 99.4 % of its pixels (60 m: 98.7 %)."""

SHADOW_REACH = 5120
"""Shadows are looked for up to this distance from their cloud, m."""


class MaskResult(Frozen):
    """What became of the mask of one acquisition."""

    acquisition: str
    masked: Annotated[tuple[str, ...], Field(description="cells masked now")] = ()
    skipped: Annotated[tuple[str, ...], Field(description="cells that were masked before")] = ()
    dropped: Annotated[tuple[LeftOut, ...], Field(description="cells that can't be masked, and why")] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """An ingested acquisition in one cell."""

    cube: Cube
    index: int

    @property
    def cell(self) -> Cell:
        return self.cube.cell

    @property
    def is_masked(self) -> bool:
        return bool(self.cube.arrays["masked"][self.index] == 1)


def mask_acquisition(store: Store, order: Order, acquisition_id: str, cells: Sequence[Cell]) -> MaskResult:
    """Write `clear` of one acquisition into those of its cells that are ingested and lack it.

    Raises `StoreError` where the store can't be written.
    """
    acquisition = acquisition_of(order, acquisition_id)

    def place(cell: Cell) -> _Place | None:
        return _place(store, order, acquisition, cell)

    found = [found for cell in sorted(cells) if (found := place(cell)) is not None]
    waiting = [one for one in found if not one.is_masked]
    dropped: list[LeftOut] = []
    if order.level == "L2A":
        for one in waiting:
            _finish(one, _clear_l2a(one, place))
    else:
        waiting, dropped = _sort_out(waiting)
        _mask_l1c(waiting, place, acquisition)
    return MaskResult(
        acquisition=acquisition_id,
        masked=tuple(one.cell.name for one in waiting),
        skipped=tuple(one.cell.name for one in found if one not in waiting and one.is_masked),
        dropped=tuple(dropped),
    )


def _place(store: Store, order: Order, acquisition: Acquisition, cell: Cell) -> _Place | None:
    path = store.cube(order.source_id, order.level, cell)
    if not path.exists():
        return None
    cube = Cube(path, "r+")
    index = cube.index_of(acquisition.id, acquisition.time, acquisition.platform)
    return None if index is None or cube.arrays["ingested"][index] != 1 else _Place(cube, index)


def _finish(place: _Place, clear: npt.NDArray[np.uint8]) -> None:
    place.cube.write_slab("clear", place.index, clear)
    place.cube.set(place.index, clear_fraction=float((clear == 1).mean()), masked=1)


def _seen(reflectance: npt.NDArray[np.uint16], place: _Place) -> tuple[Mask, Mask]:
    """(H, W) twice: pixels with data in every band present, pixels saturated in any."""
    present = _present(place)
    valid, saturated = np.full((CELL, CELL), bool(present.any())), np.zeros((CELL, CELL), bool)
    for band in reflectance[present]:
        valid &= band != NO_DATA
        saturated |= band == SATURATED
    return valid, saturated


def _present(place: _Place) -> npt.NDArray[np.bool_]:
    return np.asarray(np.asarray(place.cube.arrays["bands_present"][place.index]) == 1)


def _around(window: Window, part_of: Callable[[Cell, Window], npt.NDArray[Any] | None], empty: Any) -> npt.NDArray[Any]:
    """An array over a window put together from the cells it touches; ``empty`` where a cell has none."""
    whole = np.full(window.shape, empty)
    for cell in cells_of_window(window):
        part = window.intersection(cell.window)
        if part is not None and (values := part_of(cell, part)) is not None:
            whole[window.slices(part)] = values
    return whole


def _widened(window: Window, margin: int) -> Window:
    return Window(
        window.epsg, window.left - margin, window.top + margin, window.width + 2 * margin, window.height + 2 * margin
    )


def _clear_l2a(place: _Place, neighbour: Callable[[Cell], _Place | None]) -> npt.NDArray[np.uint8]:
    margin = SCL_DILATION // PIXEL

    def scl_of(cell: Cell, part: Window) -> npt.NDArray[Any] | None:
        there = place if cell == place.cell else neighbour(cell)
        return None if there is None else there.cube.read("scl", there.index, *cell.window.slices(part))

    scl = _around(_widened(place.cell.window, margin), scl_of, np.uint8(0))
    widened = dilated(np.isin(scl, SCL_DILATED), margin)
    inner = slice(margin, -margin), slice(margin, -margin)
    scl = scl[inner]
    valid, saturated = _seen(place.cube.read("reflectance", place.index), place)
    clear = np.isin(scl, SCL_CLEAR) & ~widened[inner] & ~saturated
    return np.where(valid & (scl != 0), clear, CLEAR_NO_DATA).astype(np.uint8)


def _sort_out(waiting: Sequence[_Place]) -> tuple[list[_Place], list[LeftOut]]:
    """Those that hold what s2cloudless needs, and why not the others."""
    usable: list[_Place] = []
    dropped: list[LeftOut] = []
    for place in waiting:
        present = dict(zip(place.cube.bands, _present(place), strict=True))
        missing = [band for band in NEEDED_BANDS if not present[band]]
        if missing:
            reason = f"clouds can't be told without {', '.join(missing)}"
            dropped.append(
                LeftOut(product=f"{place.cube.acquisition_ids[place.index]} {place.cell.name}", reason=reason)
            )
        else:
            usable.append(place)
    return usable, dropped


@dataclass(frozen=True, slots=True)
class _Coarse:
    """A cell at the working resolution, (H, W) each."""

    probability: npt.NDArray[np.float32]
    cirrus: Mask
    dark: Mask


def _mask_l1c(waiting: Sequence[_Place], neighbour: Callable[[Cell], _Place | None], acquisition: Acquisition) -> None:
    coarse = {place.cell: _find_clouds(place) for place in waiting}
    around = {cell for place in waiting for cell in cells_of_window(_widened(place.cell.window, 1))}
    for cell in sorted(around - set(coarse)):
        there = neighbour(cell)
        if there is not None and there.is_masked:
            coarse[cell] = _recall_clouds(there)
    for place in waiting:
        zenith, azimuth = _sun(place, acquisition)
        _finish(place, _clear_l1c(place, coarse, zenith, azimuth))


def _find_clouds(place: _Place) -> _Coarse:
    """Compute and write the cloud probability of a cell."""
    means, known, valid = _block_means(place)
    probability = np.zeros(known.shape, np.float32)
    if known.any():
        # a column of the pixels with data: trees look at each pixel by itself
        probability[known] = cloud_probability(means[:, known].T[:, np.newaxis])[:, 0]
    percent = np.rint(probability * 100).astype(np.uint8)
    stored = np.where(valid, _enlarged(percent), CLEAR_NO_DATA).astype(np.uint8)
    place.cube.write_slab("cloud_probability", place.index, stored)
    return _thresholds(percent, means, known, place.cube.bands)


def _recall_clouds(place: _Place) -> _Coarse:
    """The same of a cell that was masked before."""
    means, known, _ = _block_means(place)
    # the least of a block is its value: what has no data is 255
    percent = _blocks(place.cube.read("cloud_probability", place.index)).min(axis=(1, 3))
    return _thresholds(np.where(known, percent, 0), means, known, place.cube.bands)


def _thresholds(
    percent: npt.NDArray[Any], means: npt.NDArray[np.float32], known: Mask, bands: Sequence[str]
) -> _Coarse:
    # From the stored percent, in every case: a cell masked before and one masked now must meet without a seam.
    return _Coarse(
        probability=(percent / 100).astype(np.float32),
        cirrus=known & (means[bands.index("B10")] > CIRRUS_REFLECTANCE),
        dark=known & (means[bands.index("B08")] < DARK_NIR),
    )


def _block_means(place: _Place) -> tuple[npt.NDArray[np.float32], Mask, Mask]:
    """(B, h, w) mean reflectance over the pixels with data of each block, (h, w) where there are such, (H, W) which these are."""
    reflectance = place.cube.read("reflectance", place.index)
    valid, _ = _seen(reflectance, place)
    counts = _blocks(valid).sum(axis=(1, 3))
    sums = np.stack([_blocks(np.where(valid, band, 0)).sum(axis=(1, 3), dtype=np.float64) for band in reflectance])
    return (sums / np.maximum(counts, 1) * REFLECTANCE_SCALE).astype(np.float32), counts > 0, valid


def _blocks(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(H, W) as (h, k, w, k): a view."""
    height, width = array.shape
    return array.reshape(height // WORKING_PIXELS, WORKING_PIXELS, width // WORKING_PIXELS, WORKING_PIXELS)


def _enlarged(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.repeat(WORKING_PIXELS, axis=0).repeat(WORKING_PIXELS, axis=1)


def _sun(place: _Place, acquisition: Acquisition) -> tuple[float, float]:
    if acquisition.sun_zenith is not None and acquisition.sun_azimuth is not None:
        return acquisition.sun_zenith, acquisition.sun_azimuth
    west, south, east, north = place.cell.window.bounds
    longitude, latitude, *_ = to_lonlat(Point((west + east) / 2, (south + north) / 2), place.cell.epsg).bounds
    return sun_angles(acquisition.time, longitude, latitude)


def _clear_l1c(place: _Place, coarse: Mapping[Cell, _Coarse], zenith: float, azimuth: float) -> npt.NDArray[np.uint8]:
    resolution = WORKING_PIXELS * PIXEL
    reach = min(SHADOW_REACH, shadow_reach(zenith) + CLOUD_DILATION + CLOUD_AVERAGE)
    margin = int(np.ceil(reach / resolution))
    layers = {name: _coarse_around(place.cell, coarse, name, margin) for name in ("probability", "cirrus", "dark")}
    cirrus = dilated(layers["cirrus"], CLOUD_DILATION / resolution)
    clouds = cloud_mask(layers["probability"], resolution) | cirrus
    shadows = dilated(cast_shadows(clouds, zenith, azimuth, resolution) & layers["dark"], SCL_DILATION / resolution)
    inner = slice(margin, -margin), slice(margin, -margin)
    valid, saturated = _seen(place.cube.read("reflectance", place.index), place)
    clear = ~_enlarged((clouds | shadows)[inner]) & ~saturated
    return np.where(valid, clear, CLEAR_NO_DATA).astype(np.uint8)


def _coarse_around(cell: Cell, coarse: Mapping[Cell, _Coarse], name: str, margin: int) -> npt.NDArray[Any]:
    """A layer over a cell and ``margin`` working pixels around it; 0 or False where there is no neighbour."""
    edge = CELL // WORKING_PIXELS
    # The same arithmetic as on the grid, in units of working pixels: cells are whole numbers of them.
    window = _widened(Window(cell.epsg, cell.column * edge, (cell.row + 1) * edge, edge, edge), margin)
    whole = np.zeros(window.shape, getattr(coarse[cell], name).dtype)
    for other, layers in coarse.items():
        place = Window(cell.epsg, other.column * edge, (other.row + 1) * edge, edge, edge)
        part = window.intersection(place)
        if part is not None:
            whole[window.slices(part)] = getattr(layers, name)[place.slices(part)]
    return whole
