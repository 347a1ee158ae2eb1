"""TFRecord files are read as they were written, and damaged ones are refused by name."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agrunet.data.public.tfrecord import array_of, read_features
from agrunet.errors import AgrunetError

Frame = Callable[[bytes], bytes]

# tf.train.Example, byte for byte: {"a": bytes [b"xyz"], "b": int64 [1, 300] packed, "c": int64 [7] not packed, "d": float}
EXAMPLE = bytes.fromhex(
    "0a36"
    "0a0c" "0a0161" "1207" "0a05" "0a03" "78797a"
    "0a0c" "0a0162" "1207" "1a05" "0a03" "01ac02"
    "0a09" "0a0163" "1204" "1a02" "0807"
    "0a0d" "0a0164" "1208" "1206" "0a04" "0000803f"
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "7.tfrecord.gz"


def test_features_come_back(path: Path, frame: Frame) -> None:
    path.write_bytes(gzip.compress(frame(EXAMPLE)))
    assert read_features(path) == {"a": b"xyz", "b": (1, 300), "c": (7,)}


def test_the_checksum_is_the_published_one(frame: Frame) -> None:
    # RFC 3720 gives 0xe3069283 for "123456789"; turned right by 15 bits and shifted it is this.
    assert frame(b"123456789")[-4:] == struct.pack("<I", (0x2507C60D + 0xA282EAD8) % 2**32)


@pytest.mark.parametrize("position", [0, 9, 20, -1])
def test_one_changed_byte_is_seen(path: Path, frame: Frame, position: int) -> None:
    damaged = bytearray(frame(EXAMPLE))
    damaged[position] ^= 4
    path.write_bytes(gzip.compress(bytes(damaged)))
    with pytest.raises(AgrunetError, match=r"7\.tfrecord\.gz can't be read \(the checksum"):
        read_features(path)


@pytest.mark.parametrize("kept", [0.2, 0.9])
def test_a_file_cut_off_is_seen(path: Path, frame: Frame, kept: float) -> None:
    whole = gzip.compress(frame(EXAMPLE))
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(AgrunetError, match="can't be read"):
        read_features(path)
    framed = frame(EXAMPLE)
    path.write_bytes(gzip.compress(framed[: int(len(framed) * kept)]))
    with pytest.raises(AgrunetError, match="it ends within"):
        read_features(path)


def test_what_is_no_gzip_or_no_example_is_refused(path: Path, frame: Frame) -> None:
    path.write_bytes(frame(EXAMPLE))
    with pytest.raises(AgrunetError, match="can't be read"):
        read_features(path)
    path.write_bytes(gzip.compress(frame(b"\x0a\xff\xff")))
    with pytest.raises(AgrunetError, match="can't be read"):
        read_features(path)
    with pytest.raises(AgrunetError, match="can't be read"):
        read_features(path.with_name("absent.tfrecord.gz"))


def test_a_length_beyond_all_sense_is_not_allocated(path: Path, frame: Frame) -> None:
    empty = frame(struct.pack("<Q", 2**60))
    # The checksum of a record that is this length is the checksum of the length itself.
    path.write_bytes(gzip.compress(struct.pack("<Q", 2**60) + empty[-4:]))
    with pytest.raises(AgrunetError, match=f"a record of {2**60} bytes"):
        read_features(path)


@pytest.mark.parametrize("count", [0, 2])
def test_other_than_one_record_is_refused(path: Path, frame: Frame, count: int) -> None:
    path.write_bytes(gzip.compress(frame(EXAMPLE) * count))
    with pytest.raises(AgrunetError, match=f"{count} records where one belongs"):
        read_features(path)


def test_arrays_have_the_shape_that_is_stored_beside() -> None:
    numbers = np.arange(-3, 3).reshape(2, 3)
    features = {"data": numbers.astype("<i8").tobytes(), "shape": (2, 3), "other": (2, 2)}
    np.testing.assert_array_equal(array_of(features, "data", "shape", 2), numbers)
    with pytest.raises(ValueError, match="data holds 48 bytes"):
        array_of(features, "data", "other", 2)
    with pytest.raises(ValueError, match="on 3 axes"):
        array_of(features, "data", "shape", 3)
    with pytest.raises(ValueError, match="absent is missing"):
        array_of(features, "data", "absent", 2)
