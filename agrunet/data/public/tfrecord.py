"""TFRecord files without TensorFlow: the framing of the records, and the `tf.train.Example` in each.

protobuf and google-crc32c do the work. The packages made for this were passed over: `tfrecord` 1.14.6 checks no checksum, allocates
whatever length a damaged file names, decompresses each gzip twice, and registers `tensorflow.Example` for the whole process, where
it meets TensorFlow's own; `tfd-utils` 1.3 is bound to protobuf 5.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from agrunet.errors import AgrunetError

Features = Mapping[str, bytes | tuple[int, ...]]
"""Features by name: the first value of a bytes feature, or all values of an integer feature."""

_LONGEST = 2**30
"""Bytes of a record at most; a longer one is not of this kind of data."""

_MASK = 0xA282EAD8


def read_features(path: Path) -> Features:
    """Read the features of the only record in a gzip TFRecord file.

    Raises `AgrunetError` naming the file where it can't be read, a checksum fails, or it doesn't hold exactly one `Example`.
    """
    try:
        with gzip.open(path, "rb") as file:
            records = list(_records(file))
        if len(records) != 1:
            raise AgrunetError(f"{path}: {len(records)} records where one belongs. Download it again.")
        return _features(records[0])
    except (OSError, EOFError, zlib.error, DecodeError, _DamagedError) as error:
        raise AgrunetError(
            f"{path} can't be read ({error}). Download it again, or delete it to leave it out."
        ) from error


def array_of(features: Features, data: str, shape: str, axes: int) -> npt.NDArray[np.int64]:
    """Shape the raw 64-bit integers of one feature in the shape that another gives, with so many axes.

    Raises `ValueError` saying which of the two is missing, or that they don't fit.
    """
    raw, sizes = features.get(data), features.get(shape)
    if not isinstance(raw, bytes) or not isinstance(sizes, tuple):
        raise ValueError(f"{data if not isinstance(raw, bytes) else shape} is missing")
    if len(sizes) != axes or min(sizes) < 0 or 8 * int(np.prod(sizes)) != len(raw):
        raise ValueError(f"{data} holds {len(raw)} bytes, {shape} says {sizes} numbers of 8 on {axes} axes")
    return np.frombuffer(raw, dtype="<i8").reshape(sizes)


class _DamagedError(Exception):
    """An error in the framing."""


def _records(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """Yield the records: length, its checksum, data, their checksum; and so on to the end, where gzip checks its own."""
    while header := file.read(12):
        if len(header) < 12:
            raise _DamagedError("it ends within the length of a record")
        length, checksum = struct.unpack("<QI", header)
        if _masked(header[:8]) != checksum:
            raise _DamagedError("the checksum of a record's length is wrong")
        if length > _LONGEST:
            raise _DamagedError(f"a record of {length} bytes")
        data = file.read(length)
        trailer = file.read(4)
        if len(data) < length or len(trailer) < 4:
            raise _DamagedError("it ends within a record")
        if _masked(data) != struct.unpack("<I", trailer)[0]:
            raise _DamagedError("the checksum of a record is wrong")
        yield data


def _masked(data: bytes) -> int:
    """Compute the CRC-32C, turned by 15 bits and shifted, as the format wants it."""
    value: int = google_crc32c.value(data)
    return ((value >> 15 | value << 17) + _MASK) & 0xFFFFFFFF


def _features(record: bytes) -> Features:
    found: dict[str, bytes | tuple[int, ...]] = {}
    for entry in _EXAMPLE.FromString(record).features.feature:
        if entry.value.HasField("int64_list"):
            found[entry.key] = tuple(entry.value.int64_list.value)
        elif entry.value.HasField("bytes_list") and entry.value.bytes_list.value:
            found[entry.key] = entry.value.bytes_list.value[0]
    return found


def _example_class() -> Any:
    """Build `tf.train.Example` with the fields read here, in a pool of its own; a map is on the wire a repeated key and value."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="agrunet_example.proto", package="agrunet", syntax="proto3")
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    messages: dict[str, list[tuple[str, int, int, int | str]]] = {
        "BytesList": [("value", 1, many, field.TYPE_BYTES)],
        "Int64List": [("value", 1, many, field.TYPE_INT64)],
        "Feature": [("bytes_list", 1, one, "BytesList"), ("int64_list", 3, one, "Int64List")],
        "Entry": [("key", 1, one, field.TYPE_STRING), ("value", 2, one, "Feature")],
        "Features": [("feature", 1, many, "Entry")],
        "Example": [("features", 1, one, "Features")],
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for label, number, repeated, kind in fields:
            added = message.field.add(name=label, number=number, label=repeated)
            if isinstance(kind, str):
                added.type, added.type_name = field.TYPE_MESSAGE, f".agrunet.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("agrunet.Example"))


_EXAMPLE = _example_class()
