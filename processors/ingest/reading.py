"""Pixels of one asset on the grid: copied where they lie on it, warped where they don't, in the cube's numbers."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject, transform_bounds

from catalog.errors import ProductError, Reason
from catalog.grid import MEMORY_RASTERS, PIXEL, Window
from catalog.products import NO_DATA, SATURATED, Asset
from processors.ingest.blocks import BlockReader, Part, Scratch, read_part
from processors.ingest.cube_numbers import Values, class_numbers, reflectance_numbers, repeat_into, write_reflectance
from processors.ingest.offset import NumberCounts
from processors.ingest.opening import GDAL_ENVIRONMENT, cause, unread

NATIVE_PIXELS = (10, 20, 60)
"""Pixel sizes of Sentinel-2, m: in the zone and on the grid these are copied."""


class BandReader:
    """One open band. Safe for threads, which take turns: a file's blocks are decoded by one at a time."""

    def __init__(
        self, dataset: rasterio.DatasetReader, asset: Asset, *, categories: bool = False, counted: bool = False
    ) -> None:
        """``categories``: class numbers (nearest, no offset), not reflectance (bilinear); ``counted``: its raw numbers go to `counts`."""
        self._dataset = dataset
        self.asset = asset
        self._categories = categories
        self._counted = counted
        self._crs = dataset.crs
        self._epsg: int | None = dataset.crs.to_epsg()
        self._step = _grid_step(dataset.transform)
        self._blocks: BlockReader | None = None
        self._turn = threading.Lock()
        self.counts = NumberCounts()
        self.reached = self.has_data = False

    @property
    def dataset(self) -> rasterio.DatasetReader:
        """The open file."""
        return self._dataset

    @property
    def decoded_bytes(self) -> int:
        """Bytes of raw numbers that were decoded since `plan`."""
        return 0 if self._blocks is None else self._blocks.decoded_bytes

    def off_grid(self, epsg: int) -> str | None:
        """Description of the source grid that has to be warped onto a zone's, or None where pixels are copied."""
        if self._epsg == epsg and self._step is not None:
            return None
        system = f"EPSG:{self._epsg}" if self._epsg is not None else "another CRS"
        return f"{system}, {self._dataset.transform.a:.10g} m from {self._dataset.transform.c:.10g} {self._dataset.transform.f:.10g}"

    def warped(self, epsg: int) -> set[str]:
        """Descriptions of what was warped onto the grid of a zone, by the source or here; empty where pixels are copied."""
        return {text for text in (self.off_grid(epsg) or self.asset.warped,) if text}

    def plan(self, windows: Iterable[Window], scratch: Scratch) -> None:
        """Say which windows will be read from now on, each once: then each block of the file is decoded once. Raises `ProductError`."""
        parts = (self._part(window) for window in windows)
        self._blocks = BlockReader(self._dataset, [part for part in parts if part is not None], scratch)
        self.counts = NumberCounts()
        self.reached = self.has_data = False

    def read(self, window: Window) -> Values | None:
        """(H, W) in the cube's numbers (classes: as they are), 0 = no data; None where the band doesn't reach the window.

        Raises `ProductError` where the pixels can't be read.
        """
        values = np.empty(window.shape, np.uint16)
        return values if self.fill(window, values, fresh=True) else None

    def fill(self, window: Window, out: npt.NDArray[Any], *, fresh: bool) -> bool:
        """Write the window (H, W) into ``out`` where that has no data; whether the band reaches it.

        ``fresh``: ``out`` holds anything yet, and all of it is written if the band reaches it. Raises `ProductError` where the
        pixels can't be read.
        """
        part = self._part(window)
        if part is None:
            return False
        self.reached = True
        try:
            # Options are those of a thread; endpoint and keys GDAL keeps from the opening on.
            with self._turn, rasterio.Env(**GDAL_ENVIRONMENT):
                raw = read_part(self._dataset, part) if self._blocks is None else self._blocks.read(part)
                if self._counted:
                    self.counts.add(raw, self.asset.nodata)
                if self.off_grid(window.epsg) is None:
                    self._copy(raw, part, window, out, fresh)
                else:
                    with MEMORY_RASTERS:
                        warped = self._warp(raw, part, window)
                    self._merge(warped, out, fresh)
        except RasterioError as error:
            raise unread(self.asset, cause(error)) from error
        return True

    def _part(self, window: Window) -> Part | None:
        """The file's pixels that a window needs."""
        if self.off_grid(window.epsg) is not None:
            return self._source_part(window)
        step, whole = self._extent(window.epsg)
        inner = window.intersection(whole)
        if inner is None:
            return None
        rows, columns = whole.slices(inner)
        return Part(rows.start // step, columns.start // step, -(-rows.stop // step), -(-columns.stop // step))

    def _extent(self, epsg: int) -> tuple[int, Window]:
        """Pixels of the grid along one of the file's, and where the file lies on it."""
        transform = self._dataset.transform
        step = round(transform.a) // PIXEL
        height, width = self._dataset.shape
        return step, Window(epsg, round(transform.c) // PIXEL, round(transform.f) // PIXEL, width * step, height * step)

    def _copy(self, raw: npt.NDArray[Any], part: Part, window: Window, out: npt.NDArray[Any], fresh: bool) -> None:
        step, whole = self._extent(window.epsg)
        inner = window.intersection(whole)
        if inner is None:
            raise ValueError(f"{self.asset.href} doesn't reach {window}")
        target = out[window.slices(inner)]
        if fresh:
            _clear_around(out, *window.slices(inner))
        into = target if fresh else np.empty_like(target)
        rows, columns = whole.slices(inner)
        if self._categories:
            repeat_into(
                class_numbers(raw, self.asset),
                step,
                rows.start - part.top * step,
                columns.start - part.left * step,
                into,
            )
        elif step == 1:
            write_reflectance(raw, self.asset, into)
        else:
            values = np.empty(raw.shape, np.uint16)
            write_reflectance(raw, self.asset, values)
            repeat_into(values, step, rows.start - part.top * step, columns.start - part.left * step, into)
        if fresh:
            self._look(target)
        else:
            self._merge(into, target, fresh)

    def _merge(self, values: npt.NDArray[Any], out: npt.NDArray[Any], fresh: bool) -> None:
        self._look(values)
        np.copyto(out, values, where=True if fresh else out == NO_DATA, casting="unsafe")

    def _look(self, values: npt.NDArray[Any]) -> None:
        self.has_data = self.has_data or int(values.max(initial=NO_DATA)) != NO_DATA

    def _warp(self, raw: npt.NDArray[Any], part: Part, window: Window) -> Values:
        georeference: dict[str, Any] = {
            "src_crs": self._crs,
            "src_transform": self._dataset.transform @ Affine.translation(part.left, part.top),
            "dst_crs": f"EPSG:{window.epsg}",
            "dst_transform": window.transform,
        }
        if self._categories:
            classes = np.zeros(window.shape, np.uint16)
            reproject(class_numbers(raw, self.asset), classes, resampling=Resampling.nearest, **georeference)
            return classes
        values, valid = reflectance_numbers(raw, self.asset)
        reflectance = np.full(window.shape, np.nan, np.float32)
        known = np.where(valid, values, np.nan).astype(np.float32)
        reproject(
            known, reflectance, resampling=Resampling.bilinear, src_nodata=np.nan, dst_nodata=np.nan,
            init_dest_nodata=True, **georeference,
        )  # fmt: skip
        found = np.isfinite(reflectance)
        result = np.where(found, np.rint(np.clip(np.nan_to_num(reflectance), 1, SATURATED - 1)), NO_DATA)
        saturated = valid & (values == SATURATED)
        if saturated.any():
            # A pixel is saturated where any part of it comes from one that is: a mean of it and others means nothing.
            share = np.zeros(window.shape, np.float32)
            reproject(saturated.astype(np.float32), share, resampling=Resampling.bilinear, **georeference)
            result[found & (share > 0)] = SATURATED
        return result.astype(np.uint16)

    def _source_part(self, window: Window) -> Part | None:
        """The pixels that a warp onto the window needs; None where there are none. Raises `ProductError`."""
        dataset = self._dataset
        try:
            bounds = transform_bounds(f"EPSG:{window.epsg}", self._crs, *window.bounds, densify_pts=21)
        except RasterioError as error:
            raise ProductError(
                f"{self.asset.href} can't be placed on the grid: {cause(error)}", Reason.MISPLACED
            ) from error
        corners = [~dataset.transform @ (x, y) for x in bounds[::2] for y in bounds[1::2]]
        # Bilinear needs a neighbour; where the source is finer than the grid, GDAL's kernel grows with the ratio.
        margin = 2 + 2 * math.ceil(PIXEL / min(abs(dataset.transform.a), abs(dataset.transform.e), PIXEL))
        if not all(math.isfinite(number) for corner in corners for number in corner):
            return None
        left = max(0, math.floor(min(x for x, _ in corners)) - margin)
        right = min(dataset.width, math.ceil(max(x for x, _ in corners)) + margin)
        top = max(0, math.floor(min(y for _, y in corners)) - margin)
        bottom = min(dataset.height, math.ceil(max(y for _, y in corners)) + margin)
        return None if left >= right or top >= bottom else Part(top, left, bottom, right)


def _clear_around(out: npt.NDArray[Any], rows: slice, columns: slice) -> None:
    """Clear what isn't written anyway: clearing a whole slab first takes as long as a band's arithmetic."""
    out[: rows.start] = NO_DATA
    out[rows.stop :] = NO_DATA
    out[rows, : columns.start] = NO_DATA
    out[rows, columns.stop :] = NO_DATA


def _grid_step(transform: Affine) -> int | None:
    """Pixels of the grid along one of the raster's, or None where its pixels don't lie on the grid."""
    a, b, c, d, e, f = transform[:6]
    if b or d or a != -e or a not in NATIVE_PIXELS or c % PIXEL or f % PIXEL:
        return None
    return int(a) // PIXEL
