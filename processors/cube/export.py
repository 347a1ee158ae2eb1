"""A cell for others: one Cloud Optimized GeoTIFF per date, or a Zarr copy that also older GDAL reads. One date at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr
from numcodecs import Blosc

from catalog.errors import RequestError, StoreError
from catalog.products import NO_DATA, REFLECTANCE_SCALE, SATURATED
from catalog.storage.scratch import scratch_folder
from catalog.storage.store import CellPath
from catalog.storage.whole import folder_written_whole, written_whole
from processors.cube.cell import Cube
from processors.cube.codecs import plain_codecs
from processors.cube.layout import CLEAR_NO_DATA, VARIABLES
from processors.cube.storage import open_group
from processors.rasters import Variable, copy_as_cog, raster_writer

Format = Literal["cog", "zarr"]

Progress = Callable[[int, int], None]
"""Function called with the number of dates written, and of all."""

_CHUNK = 512
_LEFT_BEHIND = ("products", "off_grid", "left_out", "ingested", "masked")
"""Variables that serve ingestion alone: a copy holds only dates that are whole."""


def export_cell(
    path: CellPath,
    output: Path,
    form: Format = "cog",
    dates: Sequence[date] = (),
    bands: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[Path]:
    """Write the ingested dates of a cell, sorted by time. Returns what was written.

    ``cog``: into the folder ``output``, per date one file of reflectance (uint16, x 1e-4, 0 = no data) and one of `clear`; or, of one
    date, into the file ``output``. ``zarr``: the group ``output`` in Zarr format 2 without shards.
    ``dates``: UTC days, by default all; ``bands``: by default those that any of these dates holds.
    Raises `RequestError` for dates and bands that aren't there, `StoreError` where it can't be written or would overwrite.
    """
    chosen = _choose(Cube(path), dates, bands)
    report = progress or (lambda done, of: None)  # noqa: ARG005
    return _write_cogs(chosen, output, report) if form == "cog" else [_write_zarr(chosen, output, report)]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The selection to export: dates of the cube in the order of time, and bands in the order asked."""

    cube: Cube
    indices: tuple[int, ...]
    bands: tuple[str, ...]

    @property
    def rows(self) -> list[int]:
        return [self.cube.bands.index(band) for band in self.bands]


def _choose(cube: Cube, dates: Sequence[date], bands: Sequence[str]) -> _Chosen:
    whole = np.flatnonzero(cube.flags("ingested")).tolist()
    days = {index: cube.times[index].date() for index in whole}
    there = ", ".join(str(day) for day in sorted(set(days.values()))) or "none"
    missing = sorted(set(dates) - set(days.values()))
    if missing or not whole:
        asked = f"no date {', '.join(map(str, missing))}" if missing else "no whole date"
        raise RequestError(f"cell {cube.cell.name} holds {asked}. Dates that are whole: {there}.")
    indices = sorted(
        (index for index in whole if not dates or days[index] in dates), key=lambda index: cube.times[index]
    )
    held = np.flatnonzero(cube.values("bands_present")[indices].any(axis=0))
    known = [cube.bands[row] for row in held.tolist()]
    unknown = [band for band in bands if band not in known]
    if unknown:
        raise RequestError(f"bands {', '.join(unknown)}: these dates hold {', '.join(known)}.")
    return _Chosen(cube, tuple(indices), tuple(bands) or tuple(known))


def _write_cogs(chosen: _Chosen, output: Path, progress: Progress) -> list[Path]:
    single = output.suffix.lower() in (".tif", ".tiff")
    if single and len(chosen.indices) != 1:
        raise RequestError(
            f"--output {output} is one file, for one date; {len(chosen.indices)} are meant. Give --date, or a folder."
        )
    if single and output.exists():
        raise StoreError(f"{output} is there already and is not overwritten. Remove it, or give another name.")
    written: list[Path] = []
    progress(0, len(chosen.indices))
    for done, index in enumerate(chosen.indices, start=1):
        target = output if single else output / f"{_stem(chosen.cube, index)}.tif"
        tags = _tags(chosen, index)
        reflectance = chosen.cube.read("reflectance", index)[chosen.rows]
        written.append(_write_cog(target, _reflectance(chosen.bands), reflectance, chosen.cube, tags))
        if chosen.cube.arrays["masked"][index] == 1:
            clear = chosen.cube.read("clear", index)[np.newaxis]
            beside = target.with_name(f"{target.stem}_clear{target.suffix}")
            written.append(_write_cog(beside, _CLEAR, clear, chosen.cube, tags))
        progress(done, len(chosen.indices))
    return written


def _reflectance(bands: tuple[str, ...]) -> Variable:
    return Variable(name="reflectance", title="reflectance", dtype="uint16", bands=bands, nodata=NO_DATA)


_CLEAR = Variable(name="clear", title="1 clear, 0 not clear", dtype="uint8", nodata=CLEAR_NO_DATA)


