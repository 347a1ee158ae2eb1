"""Conversion of a file's raw numbers to the cube's. No data and saturation are decided on the raw ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.products import NO_DATA, SATURATED, Asset

Values = npt.NDArray[np.uint16]


def reflectance_numbers(raw: npt.NDArray[Any], asset: Asset) -> tuple[Values, npt.NDArray[np.bool_]]:
    """(H, W) max(1, DN + offset), saturated numbers as they are; and where there is data: the others mean nothing."""
    valid = _valid(raw, asset)
    shifted = np.where(valid, raw, 0).astype(np.float64 if raw.dtype.kind == "f" else np.int64) + asset.offset
    values = np.clip(np.rint(shifted), 1, SATURATED - 1).astype(np.uint16)
    if raw.dtype == np.uint16:
        values[raw == SATURATED] = SATURATED
    return values, valid


def class_numbers(raw: npt.NDArray[Any], asset: Asset) -> Values:
    """(H, W) classes as they are, 0 where there is no data."""
    return np.where(_valid(raw, asset), raw, NO_DATA).astype(np.uint16)


def write_reflectance(raw: npt.NDArray[Any], asset: Asset, out: Values) -> None:
    """Write `reflectance_numbers` into ``out``, 0 where there is no data. For 16 bits, which is what archives hold, in few passes."""
    if raw.dtype != np.uint16:
        values, valid = reflectance_numbers(raw, asset)
        np.copyto(out, np.where(valid, values, NO_DATA))
        return
    offset = asset.offset
    # All that the offset takes below 1 or too high. `clip` takes a third of the time of `maximum` with a number.
    least, most = (np.uint16(min(max(number - offset, 0), SATURATED)) for number in (1, SATURATED - 1))
    np.clip(raw, least, most, out=out)
    if offset < 0:
        np.subtract(out, np.uint16(min(-offset, SATURATED - 1)), out=out)
    elif offset > 0:
        np.add(out, np.uint16(min(offset, SATURATED - 1)), out=out)
    if raw.max(initial=0) == SATURATED:
        np.copyto(out, SATURATED, where=raw == SATURATED)
    # As a number of 16 bits, or the comparison would widen every pixel; one that 16 bits don't hold equals none of them.
    if asset.nodata is not None and 0 <= asset.nodata <= SATURATED and float(asset.nodata).is_integer():
        nodata = np.uint16(asset.nodata)
        if nodata != 0 or raw.min(initial=SATURATED) == 0:
            np.copyto(out, NO_DATA, where=raw == nodata)


def repeat_into(values: Values, step: int, first_row: int, first_column: int, out: npt.NDArray[Any]) -> None:
    """Repeat each pixel ``step`` x ``step`` times, from the row and column of the result that ``out`` begins with."""
    height, width = out.shape
    wide = values.repeat(step, axis=1)[:, first_column : first_column + width]
    out[:] = wide[(first_row + np.arange(height)) // step]


def _valid(raw: npt.NDArray[Any], asset: Asset) -> npt.NDArray[np.bool_]:
    valid = np.isfinite(raw) if raw.dtype.kind == "f" else np.ones(raw.shape, bool)
    if asset.nodata is not None:
        valid &= raw != asset.nodata
    return valid
