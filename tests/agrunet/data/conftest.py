"""Small files of exactly the layouts of the public data sets, written by code that shares nothing with the readers."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MtlccArrays = dict[str, np.ndarray]

PASTIS_DATES = {
    10003: [20180917, 20181022, 20190210, 20190716],
    10001: [20180917, 20190101, 20190101, 20190731, 20190801],
    10004: [20181231, 20190515, 20191028],
    10002: [20190302, 20190404, 20190620],
}
PASTIS_FOLDS = {10001: 1, 10002: 2, 10003: 2, 10004: 5}


@pytest.fixture
def make_pastis() -> Callable[..., Path]:
    """Writes four patches of 128 x 128 px, out of order, the dates of each keyed by position."""
    return _make_pastis


def _make_pastis(folder: Path, dates: Mapping[int, Sequence[int]] = PASTIS_DATES) -> Path:
    rng = np.random.default_rng(7)
    for name in ("DATA_S2", "ANNOTATIONS"):
        (folder / name).mkdir(parents=True)
    features = []
    for patch, days in dates.items():
        values = rng.integers(-200, 9000, (len(days), 10, 128, 128)).astype(np.int16)
        np.save(folder / "DATA_S2" / f"S2_{patch}.npy", values)
        np.save(folder / "ANNOTATIONS" / f"TARGET_{patch}.npy", rng.integers(0, 20, (3, 128, 128)).astype(np.uint8))
        # Text keys in text order ("0", "1", "10", "2"), as some writers leave them.
        keyed = dict(sorted((str(position), day) for position, day in enumerate(days)))
        properties = {"ID_PATCH": patch, "Fold": PASTIS_FOLDS[patch], "dates-S2": keyed, "N_Parcel": 3}
        features.append({"type": "Feature", "properties": properties, "geometry": _square(patch)})
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2154"}}
    text = json.dumps({"type": "FeatureCollection", "crs": crs, "features": features})
    (folder / "metadata.geojson").write_text(text)
    statistics = {
        f"Fold_{fold}": {"mean": [100.0 * fold + band for band in range(10)], "std": [10.0 * fold] * 10}
        for fold in range(1, 6)
    }
    (folder / "NORM_S2_patch.json").write_text(json.dumps(statistics))
    return folder


def _square(patch: int) -> dict[str, Any]:
    """1.28 km in Lambert-93, near its origin at 46.5 degrees north, 3 degrees east."""
    x, y = 700_000 + 1280 * (patch - 10001), 6_600_000
    ring = [[x, y], [x + 1280, y], [x + 1280, y + 1280], [x, y + 1280], [x, y]]
    return {"type": "MultiPolygon", "coordinates": [[ring]]}


@pytest.fixture
def make_tile() -> Callable[..., MtlccArrays]:
    """Random arrays of one tile and year: three dates, then one of padding."""
    return _make_tile


def _make_tile(size: int = 24, doy: Sequence[int] = (5, 100, 250, 0), seed: int = 0) -> MtlccArrays:
    rng = np.random.default_rng(seed)
    T = len(doy)
    ids = np.array([0, 1, 2, 3, 5, 8, 9, 12, 13, 15, 16, 17, 19, 22, 23, 24, 25, 26])
    arrays = {
        "x10": rng.integers(1, 12000, (T, size, size, 4)),
        "x20": rng.integers(1, 12000, (T, size // 2, size // 2, 6)),
        "x60": rng.integers(1, 12000, (T, size // 6, size // 6, 3)),
        "labels": np.repeat(ids[rng.integers(0, len(ids), (1, size, size))], T, axis=0),
        "doy": np.array(doy),
        "year": np.full(T, 2017),
    }
    padding = arrays["doy"] <= 0
    for name in ("x10", "x20", "x60", "labels"):
        arrays[name][padding] = -1
    return {name: array.astype(np.int64) for name, array in arrays.items()}


@pytest.fixture
def write_tile() -> Callable[[Path, MtlccArrays], None]:
    """Writes one tile as the data set has it: a gzip TFRecord of one `tf.train.Example`."""
    return _write_tile


def _write_tile(path: Path, arrays: MtlccArrays) -> None:
    features = b""
    for name, array in arrays.items():
        prefix = "dates" if name in ("doy", "year") else name
        data = f"dates/{name}" if prefix == "dates" else f"{name}/data"
        features += _feature(data, _field(1, _field(1, array.astype("<i8").tobytes())))
        features += _feature(f"{prefix}/shape", _field(3, _field(1, b"".join(map(_varint, array.shape)))))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(_framed(_field(1, features)), 1))


@pytest.fixture
def frame() -> Callable[[bytes], bytes]:
    """One record of a TFRecord file."""
    return _framed


def _framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + struct.pack("<I", _masked(length)) + record + struct.pack("<I", _masked(record))


def _feature(name: str, value: bytes) -> bytes:
    return _field(1, _field(1, name.encode()) + _field(2, value))


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + _varint(number >> 7)


def _castagnoli_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _castagnoli_table()


def _masked(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register = _TABLE[(register ^ byte) & 255] ^ register >> 8
    value = register ^ 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) % 2**32


@pytest.fixture(scope="session")
def mtlcc_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set at 24 px: tiles 11 to 16 in both years, 14 listed for evaluation, 16 in no list. Not to be changed."""
    folder = tmp_path_factory.mktemp("mtlcc")
    lists = folder / "240" / "tileids"
    lists.mkdir(parents=True)
    folds = [["11"], ["12", "15"], ["13"]]
    for number, held in enumerate(folds):
        others = [tile for other in folds if other is not held for tile in other]
        (lists / f"test_fold{number}.tileids").write_text("\n".join(held) + "\n")
        (lists / f"train_fold{number}.tileids").write_text("\n".join(others) + "\n")
    (lists / "eval.tileids").write_text("14\n")
    for year in ("16", "17"):
        for tile in range(11, 17):
            _write_tile(folder / "240" / f"data{year}" / f"{tile}.tfrecord.gz", _make_tile(seed=int(year) * 100 + tile))
    return folder
