"""Pictures as a page holds them: the season's true colour, and thumbnails of its acquisitions."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from shapely.geometry.base import BaseGeometry

from catalog.grid import PIXEL, Window, blocks_meeting
from processors.delivery.page.aggregate import READ, mean, squares_read, with_gaps
from processors.delivery.page.packing import data_address

QUALITY, THUMBNAIL_QUALITY = 82, 70

MOST_PIXELS = 6_000_000
"""Pixels of the true colour: what a phone unpacks without trouble."""

MOST_EDGE = 16_000
"""Edge of a WebP, just below the format's limit."""


def true_color_record(path: Path, whole: Window, zone_area: BaseGeometry, most: int) -> dict[str, Any]:
    """A true-colour raster (uint8 RGB, 0 is no data) as a WebP of at most ``most`` bytes, at the finest level that is so small.

    ``tiles``: None where the picture shows the whole window; of far-apart parts their tiles stand side by side: row and column of each
    in the window, in the order in which they fill ``columns`` columns of the picture. ``edge``: pixels of a tile.
    """
    factor = 1
    while True:
        touched = len(blocks_meeting(zone_area, whole, READ * factor))
        columns, rows = -(-whole.width // (READ * factor)), -(-whole.height // (READ * factor))
        spread = touched * 2 < columns * rows
        across = max(1, int(np.ceil(np.sqrt(touched)))) if spread else columns
        down = -(-touched // across) if spread else rows
        pixels = touched * READ**2 if spread else (whole.width // factor) * (whole.height // factor)
        if pixels <= MOST_PIXELS and max(across, down) * READ <= MOST_EDGE:
            picture = np.zeros((down * READ, across * READ, 4), np.uint8)
            tiles = []
            for number, (row, column, tile) in enumerate(_tiles(path, zone_area, factor)):
                y, x = divmod(number, across) if spread else (row, column)
                picture[y * READ : (y + 1) * READ, x * READ : (x + 1) * READ] = tile
                tiles.append((row, column))
            if not spread:
                picture = picture[: -(-whole.height // factor), : -(-whole.width // factor)]
            address = _webp(Image.fromarray(picture, "RGBA"), QUALITY)
            if len(address) <= most:
                return {
                    "metres": factor * PIXEL,
                    "address": address,
                    "tiles": tiles if spread else None,
                    "columns": across,
                    "edge": READ,
                    "width": picture.shape[1],
                    "height": picture.shape[0],
                }
        factor += 1


def thumbnail_addresses(thumbnails: Mapping[str, Path], most: int) -> dict[str, str]:
    """Thumbnails by acquisition; the same ones smaller where they take more than ``most`` bytes."""
    edge = 96
    while True:
        addresses = {}
        for name, path in thumbnails.items():
            with Image.open(path) as opened:
                picture = opened.convert("RGBA" if opened.mode in ("RGBA", "LA", "P") else "RGB")
            picture.thumbnail((edge, edge))
            addresses[name] = _webp(picture, THUMBNAIL_QUALITY)
        if edge <= 16 or sum(map(len, addresses.values())) <= most:
            return addresses
        edge = edge * 2 // 3


def _tiles(path: Path, zone_area: BaseGeometry, factor: int) -> Iterator[tuple[int, int, npt.NDArray[np.uint8]]]:
    """Row and column of each tile the area touches, and its pixels (READ, READ, 4): red, green, blue, opacity."""
    for row, column, values in squares_read(path, zone_area, factor):
        there = (values != 0).any(axis=0)
        if factor == 1:
            colours = values
        else:
            colours = np.nan_to_num(np.rint(mean(with_gaps(values, 0.0), factor))).astype(np.uint8)
            there = (colours != 0).any(axis=0)
        yield row // READ, column // READ, np.dstack([*colours, np.where(there, 255, 0).astype(np.uint8)])


def _webp(picture: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return data_address(buffer.getvalue(), "image/webp")
