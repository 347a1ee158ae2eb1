"""Sizes of a product's rasters, from the first bytes of their files."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping

from catalog.errors import ProductError
from catalog.sources.safe.product import SafeProduct
from catalog.storage.file_trees import Files

_HEAD = 4096
"""Bytes. The image header is the first box after the signature and the file type."""


# GDAL opens a file by what it holds, not by its name: a VRT in its place would lead to any other file, or into the network.
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def jp2_size(files: Files, path: str, product: str) -> tuple[int, int] | None:
    """(height, width) of a JP2; None of a TIFF, as some copies have in its place.

    Raises `ProductError` where it is neither or no file is there, `SourceError` where it can't be read.
    """
    try:
        with files.open(path) as file:
            head = file.read(_HEAD)
    except FileNotFoundError as error:
        raise ProductError(f"{product}: {path} is missing. Get the product again.") from error
    if head.startswith(_TIFF):
        return None
    at = head.find(b"ihdr")
    if head[4:8] != b"jP  " or at < 0 or len(head) < at + 12:
        raise ProductError(f"{product}: {path} is no JP2, it may be truncated. Get the product again.")
    height, width = struct.unpack(">II", head[at + 4 : at + 12])
    return height, width


def check_sizes(safe: SafeProduct) -> Mapping[str, tuple[int, int]]:
    """(height, width) of each asset that is a JP2. Raises `ProductError` where one isn't of the size that its pixel size asks for.

    A product all of whose rasters of one pixel size were shrunk alike is no error: each says where its own pixels lie.
    """
    name = safe.product.id
    sizes = {
        asset: size for asset, path in safe.paths.items() if (size := jp2_size(safe.files, path, name)) is not None
    }
    for metres in sorted({safe.resolutions[asset] for asset in sizes}):
        of_one = {asset: sizes[asset] for asset in sizes if safe.resolutions[asset] == metres}
        recorded = safe.tile.sizes.get(metres)
        usual, _ = Counter(of_one.values()).most_common(1)[0]
        expected = recorded if recorded is not None and recorded in of_one.values() else usual
        for asset, size in of_one.items():
            if size != expected:
                raise ProductError(
                    f"{name}: {asset} ({safe.paths[asset]}) has {size[1]} x {size[0]} pixels, at {metres} m the product has "
                    f"{expected[1]} x {expected[0]}. Get the product again."
                )
    return sizes
