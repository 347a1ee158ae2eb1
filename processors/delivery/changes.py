"""Comparison of a map with the delivery that it replaces: pixels that changed class, hectares before and after, means of bands."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
from pydantic import AwareDatetime, Field
from rasterio.windows import Window as RasterWindow
from shapely.geometry.base import BaseGeometry

from catalog.delivered_maps import ITEM
from catalog.errors import DeliveryError
from catalog.grid import PIXEL, Window, blocks_meeting
from catalog.guards.json_text import parse_model, parse_object
from catalog.guards.rasters import open_raster
from catalog.products import Frozen
from catalog.storage.pixels import DRIVERS
from processors.delivery.areas import HECTARE, map_entries
from processors.delivery.folder_swap import DIGEST
from processors.rasters import TILE, Variable, raster_writer

CHANGES = "changes.json"
"""File of a delivery that holds its `Changes`."""

RASTER = "changes"
"""Variable of the pixels that changed class."""

NO_DATA_NAME = "no data"

STATUS, INPUTS = "cropline:status", "cropline:inputs"
"""Properties of an item: whether the season was over, and the digest of what the map is made from."""


class MapBefore(Frozen):
    """The delivery that a map is compared with."""

    created: AwareDatetime
    status: Literal["preliminary", "final"]
    acquisitions: Annotated[int, Field(ge=0, description="used")]
    last: Annotated[str, Field(max_length=500, description="name of the last acquisition used")] = ""


class ClassChange(Frozen):
    """Hectares of one class."""

    name: str
    before: float
    after: float
    difference: Annotated[float, Field(description="after, less before")]


class Transition(Frozen):
    """Pixels that were of one class and are now of one; `NO_DATA_NAME` where a map says nothing."""

    before: str
    after: str
    pixels: int

    @property
    def hectares(self) -> float:
        return self.pixels * PIXEL**2 / HECTARE


class BandChange(Frozen):
    """One band of a variable without classes, over the pixels with a value in both; where there are none, over those with one now."""

    variable: str
    band: str
    pixels: int
    before: Annotated[float | None, Field(description="mean")] = None
    after: Annotated[float | None, Field(description="mean")] = None
    difference: Annotated[float | None, Field(description="mean difference, after less before")] = None
    absolute: Annotated[float | None, Field(description="mean absolute difference")] = None


class Changes(Frozen):
    """What is different from the delivery before."""

    before: MapBefore
    not_comparable: Annotated[str, Field(description="why the two can't be compared; empty where they can")] = ""
    compared: Annotated[int, Field(description="pixels with a class in both maps")] = 0
    changed: Annotated[int, Field(description="of these, pixels whose class is another one now")] = 0
    share: Annotated[
        float | None, Field(description="changed of those compared, 0 to 1; none where there are none")
    ] = None
    hectares: Annotated[tuple[ClassChange, ...], Field(description="by class, of all that each map shows")] = ()
    matrix: Annotated[
        tuple[Transition, ...], Field(description="every pair of classes with pixels, unchanged ones too; most first")
    ] = ()
    bands: tuple[BandChange, ...] = ()

    @property
    def moved(self) -> tuple[Transition, ...]:
        """Pairs of different classes, or of a class and no data; most first."""
        return tuple(pair for pair in self.matrix if pair.before != pair.after)


class _NotComparableError(DeliveryError):
    """Reason why two deliveries can't be compared."""


@dataclass(frozen=True)
class Earlier:
    """A delivery that is about to be replaced."""

    folder: Path
    before: MapBefore
    inputs: str
    """Digest of what it was made from."""
    names: dict[str, dict[int, str]]
    """Names of the map's values, by variable."""


