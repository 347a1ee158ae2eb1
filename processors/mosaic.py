"""The mosaic: patches blended into one raster per variable, block by block. The only place that blends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from catalog.area import Area
from catalog.errors import CroplineError, StoreError
from catalog.grid import Window, blocks_meeting, clipped, inside, to_zone
from catalog.legend import MAP_BACKGROUND
from catalog.storage.store import CellPath
from processors.cube.storage import open_group
from processors.engine.batches import in_batches
from processors.engine.protocol import Engine
from processors.rasters import TILE, Variable, raster_writer
from processors.thematic.protocol import Fields, Job, Processor
from processors.thematic.registry import make_processor
from processors.thematic.results import FIELDS, Results
from processors.thematic.sent_job import SentJob, sent_job

BLOCK = TILE
"""Edge of a block, pixels."""


class MaskReader(Protocol):
    """Reader of a crop mask."""

    def read(self, window: Window) -> npt.NDArray[np.bool_]:
        """True (H, W) on cropland."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings that every block needs; small, so that it can travel to other processes."""

    job: SentJob
    results: CellPath


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block, the part of the area that lies in it, the patches that meet it (number and window), and where a crop mask keeps it."""

    window: Window
    zone_area: BaseGeometry
    """Geometry in the zone's metres."""
    patches: tuple[tuple[int, Window], ...]
    kept: npt.NDArray[np.bool_] | None = None


