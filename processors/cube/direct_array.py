"""Arrays on disk whose chunks are read and written by whoever asks, rather than by Zarr's event loop.

A run looks at hundreds of small values of each acquisition, each a file of a few bytes, and writes a file a patch. Where all cores are
busy, a thread that hands each to another one and waits for its answer waits longer than the work takes. The bytes are Zarr's: its own
codecs make them.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
import zarr
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore

PARTIAL = ".partial"
"""End of the names of files that become chunks."""


class DirectArray(zarr.Array[Any]):
    """An array whose chunks are whole but for the first axis, the dates. What isn't asked for by date is left to Zarr."""

    def __getitem__(self, selection: Any) -> Any:
        if isinstance(selection, slice):
            return self._read(range(*selection.indices(self.shape[0])))
        if isinstance(selection, SupportsIndex):
            index = range(self.shape[0])[selection]
            return self._read(range(index, index + 1))[0, ...]
        return super().__getitem__(selection)

    def __setitem__(self, selection: Any, value: Any) -> None:
        one = isinstance(selection, slice) and selection.indices(self.shape[0])
        if not one or self.chunks[0] != 1 or one[2] != 1 or one[1] - one[0] != 1:
            super().__setitem__(selection, value)
            return
        self.put(one[0], value)

    def put(self, number: int, value: Any, aside: Path | None = None) -> None:
        """Write a chunk, made in a file of the folder ``aside`` and renamed, as Zarr does; one of fill values alone has no file.

        By default that file lies beside its place, where a kill in that moment leaves it.
        """
        chunk = np.empty(self.chunks, self.dtype)
        chunk[...] = value
        spec, place = self._spec(number), self._file(number)
        made: Any = spec.prototype.nd_buffer.from_numpy_array(chunk)
        if made.all_equal(spec.fill_value):
            place.unlink(missing_ok=True)
            return
        for codec in self._codecs():
            made = codec._encode_sync(made, spec)
        place.parent.mkdir(parents=True, exist_ok=True)
        file = (aside or place.parent) / f"{place.name}.{secrets.token_hex(8)}{PARTIAL}"
        try:
            file.write_bytes(made.as_numpy_array())
            file.replace(place)
        except BaseException:
            file.unlink(missing_ok=True)
            raise

    def _read(self, indices: range) -> npt.NDArray[Any]:
        values = np.empty((len(indices), *self.shape[1:]), self.dtype)
        length, held = self.chunks[0], (-1, values)
        for position, index in enumerate(indices):
            number = index // length
            if held[0] != number:
                held = number, self._chunk(number)
            values[position] = held[1][index % length]
        return values

    def _chunk(self, number: int) -> npt.NDArray[Any]:
        """A chunk, fill values where its file is missing. Raises what Zarr's codecs raise where it is damaged."""
        spec = self._spec(number)
        try:
            data = self._file(number).read_bytes()
        except FileNotFoundError:
            return np.full(spec.shape, spec.fill_value, self.dtype)
        made: Any = spec.prototype.buffer.from_bytes(data)
        for codec in reversed(self._codecs()):
            made = codec._decode_sync(made, spec)
        decoded: npt.NDArray[Any] = made.as_numpy_array()
        return decoded

    def _codecs(self) -> tuple[Any, ...]:
        """Codecs of zarr-python, all of which work without an event loop too."""
        metadata: Any = self.metadata  # of Zarr 3: cells have no other
        codecs: tuple[Any, ...] = metadata.codecs
        return codecs

    def _spec(self, number: int) -> ArraySpec:
        return self.metadata.get_chunk_spec(self._place(number), self.async_array.config, default_buffer_prototype())

    def _file(self, number: int) -> Path:
        store = self.store
        if not isinstance(store, LocalStore):
            raise TypeError(f"{self.store_path} isn't on disk")
        return store.root / self.path / self.metadata.encode_chunk_key(self._place(number))

    def _place(self, number: int) -> tuple[int, ...]:
        """Place of a chunk among the chunks: they are whole in all axes but the first."""
        return number, *(0,) * (self.ndim - 1)
