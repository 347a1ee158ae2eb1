"""A small real square repeated over a large area: real levels, fields and clouds, in files as large as an archive's.

Every copy is turned and mirrored by chance, all its dates and bands alike, so that fields stay fields; and each pixel gets noise of a
few numbers, without which files would be far smaller than real ones and quicker to decode. What comes out is synthetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import rasterio

from catalog.area import Area
from catalog.errors import RequestError
from catalog.grid import PIXEL
from catalog.order import make_order
from catalog.products import NO_DATA, SATURATED, Acquisition
from catalog.sources.protocol import Source
from catalog.sources.registry import open_source
from catalog.storage.pixels import open_pixels
from processors.bench.archive import ASSETS
from processors.ingest.opening import GDAL_ENVIRONMENT
from processors.mask.options import USUAL_MASK

_NOISE = 8
"""Standard deviation of the noise, raw numbers."""

_WAVES = 1024
"""Edge of the field of noise that is repeated, pixels."""

_CLEAR = 0.5
"""Least share of a date's pixels that are clear for it to be taken: maps are made of such."""

Values = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Square:
    """Bands of a square at 10 m by date, numbers of its files (reflectance times 10000, 0 where there is none), and its classes."""

    dates: tuple[datetime, ...]
    values: tuple[Mapping[str, Values], ...]
    """By date; (H, W) by asset."""

    def over(self, number: int, asset: str, size: int) -> Values:
        """One asset of a date over ``size`` x ``size`` pixels of 10 m; reflectance as of baseline 04.00: 1000 is zero."""
        values = self.values[number][asset]
        edge = values.shape[0]
        count = -(-size // edge)
        turns = np.random.default_rng(0).integers(0, 8, (count, count))  # the same for all dates and assets
        copies = [np.rot90(values[:, ::-1] if turn % 2 else values, turn // 2) for turn in range(8)]
        whole = np.empty((count * edge, count * edge), np.uint16)
        for (row, column), turn in np.ndenumerate(turns):
            whole[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge] = copies[turn]
        whole = whole[:size, :size]
        return whole if asset == "SCL" else _noisy(whole, [number, ASSETS.index(asset)])


def read_square(address: str, area: Area, year: int, dates: int) -> Square:
    """Read ``dates`` clear acquisitions of January to July, spread evenly, from a source of L2A products of a square.

    Raises `RequestError` where there are fewer, or what is there is no square of whole pixels.
    """
    source = open_source(address)
    order = make_order(source, area, year, (1, 7), "L2A", 100)
    taken = [(acquisition.time, _read(acquisition, source)) for acquisition in order.acquisitions]
    clear = [(time, values) for time, values in taken if _is_clear(values["SCL"])]
    if len(clear) < dates:
        raise RequestError(
            f"{address}: {len(clear)} clear acquisitions of {year}, {dates} are asked for. Ask for less."
        )
    chosen = [clear[round(position)] for position in np.linspace(0, len(clear) - 1, dates)]
    return Square(tuple(time for time, _ in chosen), tuple(values for _, values in chosen))


def _read(acquisition: Acquisition, source: Source) -> Mapping[str, Values]:
    assets = source.assets(acquisition.products[0])
    values = {}
    for name in ASSETS:
        with rasterio.Env(**GDAL_ENVIRONMENT), open_pixels(assets[name].href) as file:
            step = round(file.transform.a) // PIXEL
            values[name] = file.read(1).astype(np.uint16).repeat(step, 0).repeat(step, 1)
    if len(shapes := {array.shape for array in values.values()}) > 1 or len(set(next(iter(shapes)))) > 1:
        raise RequestError(f"{acquisition.id} is no square of whole pixels in all bands: {sorted(shapes)}.")
    return values


def _is_clear(classes: Values) -> bool:
    return float(np.isin(classes, USUAL_MASK.l2a.clear).mean()) > _CLEAR


def _noisy(values: Values, seed: Sequence[int]) -> Values:
    """Values of baseline 04.00 with noise; no data stays no data."""
    rng = np.random.default_rng(seed)
    noise = np.rint(rng.normal(1000, _NOISE, (_WAVES, _WAVES))).astype(np.int32)
    count = -(-values.shape[0] // _WAVES)
    over = np.tile(noise, (count, count))[: values.shape[0], : values.shape[1]]
    return np.where(values == NO_DATA, NO_DATA, np.clip(values + over, 1, SATURATED - 1)).astype(np.uint16)
