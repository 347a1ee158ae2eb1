"""The layout of a cell: its variables, their chunks and the attributes that let others open it.

Three kinds of variables: *slabs* (large, one shard per date, through the Rust codecs), *axis* variables (written when the time
axis grows, all dates in one chunk) and *task* variables (written by tasks, one chunk per date, so that processes that write
different dates never share a chunk). On disk the small ones go through zarr-python's codecs, which write aside and rename: a kill
leaves the old value or the new one. In a bucket every object is written whole or not at all, and all arrays go through
zarr-python's codecs: the Rust ones don't know s3fs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from pyproj import CRS
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import LocalStore, StorePath

from catalog.errors import StoreError
from catalog.grid import CELL, PIXEL, Cell
from catalog.products import LEVEL_BANDS, REFLECTANCE_SCALE, UNKNOWN, Level
from processors.cube.codecs import plain_codecs, rust_codecs
from processors.cube.direct_array import DirectArray

BLOCK = 128
"""Edge of an inner chunk, pixels: what a reader decodes at least."""

CLEAR_NO_DATA = 255
"""Value of `clear` and `cloud_probability` where there is no data."""

TIME_UNITS = "microseconds since 1970-01-01T00:00:00"

_AXIS_CHUNK = 1024
_OPENED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Variable:
    """Array of a cell. ``kind``: slab, axis or task as the module says; ``by_band``: (time, band) instead of (time)."""

    name: str
    kind: Literal["slab", "axis", "task"]
    dtype: Any
    fill: Any
    long_name: str
    by_band: bool = False


# The same at both levels, so that cubes of one area differ in their level alone; what is never written takes no room.
_SLABS = (
    Variable("reflectance", "slab", np.uint16, 0, "reflectance x 10000, 0 = no data, 65535 = saturated", True),
    Variable("clear", "slab", np.uint8, CLEAR_NO_DATA, "1 clear, 0 not clear, 255 no data"),
    Variable(
        "cloud_probability",
        "slab",
        np.uint8,
        CLEAR_NO_DATA,
        "L1C: s2cloudless, L2A: Sen2Cor where the product has it; %, 255 = no data",
    ),
    Variable("scl", "slab", np.uint8, 0, "scene classification of Sen2Cor, 0 = no data, as everywhere in L1C"),
)

_AXIS = (
    Variable("acquisition", "axis", str, "", "name of the acquisition"),
    Variable("datatake", "axis", str, UNKNOWN, "datatake start and absolute orbit"),
    Variable("product_ids", "axis", str, "[]", "products of the acquisition that touch the cell, a JSON list"),
    Variable("products", "axis", str, "[]", "the same products as their source described them, a JSON list"),
    Variable("platform", "axis", str, UNKNOWN, "satellite"),
    Variable("relative_orbit", "axis", str, UNKNOWN, "relative orbit"),
    Variable("processing_baseline", "axis", str, UNKNOWN, "processing baseline"),
    Variable(
        "sun_zenith", "axis", np.float32, np.nan, "mean zenith of the sun, degrees; NaN where the source doesn't say"
    ),
    Variable("sun_azimuth", "axis", np.float32, np.nan, "mean azimuth of the sun, degrees from north, clockwise"),
    # The last one written: a date exists from the moment that its time does. 0 is no time of Sentinel-2.
    Variable("time", "axis", np.int64, 0, "sensing time, UTC"),
)

_TASK = (
    Variable("offset_from", "task", str, UNKNOWN, "what the radiometric offset was taken from"),
    Variable("offset_check", "task", str, UNKNOWN, "whether the numbers agree with that offset: ok, or why not known"),
    Variable(
        "pixels_from",
        "task",
        str,
        "",
        "products that the pixels were read from, with baseline, content and offset, a JSON list",
    ),
    Variable("off_grid", "task", str, "", "what was warped onto the grid, a JSON list; empty where pixels were copied"),
    Variable(
        "left_out",
        "task",
        str,
        "{}",
        "products and bands that could not be read, with the reason and its kind, a JSON object",
    ),
    Variable("bands_present", "task", np.uint8, 0, "1 where the band was there", by_band=True),
    Variable("valid_fraction", "task", np.float32, np.nan, "part of the cell with data in every band present"),
    Variable("clear_fraction", "task", np.float32, np.nan, "part of the cell that is clear"),
    Variable("ingested", "task", np.uint8, 0, "1 when the slab is whole"),
    Variable("masked_with", "task", str, "", "version and options of the mask, a JSON object"),
    Variable("masked", "task", np.uint8, 0, "1 when `clear` is whole"),
)

COORDINATES = ("x", "y", "band", "spatial_ref")
"""What says where the pixels and bands of the variables lie."""

VARIABLES = {variable.name: variable for variable in (*_SLABS, *_AXIS, *_TASK)}
"""The variables of a cell by name."""

_ADDED: dict[Level, tuple[str, ...]] = {
    "L1C": ("scl", "masked_with", "offset_check", "pixels_from"),
    "L2A": ("cloud_probability", "masked_with", "offset_check", "pixels_from"),
}
"""Variables that cells of older layouts lack until they are extended."""


def create_arrays(group: zarr.Group, cell: Cell, level: Level) -> None:
    """Create all arrays of a new cell, without dates."""
    for variable in VARIABLES.values():
        _create(group, variable, level)
    west, south, east, north = cell.window.bounds
    half = PIXEL / 2
    _coordinate(group, "x", np.arange(west + half, east, PIXEL, dtype=np.float64), "projection_x_coordinate")
    _coordinate(group, "y", np.arange(north - half, south, -PIXEL, dtype=np.float64), "projection_y_coordinate")
    _coordinate(group, "band", np.array(LEVEL_BANDS[level], dtype=object), None)
    group.create_array("spatial_ref", shape=(), dtype=np.int64, dimension_names=(), attributes=_grid_mapping(cell))


def add_arrays(group: zarr.Group, level: Level, names: Iterable[str], dates: int) -> None:
    """Arrays that an older cell lacks, for ``dates`` dates, without values."""
    for name in sorted(names):
        _create(group, VARIABLES[name], level, dates)


def _create(group: zarr.Group, variable: Variable, level: Level, dates: int = 0) -> None:
    slab, by_band = variable.kind == "slab", variable.by_band
    shape = (dates, *((len(LEVEL_BANDS[level]),) if by_band else ()), *((CELL, CELL) if slab else ()))
    chunks: tuple[int, ...] = (_AXIS_CHUNK if variable.kind == "axis" else 1, *shape[1:])
    shards = None
    if slab:
        chunks, shards = (*chunks[:-2], BLOCK, BLOCK), chunks
    compressors = (BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),) if slab else ()
    dims = ("time", *(("band",) if by_band else ()), *(("y", "x") if slab else ()))
    group.create_array(
        variable.name,
        shape=shape,
        chunks=chunks,
        shards=shards,
        dtype=variable.dtype,
        fill_value=variable.fill,
        # The checksum last: what is cut or changed at rest is an error, and no wrong number.
        compressors=(*compressors, Crc32cCodec()),
        dimension_names=dims,
        attributes=_attributes(variable),
    )


def _attributes(variable: Variable) -> dict[str, Any]:
    attributes: dict[str, Any] = {"long_name": variable.long_name}
    if variable.kind == "slab":
        attributes["grid_mapping"] = "spatial_ref"
    if variable.name == "reflectance":
        attributes |= {"scale_factor": REFLECTANCE_SCALE, "add_offset": 0.0, "_FillValue": 0, "units": "1"}
    if variable.name == "clear":
        attributes |= {"flag_values": [0, 1, CLEAR_NO_DATA], "flag_meanings": "not_clear clear no_data"}
    if variable.name == "time":
        attributes |= {"standard_name": "time", "units": TIME_UNITS, "calendar": "proleptic_gregorian"}
    return attributes


def _coordinate(group: zarr.Group, name: str, values: Any, standard_name: str | None) -> None:
    described: dict[str, Any] = (
        {"standard_name": standard_name, "units": "m", "axis": name.upper()} if standard_name else {}
    )
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=values.shape,
        dtype=str if values.dtype == object else values.dtype,
        compressors=None,
        dimension_names=(name,),
        attributes=described,
    )
    array[:] = values


def _grid_mapping(cell: Cell) -> dict[str, Any]:
    """CF grid mapping (CF conventions 1.11, appendix F), with the WKT and the transform that GDAL reads."""
    transform = cell.window.transform
    crs = CRS.from_epsg(cell.epsg)
    return {
        **crs.to_cf(),
        "spatial_ref": crs.to_wkt(),
        "GeoTransform": " ".join(str(float(number)) for number in transform.to_gdal()),
    }


def geozarr_attributes(cell: Cell) -> dict[str, Any]:
    """Attributes of the GeoZarr conventions `proj` and `spatial`, version 0.1 (github.com/zarr-conventions)."""
    window = cell.window
    return {
        "zarr_conventions": [
            _convention("proj", "f17cb550-5864-4468-aeb7-f3180cfb622f"),
            _convention("spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4"),
        ],
        "proj:code": f"EPSG:{cell.epsg}",
        "spatial:dimensions": ["y", "x"],
        "spatial:shape": list(window.shape),
        "spatial:transform_type": "affine",
        "spatial:transform": [float(number) for number in window.transform[:6]],
        "spatial:bbox": [float(number) for number in window.bounds],
        "spatial:registration": "pixel",
    }


def _convention(name: str, uuid: str) -> dict[str, str]:
    return {
        "name": name,
        "uuid": uuid,
        "schema_url": f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/schema.json",
        "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
    }


class LocalArrays(Mapping[str, zarr.Array[Any]]):
    """The arrays of a cell on disk: the metadata of all is read at once, an array is made of it when somebody first asks for it.

    Every stage opens every cell for every acquisition and uses a few of its arrays: making all 24 takes longer than reading a band.
    Safe for threads. Raises `StoreError` where an array isn't what its name says.
    """

    def __init__(self, group: zarr.Group, metadata: Mapping[str, dict[str, Any]]) -> None:
        self._group = group
        self._metadata = metadata
        self._made: dict[str, zarr.Array[Any]] = {}

    def __getitem__(self, name: str) -> zarr.Array[Any]:
        if name not in self._made:
            metadata, place = self._metadata[name], self._group.store_path / name
            try:
                slab = VARIABLES[name].kind == "slab"
                with rust_codecs() if slab else plain_codecs():
                    array = (zarr.Array if slab else DirectArray).from_dict(place, metadata)
            except (KeyError, TypeError, ValueError) as error:
                raise _no_array(place, error) from error
            self._made.setdefault(name, array)  # one that grows must be the same for all
        return self._made[name]

    def metadata(self, name: str) -> ArrayV3Metadata:
        """Metadata of an array. Raises `StoreError`."""
        try:
            return ArrayV3Metadata.from_dict(self._metadata[name])
        except (KeyError, TypeError, ValueError) as error:
            raise _no_array(self._group.store_path / name, error) from error

    def __contains__(self, name: object) -> bool:
        return name in self._metadata

    def __iter__(self) -> Iterator[str]:
        return iter(self._metadata)

    def __len__(self) -> int:
        return len(self._metadata)


def _no_array(place: StorePath, error: Exception) -> StoreError:
    return StoreError(
        f"{place}: not an array of this project ({type(error).__name__}: {error}). `cropline cells --repair` takes the cell away, and "
        "the next run reads from the source what it needs."
    )


def open_arrays(group: zarr.Group, level: Level) -> Mapping[str, zarr.Array[Any]]:
    """The arrays of a cell by name, each with the codecs that suit its kind; an older cell's without those added since.

    Raises `KeyError`, `OSError`, `ValueError` where another one is missing or is no array.
    """
    store = group.store
    if isinstance(store, LocalStore):
        found = {name: store.root / group.path / name / "zarr.json" for name in VARIABLES}
        present = [name for name in VARIABLES if name not in _ADDED[level] or found[name].exists()]
        return LocalArrays(group, {name: _metadata(found[name]) for name in present})
    names = [name for name in VARIABLES if name not in _ADDED[level] or name in group]
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:  # each asks the network for its metadata
        return dict(zip(names, pool.map(lambda name: _array(group, name), names), strict=True))


def _metadata(path: Path) -> dict[str, Any]:
    try:
        metadata: dict[str, Any] = json.loads(path.read_bytes())
        if metadata["node_type"] != "array":
            raise KeyError("no array")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.parent.name}/{path.name}: {error}") from error
    return metadata


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    member = group[name]
    if not isinstance(member, zarr.Array):
        raise KeyError(name)
    return member
