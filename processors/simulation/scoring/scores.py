"""A delivery of the simulated mission beside the mission's own truth: its cloud masks, its NDVI and its crop map.

**All of it is synthetic**: the figures say how well the pipeline finds again what was simulated, and nothing about real fields.

What counts. *Mask*: pixels that the cube has data of; the truth calls clear what has nothing of `sky.CLASSES` over it. *NDVI*: against the
land's own, at 10 m, without the optics' blur, so that a part of the error is the edges of fields. *Crops*: classes are matched by name.
A crop that the legend lacks can only be mapped wrongly, and **counts as wrong**, since whoever uses the map is misled there; how
much of the area that is stands beside it (`not_in_legend`), and so do the scores over the pixels whose crop the legend does name
(`named`). Where the map says nothing a pixel is counted as unmapped and not scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from shapely.geometry.base import BaseGeometry

from agrunet.metrics import Confusion, confusion_matrix
from catalog.grid import Window, cells_meeting, cells_of_window, in_zone, inside, positions, to_zone, window_around
from catalog.orbits.tiles import Tile
from catalog.products import LEVEL_BANDS, NO_DATA, SATURATED, Acquisition, Frozen, Order, Product
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.simulation.land.land import Land, Truth
from processors.simulation.mission.mission import Mission
from processors.simulation.mission.scene import UNSEEN
from processors.simulation.scoring.crop_scores import CropCounts, CropScores
from processors.simulation.sky.sky import CLASSES
from processors.simulation.source import overpass_of

BLOCK = 512
"""Pixels along the blocks that the area is scored in: they bound the memory, and whole inner chunks of the cube fill them."""

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
ReadMap = Callable[[Window], Bytes]
"""Values of the class map (H, W) over a window of the zone; 255 where it says nothing."""


class Agreement(Frozen):
    """Agreement on one of two classes; null where there is nothing to divide by."""

    precision: Annotated[float | None, Field(description="of what is called so, the share that is so")]
    recall: Annotated[float | None, Field(description="of what is so, the share that is called so")]
    f1: Annotated[float | None, Field(description="their harmonic mean")]


class SkyShare(Frozen):
    """One class of the sky's truth."""

    n_pixels: int
    masked: Annotated[float | None, Field(description="share of it that the mask calls not clear, 0 to 1")]


class MaskScore(Frozen):
    """A mask against the truth, from one confusion matrix over pixels and dates."""

    n_pixels: int
    confusion: Annotated[
        tuple[tuple[int, int], tuple[int, int]],
        Field(description="truth (rows) by mask (columns), each not clear, clear"),
    ]
    not_clear: Agreement
    clear: Agreement


class DateScore(Frozen):
    """The mask of one acquisition."""

    acquisition: str
    time: datetime
    truly_clear: Annotated[float, Field(description="share of the pixels compared, 0 to 1")]
    called_clear: Annotated[float, Field(description="share of the pixels compared, 0 to 1")]
    mask: MaskScore


class NdviError(Frozen):
    """NDVI of the cube minus that of the land; null where nothing was compared."""

    n_pixels: int
    mean_absolute: float | None
    bias: float | None
    root_mean_square: float | None


class NdviScore(Frozen):
    """Error of NDVI with and without the mask."""

    masked: Annotated[NdviError, Field(description="where the mask says clear")]
    unmasked: Annotated[NdviError, Field(description="wherever there is data")]
    perfect: Annotated[NdviError, Field(description="where the truth says clear")]


class TruthScores(Frozen):
    """Scores of mask, NDVI and map against the truth of the simulation."""

    synthetic: Literal[True] = True
    caveat: str = "SYNTHETIC: simulated products scored against the simulation's own truth; nothing here was observed."
    source: str
    level: str
    year: Annotated[int, Field(description="of the harvest that the map is compared with")]
    n_pixels: Annotated[int, Field(description="of the area")]
    dates: Annotated[tuple[DateScore, ...], Field(description="of the order, by time; those without data are left out")]
    without_data: Annotated[tuple[str, ...], Field(description="acquisitions ordered that the cubes hold nothing of")]
    mask: MaskScore
    sky: Annotated[dict[str, SkyShare], Field(description="by class of the truth")]
    ndvi: Annotated[NdviScore | None, Field(description="null where an acquisition's cube lacks B04 or B08")]
    crops: Annotated[CropScores | None, Field(description="null where the delivery holds no crop map")]


