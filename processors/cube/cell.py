"""The Zarr cell: create it, let its time axis grow, read and write one acquisition.

A date exists from the moment that its entry in `time` is set, which is the last thing that growing does; arrays that are
longer than that come from a kill and are cut back by the next one who grows the cell. What a date holds is to be trusted where
`ingested` (and `masked`) is 1. All this holds on disk and in a bucket alike; what differs is in `storage` and `lock`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import zarr

from catalog.errors import StoreError
from catalog.given_offsets import variant
from catalog.grid import Cell, Window
from catalog.products import LEVEL_BANDS, UNKNOWN, Acquisition, Level, Product
from catalog.storage.store import CellPath
from catalog.storage.system_errors import refusal
from catalog.versions import shows_same_pixels
from processors.cube.claim import Claim, announce, seized
from processors.cube.codecs import DAMAGE
from processors.cube.date_writer import write_slab, write_values
from processors.cube.layout import VARIABLES, LocalArrays, add_arrays, create_arrays, geozarr_attributes, open_arrays
from processors.cube.lock import StillHeld, locked
from processors.cube.pixel_source import PixelSource, contents_of, older_sources, read_sources
from processors.cube.storage import create, files_in_memory, open_group

SAME_PASS = timedelta(minutes=20)
"""Products of one platform closer in time than this are of one pass: an orbit takes 100 minutes."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Identified(Protocol):
    """An acquisition as far as a cell needs it to know its date: that of an order, or that of a season."""

    @property
    def id(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def platform(self) -> str: ...


class Cube:
    """One cell, open. Reading is thread-safe; dates added after the opening are not seen.

    Raises `StoreError` where the path is no cell, or its bucket can't be reached.
    """

    def __init__(self, path: CellPath, mode: Literal["r", "r+"] = "r") -> None:
        self.path = path
        self.claims: dict[int, Claim] = {}
        """Claims under which dates are written, by index."""
        self.stored_bytes = 0
        """Of slabs that were written through this object, packed."""
        try:
            group = open_group(path, mode)
            attributes = group.attrs.asdict()
            self.cell = Cell.from_name(str(attributes["cell"]))
            self.level: Level = "L1C" if attributes["level"] == "L1C" else "L2A"
            self.source = str(attributes["source"])
            self.synthetic = bool(attributes["synthetic"])
            self.arrays = open_arrays(group, self.level)
        except (*DAMAGE, AttributeError) as error:  # Zarr asks what isn't an object for its members
            raise StoreError(
                f"{path}: not a cell of this project, or a damaged one ({type(error).__name__}: {error}). Where it is one, "
                "`cropline cells --repair` takes it away, and the next run reads from the source what it needs."
            ) from error

    @property
    def bands(self) -> tuple[str, ...]:
        return LEVEL_BANDS[self.level]

    @property
    def window(self) -> Window:
        return self.cell.window

    @cached_property
    def _microseconds(self) -> npt.NDArray[np.int64]:
        values: npt.NDArray[np.int64] = self._axis("time")[:]
        unset = np.flatnonzero(values == 0)
        return values[: unset[0]] if unset.size else values

    def __len__(self) -> int:
        """The number of dates."""
        return len(self._microseconds)

    def ends_early(self) -> bool:
        """True where dates without a time are whole: it is lost. A killed writer leaves dates without a time, too, but none is whole."""
        return any(self.flag("ingested", index) for index in range(len(self), self.arrays["ingested"].shape[0]))

    @cached_property
    def times(self) -> tuple[datetime, ...]:
        """Sensing times, UTC, in the order of arrival."""
        return tuple(_EPOCH + int(value) * _MICROSECOND for value in self._microseconds)

    @cached_property
    def acquisition_ids(self) -> tuple[str, ...]:
        names = tuple(str(name) for name in self.values("acquisition"))
        if "" in names:  # every date has a name: what was removed or not copied reads as none
            raise self.damaged("acquisition", "a part of it is gone")
        return names

    def values(self, variable: str) -> npt.NDArray[Any]:
        """A variable that has one value (or one per band) a date: (T,) or (T, B)."""
        if variable in VARIABLES and VARIABLES[variable].kind == "axis":
            return self._axis(variable)[: len(self)]
        return np.asarray(self._array(variable)[: len(self)])

    def flags(self, variable: Literal["ingested", "masked"]) -> npt.NDArray[np.bool_]:
        """(T,): True where the slab (or its mask) is whole."""
        try:
            return np.asarray(self.values(variable) == 1)
        except DAMAGE:
            return np.array([self.flag(variable, index) for index in range(len(self))], bool)

    def flag(self, variable: Literal["ingested", "masked"], index: int) -> bool:
        """True where the slab of a date (or its mask) is whole. A damaged flag is none."""
        try:
            return bool(self.arrays[variable][index] == 1)
        except DAMAGE:
            return False

    def products(self, index: int) -> tuple[Product, ...]:
        """The products of a date that touch the cell, as their source described them."""
        try:
            listed = json.loads(str(self._axis("products")[index]))
            products = tuple(Product.model_validate(product) for product in listed)
        except ValueError as error:
            raise self.damaged("products", error) from error
        if not products:
            raise self.damaged("products", "a part of it is gone")
        return products

    def _axis(self, name: str) -> npt.NDArray[Any]:
        """A variable of the time axis. Raises `StoreError` where it is damaged."""
        try:
            return np.asarray(self.arrays[name][:])
        except DAMAGE as error:
            raise self.damaged(name, error) from error

    def damaged(self, name: str, error: Exception | str) -> StoreError:
        """Error for a variable of the axis that can't be trusted."""
        return StoreError(
            f"{self.path}: its {name} is damaged ({error}). `cropline cells --repair` takes the cell away, and the next run reads from "
            "the source what it needs."
        )

    def sources(self, index: int) -> tuple[PixelSource, ...]:
        """What the pixels of a date were read from."""
        if self.has_sources(index):
            return read_sources(str(self.arrays["pixels_from"][index]))
        check = str(self.arrays["offset_check"][index]) if "offset_check" in self.arrays else ""
        return older_sources(self.products(index), str(self.arrays["offset_from"][index]), check)

    def has_sources(self, index: int) -> bool:
        """Return whether a date says what its pixels were read from; one of before there were such records doesn't."""
        return "pixels_from" in self.arrays and bool(str(self.arrays["pixels_from"][index]))

    def contents(self, index: int) -> str:
        """Name of what a date holds, pixels and mask; empty where either isn't whole."""
        if not (self.flag("ingested", index) and self.flag("masked", index)):
            return ""
        with_ = str(self.arrays["masked_with"][index]) if "masked_with" in self.arrays else ""
        return contents_of(self.sources(index), with_)

    def index_of(self, acquisition: Identified) -> int | None:
        """The date of an acquisition: by name, or by platform and time (20 minutes) for dates whose source names no datatake.

        There the name comes from the earliest product of the request's area, and changes when the area does. A date read with
        an offset that a request gives is another one.
        """
        if acquisition.id in self.acquisition_ids:
            return self.acquisition_ids.index(acquisition.id)
        nameless = np.flatnonzero(
            (self.values("datatake").astype(object) == UNKNOWN)
            & (self.values("platform").astype(object) == acquisition.platform)
        )
        near = [
            index
            for index in nameless.tolist()
            if abs(self.times[index] - acquisition.time) <= SAME_PASS
            and variant(self.acquisition_ids[index]) == variant(acquisition.id)
        ]
        return min(near, key=lambda index: abs(self.times[index] - acquisition.time)) if near else None

    def read(
        self, variable: str, index: int, rows: slice = slice(None), columns: slice = slice(None)
    ) -> npt.NDArray[Any]:
        """Part of one date's slab: (B, H, W) of `reflectance`, (H, W) of the others."""
        array = self._array(variable)
        return np.asarray(array[index, :, rows, columns] if array.ndim == 4 else array[index, rows, columns])

    def write_slab(self, variable: str, index: int, slab: npt.NDArray[Any]) -> None:
        """Write a whole shard, under the date's claim where it is in `claims`; a slab of nothing but no data takes no room.

        Others see the old one or the new one. Raises `LeaseLostError`, and `StoreError` where the disk is full.
        """
        metadata = self.metadata(variable)
        if slab.shape != metadata.shape[1:]:
            raise ValueError(f"{variable} of a cell is written whole, {metadata.shape[1:]}, not {slab.shape}")
        with self._writing(index):
            self.stored_bytes += write_slab(self.path, metadata, variable, index, slab, self.claims.get(index))

    def set(self, index: int, **values: Any) -> None:
        """Write values of one date, flags last, each whole or not at all; under its claim where it is in `claims`.

        Raises `LeaseLostError`, `StoreError`.
        """
        arrays = {name: self._array(name) for name in values}
        with self._writing(index):
            write_values(self.path, arrays, index, values, self.claims.get(index))

    def take_back(self, index: int, *flags: Literal["ingested", "masked"]) -> None:
        """Clear flags before a date's slabs are written anew, and tell readers where they were set. Raises as `set` does."""
        claim = self.claims.get(index)
        whole = any(self.flag(flag, index) for flag in flags)
        # Who was there before may set a flag yet, in a bucket: it must not find the one that it knows.
        if whole or (claim is not None and claim.contested):
            self.set(index, **dict.fromkeys(flags, 0))
        if whole:
            announce(self.path, index)

    @contextmanager
    def _writing(self, index: int) -> Iterator[None]:
        with _writing(self.path):
            try:
                yield
            except (OSError, RuntimeError):
                if index in self.claims:  # whoever takes a claim over clears away what was made aside
                    self.claims[index].renew()
                raise

    def metadata(self, name: str) -> Any:
        """Metadata of an array, which needn't be made for it."""
        if isinstance(self.arrays, LocalArrays) and name in self.arrays:
            return self.arrays.metadata(name)
        return self._array(name).metadata

    def _array(self, name: str) -> zarr.Array[Any]:
        if name in VARIABLES and name not in self.arrays:
            raise StoreError(
                f"{self.path} was made by an older version and lacks {name}: order again, which extends it."
            )
        return self.arrays[name]


@contextmanager
def _writing(path: CellPath) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except (OSError, RuntimeError) as error:  # the Rust codecs raise RuntimeError for the system's errors
        raise StoreError(
            f"can't write {path}: {refusal(error, path if isinstance(path, Path) else None)}, and run again; what was finished is kept."
        ) from error


def ensure_cell(path: CellPath, cell: Cell, level: Level, *, source: str, synthetic: bool) -> None:
    """Create an empty cell where there is none, whole or not at all; check the one that is there.

    Raises `StoreError` where the folder holds another cell, level or kind of data, or can't be written.
    """
    if not path.exists():
        _create(path, cell, level, source, synthetic)
    found = Cube(path)
    expected = (cell.name, level, synthetic)
    if (found.cell.name, found.level, found.synthetic) != expected:
        raise StoreError(
            f"{path} holds cell {found.cell.name}, {found.level}, synthetic={found.synthetic}; expected {cell.name}, {level}, "
            f"synthetic={synthetic}. Keep synthetic and real archives at addresses of their own, or use another store."
        )


def _create(path: CellPath, cell: Cell, level: Level, source: str, synthetic: bool) -> None:
    attributes: dict[str, Any] = {"cell": cell.name, "level": level, "source": source, "synthetic": synthetic}

    def fill(group: zarr.Group) -> None:
        create_arrays(group, cell, level)
        # CF: variables that `coordinates` names become coordinates in xarray, which is where it looks for the CRS
        group.attrs.update({"Conventions": "CF-1.11", "coordinates": "spatial_ref acquisition", **attributes})
        group.attrs.update(geozarr_attributes(cell))

    create(path, files_in_memory(fill))


def extend(path: CellPath, acquisitions: Sequence[Acquisition]) -> None:
    """Add the acquisitions that a cell lacks to its time axis; renew those whose products changed.

    ``acquisitions`` hold the products that touch this cell. One whose products are all known already is left alone; else its flags
    are cleared, then its variables renewed. A known product stays listed although this request doesn't ask for it, unless a newer
    one of the same tile and datastrip replaces it. A cell of an older layout gets the variables that it lacks. Takes the cell's
    lock. Raises `StoreError` where it can't be written.
    """
    with locked(path) as still_held:
        cube = Cube(path, "r+")
        if absent := VARIABLES.keys() - cube.arrays.keys():
            with _writing(path):
                add_arrays(open_group(path, "r+"), cube.level, absent, len(cube))
            cube = Cube(path, "r+")
        added: list[Acquisition] = []
        for acquisition in acquisitions:
            still_held()
            index = cube.index_of(acquisition)
            if index is None:
                added.append(acquisition)
            else:
                _renew(cube, index, acquisition)
        with _writing(path):
            _grow(cube, added, still_held)


def _grow(cube: Cube, added: Sequence[Acquisition], still_held: StillHeld) -> None:
    known = len(cube)
    if cube.ends_early():
        raise cube.damaged("time", "a part of it is gone")
    length = known + len(added)
    for name in VARIABLES:
        still_held()
        array = cube.arrays[name]
        if array.shape[0] > known:  # what a killed writer left behind
            array.resize((known, *array.shape[1:]))
        if array.shape[0] < length:
            array.resize((length, *array.shape[1:]))
    if added:
        columns: list[dict[str, Any]] = [_axis_values(acquisition, acquisition.products) for acquisition in added]
        for name in columns[0]:
            still_held()
            array = cube.arrays[name]
            values = [column[name] for column in columns]
            array[known:length] = np.array(values, dtype=object if isinstance(values[0], str) else array.dtype)


def _renew(cube: Cube, index: int, acquisition: Acquisition) -> None:
    known = {product.id: product for product in cube.products(index)}
    # Numbers are read as their baseline says: another one, or one that is understood now, makes another product of it.
    if not any(_is_other(known.get(product.id), product) for product in acquisition.products):
        listed = _listed((known | {product.id: product for product in acquisition.products}).values())
        if listed != _listed(known.values()):  # what older versions there are, say
            cube.set(index, products=listed)
        return
    kept = [
        product
        for product in known.values()
        if not any(other.id == product.id or shows_same_pixels(other, product) for other in acquisition.products)
    ]
    values = _axis_values(acquisition, (*acquisition.products, *kept))
    values["acquisition"] = cube.acquisition_ids[index]
    with seized(cube.path, index) as claim:  # whoever fills it now reads what is asked for no more
        cube.claims[index] = claim
        cube.take_back(index, "masked", "ingested")
        del cube.claims[index]
        cube.set(index, **values)


def _is_other(known: Product | None, product: Product) -> bool:
    """True where a product is not the one that is known. Of what was read before sources told the content, nobody can say."""
    if known is None or known.baseline != product.baseline:
        return True
    return "" not in (known.content, product.content) and known.content != product.content


def _listed(products: Iterable[Product]) -> str:
    by_id = sorted(products, key=lambda product: product.id)
    return json.dumps([product.model_dump(mode="json") for product in by_id])


def _axis_values(acquisition: Acquisition, products: Sequence[Product]) -> dict[str, Any]:
    """The axis variables of an acquisition, in the order of writing: `time` is the last."""
    by_id = sorted(products, key=lambda product: product.id)
    datatakes = {product.datatake for product in by_id}
    return {
        "acquisition": acquisition.id,
        "datatake": datatakes.pop() if len(datatakes) == 1 else UNKNOWN,
        "product_ids": json.dumps([product.id for product in by_id]),
        "products": _listed(by_id),
        "platform": acquisition.platform,
        "relative_orbit": acquisition.relative_orbit,
        "processing_baseline": acquisition.baseline,
        "sun_zenith": np.nan if acquisition.sun_zenith is None else acquisition.sun_zenith,
        "sun_azimuth": np.nan if acquisition.sun_azimuth is None else acquisition.sun_azimuth,
        "time": (acquisition.time - _EPOCH) // _MICROSECOND,
    }