def earlier_delivery(folder: Path, request_digest: str) -> Earlier | None:
    """The delivery of the same request that lies in a folder; None where there is none, or none that says what it is."""
    try:
        item = parse_object((folder / ITEM).read_bytes(), ValueError)
        properties = item["properties"]
        if properties[DIGEST] != request_digest:
            return None
        used = list(map(str, properties["cropline:acquisitions"]))
        before = MapBefore(
            created=properties["created"],
            status=properties.get(STATUS, "final"),
            acquisitions=len(used),
            last=used[-1] if used else "",
        )
        names = {
            name: {int(entry["value"]): str(entry["description"]) for entry in asset["classification:classes"]}
            for name, asset in item["assets"].items()
            if "classification:classes" in asset
        }
        return Earlier(folder, before, str(properties.get(INPUTS, "")), names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def compare(
    earlier: Earlier,
    rasters: Mapping[str, Path],
    declared: Sequence[Variable],
    inputs: str,
    zone_area: BaseGeometry,
    raster: Path,
) -> Changes | None:
    """Compare the rasters of a delivery with those of the earlier one: the first variable with classes, else all bands.

    ``inputs``: digest of what the new one is made from. ``raster``: where the pixels that changed class are written, their class
    now, where any can be told. An earlier delivery that was made from the same and shows the same is this one, made again: its own
    comparison is taken over, None where it has none.
    """
    classes = next((variable for variable in declared if variable.legend is not None), None)
    try:
        if classes is not None:
            changes = _compare_classes(earlier, rasters[classes.name], classes, zone_area, raster)
        else:
            changes = _compare_bands(earlier, rasters, declared, zone_area)
    except _NotComparableError as error:
        raster.unlink(missing_ok=True)
        return Changes(before=earlier.before, not_comparable=str(error))
    same = not changes.moved and all(band.absolute == 0 or not band.pixels for band in changes.bands)
    return _taken_over(earlier, raster) if same and earlier.inputs == inputs else changes


def changed_variable(classes: Variable) -> Variable:
    """The raster of changed pixels: the class that each has now, no data elsewhere."""
    return classes.model_copy(update={"name": RASTER, "title": "Class of the pixels whose class changed"})


def _taken_over(earlier: Earlier, raster: Path) -> Changes | None:
    raster.unlink(missing_ok=True)
    try:
        changes = parse_model(Changes, (earlier.folder / CHANGES).read_bytes(), ValueError)
        if changes.matrix:
            shutil.copyfile(earlier.folder / f"{RASTER}.tif", raster)
    except (OSError, ValueError):
        return None
    return changes


def _compare_classes(
    earlier: Earlier, path: Path, variable: Variable, zone_area: BaseGeometry, target: Path
) -> Changes:
    """Classes are the same where their names are, whatever their values."""
    if variable.legend is None or variable.name not in earlier.names:
        raise _NotComparableError("the delivery before doesn't say what its values mean")
    nodata = int(variable.nodata)
    now = {entry.value: entry.name for entry in map_entries(variable.legend, (0,))}
    then = {value: name for value, name in earlier.names[variable.name].items() if value != nodata}
    names = list(dict.fromkeys([*now.values(), *then.values()]))
    nothing = len(names)
    code_then, code_now = (_codes(legend, names, nodata) for legend in (then, now))
    counts = np.zeros((nothing + 1, nothing + 1), np.int64)
    with (
        _both(earlier, variable.name, path) as (old, new, whole),
        raster_writer(target, changed_variable(variable), whole) as writer,
    ):
        for block, part in _blocks(whole, zone_area):
            values = new.read(1, window=part)
            before, after = code_then[old.read(1, window=part)], code_now[values]
            if (before == _STRANGE).any():
                raise _NotComparableError("the map before holds values that its legend doesn't name")
            pairs = before.ravel().astype(np.int64) * (nothing + 1) + after.ravel()
            counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
            changed = (before != after) & (before != nothing) & (after != nothing)
            if changed.any():
                writer.write(block, np.where(changed, values, np.uint8(nodata))[None])
    counts[nothing, nothing] = 0  # outside the area, for the most part
    both = counts[:nothing, :nothing]
    named = [*names, NO_DATA_NAME]
    found = sorted(np.argwhere(counts).tolist(), key=lambda pair: (-counts[pair[0], pair[1]], pair))
    compared, changed_pixels = int(both.sum()), int(both.sum() - np.trace(both))
    return Changes(
        before=earlier.before,
        compared=compared,
        changed=changed_pixels,
        share=changed_pixels / compared if compared else None,
        hectares=tuple(
            _class_change(name, int(counts[index].sum()), int(counts[:, index].sum()))
            for index, name in enumerate(names)
            if counts[index].any() or counts[:, index].any()
        ),
        matrix=tuple(
            Transition(before=named[row], after=named[column], pixels=int(counts[row, column])) for row, column in found
        ),
    )


_STRANGE = 999
"""Code of a value that no legend names."""


def _codes(legend: Mapping[int, str], names: Sequence[str], nodata: int) -> npt.NDArray[np.int16]:
    """Position of each map value's name (256,); one beyond the last for no data."""
    codes = np.full(256, _STRANGE, np.int16)
    for value, name in legend.items():
        if 0 <= value < 256:
            codes[value] = names.index(name)
    codes[nodata] = len(names)
    return codes


def _class_change(name: str, before: int, after: int) -> ClassChange:
    hectares = [round(pixels * PIXEL**2 / HECTARE, 2) for pixels in (before, after, after - before)]
    return ClassChange(name=name, before=hectares[0], after=hectares[1], difference=hectares[2])


def _compare_bands(
    earlier: Earlier, rasters: Mapping[str, Path], declared: Sequence[Variable], zone_area: BaseGeometry
) -> Changes:
    bands: list[BandChange] = []
    for variable in declared:
        with _both(earlier, variable.name, rasters[variable.name]) as (old, new, whole):
            known = {name: number for number, name in enumerate(old.descriptions, start=1)}
            for number, band in enumerate(variable.bands, start=1):
                blocks = ((part, old, new) for _, part in _blocks(whole, zone_area))
                bands.append(_band_change(variable, band, known.get(band or variable.title), number, blocks))
    return Changes(before=earlier.before, bands=tuple(bands))


def _band_change(
    variable: Variable, band: str, before: int | None, after: int, blocks: Iterator[tuple[RasterWindow, Any, Any]]
) -> BandChange:
    """Change of one band; ``before``: its number in the earlier raster, None where it has none."""
    there, both = 0, 0
    mean, sums = 0.0, np.zeros(4)  # now; before, now, difference, absolute difference where both are known
    for part, old, new in blocks:
        values = _floats(new, after, part)
        earlier = np.full_like(values, np.nan) if before is None else _floats(old, before, part)
        known = np.isfinite(values)
        there, mean = there + int(known.sum()), mean + float(values[known].sum())
        known &= np.isfinite(earlier)
        was, is_now = earlier[known], values[known]
        both += int(known.sum())
        sums += [was.sum(), is_now.sum(), (is_now - was).sum(), np.abs(is_now - was).sum()]
    change = BandChange(variable=variable.name, band=band, pixels=both or there)
    if both:
        names = ("before", "after", "difference", "absolute")
        return change.model_copy(update={name: float(total) / both for name, total in zip(names, sums, strict=True)})
    return change.model_copy(update={"after": mean / there}) if there else change


def _floats(raster: Any, band: int, part: RasterWindow) -> npt.NDArray[np.float64]:
    values = raster.read(band, window=part).astype(np.float64)
    if raster.nodata is not None:
        values[values == raster.nodata] = np.nan
    return np.asarray(values)


@contextmanager
def _both(earlier: Earlier, name: str, path: Path) -> Iterator[tuple[Any, Any, Window]]:
    """The raster of a variable before and now, and what both cover. Raises `_NotComparableError` where it isn't the same."""
    refuse: Callable[[str], _NotComparableError] = lambda why: _NotComparableError(  # noqa: E731
        f"{name}.tif of the delivery before can't be read: {why}"
    )
    with rasterio.open(path) as new, open_raster(earlier.folder / f"{name}.tif", refuse, DRIVERS) as old:
        grids = [(raster.crs, raster.transform, raster.shape) for raster in (old, new)]
        if grids[0] != grids[1]:
            raise _NotComparableError(f"{name}.tif of the delivery before lies on another grid")
        if new.dtypes[0] != old.dtypes[0]:
            raise _NotComparableError(f"{name}.tif of the delivery before holds numbers of another kind")
        left, top = round(new.transform.c / PIXEL), round(new.transform.f / PIXEL)
        yield old, new, Window(new.crs.to_epsg(), left, top, new.width, new.height)


def _blocks(whole: Window, zone_area: BaseGeometry) -> Iterator[tuple[Window, RasterWindow]]:
    """Blocks of a raster that the area touches: on the grid, and in the raster's own rows and columns."""
    for block in blocks_meeting(zone_area, whole, TILE):
        yield block, RasterWindow(block.left - whole.left, whole.top - block.top, block.width, block.height)
