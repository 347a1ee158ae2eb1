"""What a date of a cell holds, written so that others see the old or the new of it, and only while its claim is held.

On disk a slab is made aside and renamed. In a bucket every object is put whole; under a claim it is put on the condition that it is
what this writer found or made.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.core.array_spec import ArrayConfig
from zarr.core.buffer import Buffer
from zarr.core.chunk_key_encodings import V2ChunkKeyEncoding
from zarr.storage import LocalStore, MemoryStore, StorePath

from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath
from processors.cube.claim import Claim, made_aside
from processors.cube.codecs import plain_codecs, rust_codecs
from processors.cube.direct_array import DirectArray
from processors.cube.storage import BucketStore

FLAGS = ("ingested", "masked")
_AT_ONCE = 8
"""Objects looked at or put at once: each waits for the network."""


def write_slab(path: CellPath, metadata: Any, name: str, index: int, slab: Any, claim: Claim | None) -> int:
    """Write the slab of a date; ``metadata`` is that of its array. Returns the bytes that it takes, packed (0 without a claim in a bucket).

    Raises `LeaseLostError`, and whatever a disk or a bucket raises.
    """
    if isinstance(path, BucketPath):
        if claim is not None:
            return _put(path, {name: metadata}, index, {name: slab}, claim)
        place_of = StorePath(BucketStore(path), name)
        _array(metadata, place_of, plain_codecs(), empty=False)[index] = slab
        return 0
    chunk = (index, *(0,) * slab.ndim)
    place = path / name / metadata.encode_chunk_key(chunk)
    # All in one folder: making and removing folders takes longer than writing a mask.
    flat = replace(metadata, chunk_key_encoding=V2ChunkKeyEncoding(separator="."))
    with ExitStack() as stack:
        if claim is None:
            aside = path.with_name(f"{path.name}.claims") / f"{index}-{secrets.token_hex(8)}"
            stack.enter_context(made_aside(aside))
        else:
            aside = claim.aside()
        made = _array(flat, StorePath(LocalStore(aside)), rust_codecs(), empty=False)
        file = aside / flat.encode_chunk_key(chunk)
        made[index] = slab
        with claim.held() if claim else nullcontext():
            if not file.exists():  # nothing but no data takes no room
                place.unlink(missing_ok=True)
                return 0
            size: int = file.stat().st_size
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
            return size


def write_values(
    path: CellPath, arrays: Mapping[str, zarr.Array[Any]], index: int, values: Mapping[str, Any], claim: Claim | None
) -> None:
    """Write values of one date, in the order given, each whole or not at all. Raises as `write_slab` does."""
    if claim is not None and isinstance(path, BucketPath):
        _put(path, {name: array.metadata for name, array in arrays.items()}, index, values, claim)
        return
    held: AbstractContextManager[None] = claim.held() if claim else nullcontext()
    with held:
        for name, value in values.items():
            array = arrays[name]
            if isinstance(array, DirectArray):
                array.put(index, value, None if claim is None else claim.aside())
            else:
                array[index : index + 1] = _as_array(array.dtype, value)


def _as_array(dtype: Any, value: Any) -> npt.NDArray[Any]:
    return np.array([value], dtype=object if isinstance(value, str) else dtype)


def _put(path: BucketPath, metadata: Mapping[str, Any], index: int, values: Mapping[str, Any], claim: Claim) -> int:
    """Put objects side by side, flags after all others. Returns their bytes."""
    objects: dict[str, dict[BucketPath, bytes | None]] = {"values": {}, "flags": {}}
    for name, value in values.items():
        described = metadata[name]
        key = described.encode_chunk_key((index, *(0,) * (described.ndim - 1)))
        place = BucketPath(path.bucket, f"{path.key}/{name}/{key}", path.access)
        if name not in FLAGS:
            shaped = (
                value[np.newaxis]
                if isinstance(value, np.ndarray)
                else _as_array(described.dtype.to_native_dtype(), value)
            )
            objects["values"][place] = _encoded(described, name, key, index, shaped, empty=False)
            if objects["values"][place] is None and claim.find(place):
                claim.renew(at_once=True)
                objects["values"][place] = _encoded(described, name, key, index, shaped, empty=True)
        else:
            # Not set is written as another number by each writer: a flag that one who stood still would set then isn't the one that
            # it knows.
            flag = np.array([1 if value else 2 + claim.number % 200], np.uint8)
            objects["flags"][place] = _encoded(described, name, key, index, flag, empty=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for group in objects.values():
            there = {place: data for place, data in group.items() if data is not None}
            claim.find_all(there, pool)
            list(pool.map(claim.put, there, there.values()))
    return sum(len(data) for group in objects.values() for data in group.values() if data is not None)


def _encoded(metadata: Any, name: str, key: str, index: int, values: npt.NDArray[Any], *, empty: bool) -> bytes | None:
    """The object of a date; None where it holds nothing but fill values and ``empty`` ones aren't made."""
    files: dict[str, Buffer] = {}
    made = _array(metadata, StorePath(MemoryStore(files), name), plain_codecs(), empty=empty)
    made[index : index + 1] = values
    buffer = files.get(f"{name}/{key}")
    return None if buffer is None else buffer.to_bytes()


def _array(metadata: Any, place: StorePath, codecs: AbstractContextManager[None], *, empty: bool) -> zarr.Array[Any]:
    """An array elsewhere; ``empty``: chunks of fill values are written too."""
    with codecs:
        inner: Any = zarr.AsyncArray(metadata, place, ArrayConfig(order="C", write_empty_chunks=empty))
    return zarr.Array(inner)