@dataclass(slots=True)
class Sums:
    """Sums of errors."""

    count: int = 0
    absolute: float = 0.0
    signed: float = 0.0
    squared: float = 0.0

    def add(self, errors: Floats) -> None:
        exact = errors.astype(np.float64)
        self.count += errors.size
        self.absolute += float(np.abs(exact).sum())
        self.signed += float(exact.sum())
        self.squared += float((exact**2).sum())

    @property
    def error(self) -> NdviError:
        if not self.count:
            return NdviError(n_pixels=0, mean_absolute=None, bias=None, root_mean_square=None)
        return NdviError(
            n_pixels=self.count,
            mean_absolute=self.absolute / self.count,
            bias=self.signed / self.count,
            root_mean_square=(self.squared / self.count) ** 0.5,
        )


@dataclass(slots=True)
class Counts:
    """Counts over the acquisitions, block by block."""

    masks: dict[str, Confusion] = field(default_factory=dict)
    """Counts by acquisition."""
    sky: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(CLASSES), 2), np.int64))
    """Counts by class of the truth: not masked, masked."""
    masked: Sums = field(default_factory=Sums)
    unmasked: Sums = field(default_factory=Sums)
    perfect: Sums = field(default_factory=Sums)
    without_ndvi: bool = False

    def add_mask(self, acquisition: str, sky: Bytes, clear: Bytes) -> None:
        """Compare a mask (values of the cube's `clear`) with the truth (`sky.CLASSES`); arrays of one shape."""
        both = (sky != UNSEEN) & (clear <= 1)
        if not both.any():
            return
        truth, masked_clear = sky[both], clear[both] == 1
        known = self.masks.setdefault(acquisition, np.zeros((2, 2), np.int64))
        known += confusion_matrix((truth == 0).astype(np.int64), masked_clear.astype(np.int64), 2)
        np.add.at(self.sky, (truth, (~masked_clear).astype(np.int64)), 1)

    def add_ndvi(self, seen: Floats, land: Floats, sky: Bytes, clear: Bytes) -> None:
        """Compare NDVI (H, W) of the cube, NaN where there is none, with that of the land."""
        errors = seen - land
        there = np.isfinite(errors) & (sky != UNSEEN)
        self.unmasked.add(errors[there])
        self.masked.add(errors[there & (clear == 1)])
        self.perfect.add(errors[there & (sky == 0)])


