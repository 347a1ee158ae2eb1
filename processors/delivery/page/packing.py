"""Packing of numbers for a page: deflated and in base64, as browsers unpack them without a library."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 9
"""Effort of the compression."""


def packed(values: bytes) -> str:
    """Bytes deflated (zlib) and in base64."""
    return base64.b64encode(zlib.compress(values, LEVEL)).decode()


def packed_integers(values: npt.NDArray[np.int64]) -> str:
    """Integers of at least 0 as `packed` variable-length bytes: seven bits each, the lowest first, the eighth says that more follow."""
    rest = values.astype(np.uint64)
    columns = []
    while True:
        columns.append((rest & 0x7F).astype(np.uint8))
        rest = rest >> np.uint64(7)
        if not rest.any():
            break
    stacked = np.stack(columns, axis=-1)  # (N, bytes)
    length = stacked.shape[1] - np.argmax(stacked[:, ::-1] != 0, axis=1)
    length[~stacked.any(axis=1)] = 1
    used = np.arange(stacked.shape[1]) < length[:, None]
    stacked[:, :-1][used[:, 1:]] |= 0x80
    return packed(stacked[used].tobytes())


def zigzag(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Integers of either sign as such of at least 0: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def data_address(content: bytes, media: str) -> str:
    """A file's content as an address that a page holds in itself."""
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def picture_address(file: Path) -> str:
    """A PNG as an address that a page holds in itself."""
    return data_address(file.read_bytes(), "image/png")


def script_json(value: Any) -> str:
    """JSON that stands in a script element of a page: nothing in it ends the element or begins another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