def _write_cog(target: Path, variable: Variable, values: npt.NDArray[Any], cube: Cube, tags: dict[str, str]) -> Path:
    scale = REFLECTANCE_SCALE if variable.name == "reflectance" else 1.0
    with scratch_folder() as scratch, written_whole(target) as aside:
        raw = scratch / "raw.tif"
        with raster_writer(raw, variable, cube.window, scale) as raster:
            raster.write(cube.window, values)
        copy_as_cog(raw, aside, variable, tags)
    return target


def _stem(cube: Cube, index: int) -> str:
    return f"{cube.cell.name}_{cube.times[index]:%Y%m%dT%H%M%S}_{cube.values('platform')[index]}"


def _tags(chosen: _Chosen, index: int) -> dict[str, str]:
    cube = chosen.cube
    present = np.asarray(cube.values("bands_present"))[index]
    names = ("acquisition", "platform", "relative_orbit", "processing_baseline", "offset_from")
    notice = f"Contains modified Copernicus Sentinel data {cube.times[index].year}"
    return {
        **{name: str(cube.values(name)[index]) for name in names},
        "time": cube.times[index].isoformat(),
        "products": " ".join(json.loads(str(cube.values("product_ids")[index]))),
        "bands_present": " ".join(band for band, held in zip(cube.bands, present, strict=True) if held),
        "cell": cube.cell.name,
        "level": cube.level,
        "source": cube.source,
        "saturated": str(SATURATED),
        "synthetic": "yes" if cube.synthetic else "no",
        "licence": "Synthetic data: simulated, nothing real" if cube.synthetic else notice,
        "software": f"cropline {version('cropline')}",
    }


def _write_zarr(chosen: _Chosen, output: Path, progress: Progress) -> Path:
    if output.exists():
        raise StoreError(f"{output} is there already and is not overwritten. Remove it, or give another name.")
    with folder_written_whole(output) as aside:
        # Format 2: GDAL reads the third one's shards never and its codec `bytes` only since 3.11.
        group = zarr.open_group(aside, mode="w-", zarr_format=2)
        with plain_codecs():  # the Rust ones know no text of a fixed length
            _copy_grid(chosen, group)
            slabs = _copy_table(chosen, group)
        _copy_slabs(chosen, slabs, progress)
        with plain_codecs():
            zarr.consolidate_metadata(group.store, zarr_format=2)
    return output


def _copy_grid(chosen: _Chosen, group: zarr.Group) -> None:
    of = open_group(chosen.cube.path, "r")
    group.attrs.update({**of.attrs.asdict(), "exported_by": f"cropline {version('cropline')}"})
    for name in ("x", "y", "spatial_ref"):
        array: Any = of[name]
        _add(group, array, np.asarray(array[...]))
    _add(group, of["band"], np.array(chosen.bands))


def _copy_table(chosen: _Chosen, group: zarr.Group) -> dict[str, zarr.Array[Any]]:
    """Copy the variables that have one value a date; gives the slabs, empty."""
    cube, indices = chosen.cube, list(chosen.indices)
    slabs = {}
    for name, array in cube.arrays.items():
        variable = VARIABLES[name]
        if variable.kind == "slab":
            slabs[name] = _slab(group, array, len(indices), len(chosen.bands))
        elif name not in _LEFT_BEHIND:
            values = cube.values(name)[indices]
            _add(group, array, values[:, chosen.rows] if variable.by_band else values)
    return slabs


def _copy_slabs(chosen: _Chosen, slabs: Mapping[str, zarr.Array[Any]], progress: Progress) -> None:
    progress(0, len(chosen.indices))
    for done, index in enumerate(chosen.indices):
        for name, target in slabs.items():
            values = chosen.cube.read(name, index)
            target[done] = values[chosen.rows] if values.ndim == 3 else values
        progress(done + 1, len(chosen.indices))


def _slab(group: zarr.Group, array: zarr.Array[Any], dates: int, bands: int) -> zarr.Array[Any]:
    by_band = array.ndim == 4
    target = group.create_array(
        array.basename,
        shape=(dates, *((bands,) if by_band else ()), *array.shape[-2:]),
        chunks=(1, *((1,) if by_band else ()), _CHUNK, _CHUNK),
        dtype=array.dtype,
        fill_value=array.fill_value,
        compressors=Blosc(cname="zstd", clevel=5),
    )
    target.attrs.update(_attributes(array))
    return target


def _add(group: zarr.Group, array: Any, values: npt.NDArray[Any]) -> None:
    """A small array under the same name, with the same attributes; text in a type that GDAL reads."""
    if values.dtype.kind in "OT":
        values = np.array(values.tolist(), np.str_)
    target = group.create_array(
        array.basename, shape=values.shape, chunks=values.shape, dtype=values.dtype, fill_value=None, compressors=None
    )
    target[...] = values
    target.attrs.update(_attributes(array))


def _attributes(array: Any) -> dict[str, Any]:
    attributes = {name: value for name, value in array.attrs.asdict().items() if name != "_FillValue"}
    return {**attributes, "_ARRAY_DIMENSIONS": list(array.metadata.dimension_names or ())}