def score_delivery(
    mission: Mission,
    order: Order,
    store: Store,
    area: BaseGeometry,
    epsg: int,
    year: int,
    *,
    crops: CropCounts | None = None,
    read_map: ReadMap | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> TruthScores:
    """Score what a mission's order became in the cubes, and the map made of it, over an area (longitude, latitude).

    ``crops`` and ``read_map``: the map's classes and how to read it; without them the crops aren't scored. ``progress`` is told how many
    blocks are done, and of how many. Raises `StoreError` where a cube can't be read, `ProductError` where a product is none of the
    mission's.
    """
    zone_area = to_zone(area, epsg)
    blocks = list(_blocks(zone_area, epsg))
    ordered = sorted(order.acquisitions, key=lambda acquisition: (acquisition.time, acquisition.id))
    land = mission.land(_tile(ordered))
    counts, pixels = Counts(), 0
    for done, window in enumerate(blocks, start=1):
        within = inside(zone_area, window)
        pixels += int(within.sum())
        if within.any():
            _count_block(mission, order, ordered, store, window, within, counts)
            if crops is not None and read_map is not None:
                crops.add(window, _land_truth(land, window, year), read_map(window), within)
        progress(done, len(blocks))
    total = np.sum([*counts.masks.values(), np.zeros((2, 2), np.int64)], axis=0)
    return TruthScores(
        source=order.source,
        level=order.level,
        year=year,
        n_pixels=pixels,
        dates=tuple(_date(one, counts.masks[one.id]) for one in ordered if one.id in counts.masks),
        without_data=tuple(one.id for one in ordered if one.id not in counts.masks),
        mask=mask_score(total),
        sky={
            name: SkyShare(n_pixels=int(row.sum()), masked=_share(row[1], row.sum()))
            for name, row in zip(CLASSES.values(), counts.sky, strict=True)
        },
        ndvi=None if counts.without_ndvi else _ndvi_score(counts),
        crops=None if crops is None else crops.scores(),
    )


def mask_score(confusion: Confusion) -> MaskScore:
    """Score of pixels counted by truth (row) and mask (column), each not clear, clear."""
    (right_not, missed), (over, right) = confusion.tolist()
    return MaskScore(
        n_pixels=int(confusion.sum()),
        confusion=((right_not, missed), (over, right)),
        not_clear=_agreement(right_not, over, missed),
        clear=_agreement(right, missed, over),
    )


def _agreement(hits: int, false: int, missed: int) -> Agreement:
    return Agreement(
        precision=_share(hits, hits + false),
        recall=_share(hits, hits + missed),
        f1=_share(2 * hits, 2 * hits + false + missed),
    )


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _date(acquisition: Acquisition, confusion: Confusion) -> DateScore:
    total = int(confusion.sum())
    return DateScore(
        acquisition=acquisition.id,
        time=acquisition.time,
        truly_clear=int(confusion[1].sum()) / total,
        called_clear=int(confusion[:, 1].sum()) / total,
        mask=mask_score(confusion),
    )


def _ndvi_score(counts: Counts) -> NdviScore:
    return NdviScore(masked=counts.masked.error, unmasked=counts.unmasked.error, perfect=counts.perfect.error)


def _blocks(zone_area: BaseGeometry, epsg: int) -> Iterator[Window]:
    """The area in blocks, none of which reaches into two cells."""
    around = window_around(zone_area, epsg)
    for cell in cells_meeting(zone_area, epsg):
        for block in cell.window.blocks(BLOCK):
            part = block.intersection(around)
            if part is not None:
                yield part


def _tile(ordered: Sequence[Acquisition]) -> Tile:
    """Any tile of the order: all are of one zone, whose land is one. The climate is that of the first one's band of latitude."""
    return Tile.from_name(ordered[0].products[0].tile)


def _count_block(
    mission: Mission,
    order: Order,
    ordered: Sequence[Acquisition],
    store: Store,
    window: Window,
    within: Bools,
    counts: Counts,
) -> None:
    (cell,) = cells_of_window(window)
    path = store.cube(order.source_id, order.level, cell)
    if not path.exists():
        return
    cube = Cube(path)
    whole = cube.flags("ingested") & cube.flags("masked")
    rows, columns = cube.window.slices(window)
    red, infrared = (LEVEL_BANDS[order.level].index(name) for name in ("B04", "B08"))
    for acquisition in ordered:
        index = cube.index_of(acquisition)
        if index is None or not whole[index]:
            continue
        clear = cube.read("clear", index, rows, columns)
        clear[~within] = UNSEEN
        if (clear == UNSEEN).all():
            continue
        sky, land = _truth(mission, cube.products(index), window)
        counts.add_mask(acquisition.id, sky, clear)
        present = np.asarray(cube.arrays["bands_present"][index]) == 1
        if not (present[red] and present[infrared]):
            counts.without_ndvi = True
            continue
        numbers = cube.read("reflectance", index, rows, columns)[[red, infrared]]
        seen = ndvi(numbers.astype(np.float32))
        seen[((numbers == NO_DATA) | (numbers == SATURATED)).any(axis=0) | (clear == UNSEEN)] = np.nan
        counts.add_ndvi(seen, land, sky, clear)


def _truth(mission: Mission, products: Sequence[Product], window: Window) -> tuple[Bytes, Floats]:
    """The sky's classes and the land's NDVI (H, W), both of the product that the cube's pixels come from."""
    sky, land = np.full(window.shape, UNSEEN, np.uint8), np.full(window.shape, np.nan, np.float32)
    red, infrared = (LEVEL_BANDS["L1C"].index(name) for name in ("B04", "B08"))
    # Ingestion takes each pixel from the first product, by name, that has data there.
    for product in sorted(products, key=lambda product: product.id):
        overpass = overpass_of(product)
        part = in_zone(window, overpass.tile.epsg).intersection(overpass.tile.window)
        if part is None or not (sky == UNSEEN).any():
            continue
        classes = _onto(window, mission.sky_classes(overpass, part), part, UNSEEN)
        new = (sky == UNSEEN) & (classes != UNSEEN)
        if new.any():
            surface = mission.surface(overpass, part)[[red, infrared]]
            sky[new] = classes[new]
            land[new] = _onto(window, ndvi(surface), part, np.nan)[new]
    return sky, land


def _land_truth(land: Land, window: Window, year: int) -> Truth:
    """What grows in a window, which may be of another zone than the land."""
    part = in_zone(window, land.epsg)
    truth = land.truth(part, year)
    return Truth(*(_onto(window, values, part, 0) for values in (truth.crop, truth.field, truth.share)))


def _onto(window: Window, values: npt.NDArray[Any], part: Window, fill: float) -> npt.NDArray[Any]:
    """Values (H, W) of a part of a tile's zone at a window's pixels, the nearest ones where that is of another zone; else ``fill``."""
    rows, columns = positions(window, part)
    there = (rows >= 0) & (rows < part.height) & (columns >= 0) & (columns < part.width)
    out = np.full(window.shape, fill, values.dtype)
    out[there] = values[rows[there], columns[there]]
    return out


def ndvi(red_infrared: Floats) -> Floats:
    """(H, W) of red and near infrared (2, H, W); NaN where both are 0."""
    red, infrared = red_infrared
    result = np.full(red.shape, np.nan, np.float32)
    np.divide(infrared - red, infrared + red, out=result, where=infrared + red > 0)
    return result