def mosaic(
    processor_name: str,
    job: Job,
    windows: Sequence[Window],
    results: CellPath,
    area: Area,
    area_window: Window,
    output: Path,
    engine: Engine,
    *,
    crop_mask: MaskReader | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Blend the results of all patches and write one tiled GeoTIFF per variable, named by it, in ``output``.

    ``windows``: of the patches, in the order of ``results``; ``area``: longitude and latitude; ``area_window``: what the rasters
    cover. Blocks that the area doesn't meet are neither computed nor written. Pixels whose centre lies outside the area are no-data.
    Outside ``crop_mask`` a class is background, everything else no-data. ``progress`` is told (blocks done, blocks in all). The same
    bytes however many workers ``engine`` has.
    Raises `StoreError` where the results don't belong to the patches or a raster can't be written.
    """
    processor = make_processor(processor_name, job)
    _check_results(results, len(windows), len(processor.fields))
    recipe = Recipe(sent_job(processor_name, job, results), results)
    zone_area = to_zone(area, area_window.epsg)
    touched = blocks_meeting(zone_area, area_window, BLOCK)

    def blocks(mask: MaskReader | None = None) -> Iterator[Block]:
        return cut_blocks(touched, windows, zone_area, mask)

    summary = processor.summarise(in_batches(engine, partial(blended_block, recipe), blocks()))
    count = len(touched)
    paths = {variable.name: output / f"{variable.name}.tif" for variable in processor.variables}
    with ExitStack() as stack:
        writers = {
            variable.name: stack.enter_context(raster_writer(paths[variable.name], variable, area_window))
            for variable in processor.variables
        }
        finished = in_batches(engine, partial(finished_block, recipe, summary), blocks(crop_mask))
        for number, (window, values) in enumerate(finished, start=1):
            for name, writer in writers.items():
                writer.write(window, values[name])
            if progress is not None:
                progress(number, count)
    return paths


def cut_blocks(
    touched: Sequence[Window], windows: Sequence[Window], zone_area: BaseGeometry, mask: MaskReader | None = None
) -> Iterator[Block]:
    """The blocks, each with its part of the area and the patches that meet it in patch order."""
    boxes = [shapely.geometry.box(*window.bounds) for window in windows]
    tree = shapely.STRtree(boxes)
    for window in touched:
        near = sorted(tree.query(shapely.box(*window.bounds)).tolist())
        meeting = tuple((number, windows[number]) for number in near if window.intersection(windows[number]))
        yield Block(window, clipped(zone_area, window), meeting, None if mask is None else mask.read(window))


def ramp(size: int, overlap: int) -> npt.NDArray[np.float32]:
    """Weight along one edge of a patch (size,): rises over the overlap from both ends, 1 between, never 0.

    Where two patches share exactly the overlap their weights add up to 1.
    """
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    weight: npt.NDArray[np.float32] = np.minimum(1.0, edge / max(overlap, 0.5)).astype(np.float32)
    return weight


def blend(
    window: Window,
    patches: Iterable[tuple[Window, Fields]],
    fields: int,
    overlap: int,
) -> Fields:
    """Weighted mean (K, H, W) over a window of patches (K, size, size), summed in the order given.

    A patch has no weight where it is NaN; where none says anything the result is NaN.
    """
    total = np.zeros((fields, *window.shape), np.float32)
    weights = np.zeros_like(total)
    for patch, values in patches:
        common = window.intersection(patch)
        if common is None:
            continue
        there, here = patch.slices(common), window.slices(common)
        weight = np.outer(ramp(patch.height, overlap), ramp(patch.width, overlap))[there]
        part = values[:, there[0], there[1]]
        known = ~np.isnan(part)
        total[:, here[0], here[1]] += np.where(known, part, np.float32(0)) * weight
        weights[:, here[0], here[1]] += known * weight
    blended = np.full_like(total, np.nan)
    np.divide(total, weights, out=blended, where=weights > 0)
    return blended


def blended_block(recipe: Recipe, block: Block) -> Fields:
    """Blended fields (K, H, W) of one block, NaN outside the area."""
    processor = recipe.job.make()
    within = inside(block.zone_area, block.window)
    if not within.any():
        return np.full((len(processor.fields), *block.window.shape), np.nan, np.float32)
    stored = _stored(recipe.results)  # opened once a block: opening takes longer than reading a patch
    patches = ((window, np.asarray(stored[number], np.float32)) for number, window in block.patches)
    fields = blend(block.window, patches, len(processor.fields), processor.grid.overlap)
    fields[:, ~within] = np.nan
    return fields


def finished_block(recipe: Recipe, summary: dict[str, Any], block: Block) -> tuple[Window, dict[str, npt.NDArray[Any]]]:
    """The variables (bands, H, W) of one block, as they are delivered."""
    processor = recipe.job.make()
    finished = processor.finish(blended_block(recipe, block), summary)
    within = inside(block.zone_area, block.window)
    values = {}
    for variable in processor.variables:
        raster = _checked(processor, variable, finished, block.window.shape)
        if block.kept is not None:
            # Known not to be cropland: that is a statement, so also where the season was too cloudy to map.
            outside = MAP_BACKGROUND if variable.legend is not None else variable.nodata
            raster[:, ~block.kept] = outside
        raster[:, ~within] = variable.nodata
        values[variable.name] = raster
    return block.window, values


def _checked(
    processor: Processor, variable: Variable, finished: dict[str, npt.NDArray[Any]], shape: tuple[int, int]
) -> npt.NDArray[Any]:
    """A copy (bands, H, W) of what a processor made of a variable; raises where it isn't what it declared."""
    made = finished.get(variable.name)
    expected = (len(variable.bands), *shape)
    if made is not None and made.ndim == 2:
        made = made[None]
    if made is None or made.shape != expected or made.dtype != variable.dtype:
        got = "nothing" if made is None else f"{made.dtype} {made.shape}"
        raise CroplineError(
            f"processor {processor.name} {processor.version}: variable {variable.name} should be {variable.dtype} "
            f"{expected}, its `finish` made {got}. Report it to the processor's author."
        )
    return made.copy()


def _stored(results: CellPath) -> Any:
    """The array (N, K, size, size) of the patches' fields."""
    return open_group(results, "r")[FIELDS]


def _check_results(results: CellPath, patches: int, fields: int) -> None:
    found = _stored(results).shape[:2]
    if found != (patches, fields):
        raise StoreError(
            f"{results} holds {found[0]} patches of {found[1]} fields, where {patches} patches of {fields} fields are to be "
            "blended. Remove it and run again."
        )
    if todo := Results(results).todo():
        raise StoreError(
            f"{results}: {len(todo)} of {patches} patches have no result yet, the map would have holes. "
            "Run the processor again; it resumes."
        )
