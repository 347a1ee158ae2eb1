"""Small archives made for tests of the cube; a module, so that other processes can import it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from shapely.geometry import box, mapping

from catalog.grid import PIXEL, Cell, Window, to_lonlat
from catalog.networks import Network
from catalog.order import group_acquisitions
from catalog.products import BANDS, Acquisition, Asset, Level, Order, Product
from catalog.storage.bucket_path import BucketPath, bucket_path
from catalog.storage.credentials import Credentials
from catalog.storage.store import CellPath
from flows.credentials import load_credentials
from processors.cube.cell import ensure_cell

CELL = Cell(32631, 56, 549)
NORTH, EAST = Cell(32631, 56, 550), Cell(32631, 57, 549)
START, END = datetime(2019, 4, 1, tzinfo=UTC), datetime(2019, 8, 1, tzinfo=UTC)


def day(number: int, hour: int = 11, minute: int = 0) -> datetime:
    return datetime(2019, 4, number, hour, minute, tzinfo=UTC)


def square(row: int = 0, column: int = 0, size: int = 120, cell: Cell = CELL) -> Window:
    """A square of pixels, counted from a cell's north-west corner."""
    window = cell.window
    return Window(cell.epsg, window.left + column, window.top - row, size, size)


def new_cell(folder: CellPath) -> CellPath:
    """An empty cell of L2A, without dates."""
    path = folder / f"{CELL.name}.zarr"
    ensure_cell(path, CELL, "L2A", source="s", synthetic=True)
    return path


class FolderSource:
    """A source that is a folder: `products.json` and the files it names. Can be installed as any other, under the name ``kit``."""

    usage: ClassVar[str] = "kit:FOLDER"

    def __init__(self, address: str, credentials: Credentials | None = None) -> None:  # noqa: ARG002 - a folder needs none
        self.address = address
        self.id = "kit"
        self._listed = json.loads((Path(address.removeprefix("kit:")) / "products.json").read_text(encoding="utf-8"))

    @property
    def products(self) -> tuple[Product, ...]:
        return tuple(Product.model_validate(entry["product"]) for entry in self._listed)

    def search(self, area: Any, period: Any, level: Level) -> Any:
        raise NotImplementedError("orders come from `Archive.order`")

    def assets(self, product: Product) -> dict[str, Asset]:
        entry = next(entry for entry in self._listed if entry["product"]["id"] == product.id)
        return {name: Asset.model_validate(asset) for name, asset in entry["assets"].items()}


class Archive:
    """Products written as GeoTIFFs, one file a band, on the grid unless told otherwise."""

    def __init__(self, folder: Path, level: Level = "L2A") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.level = folder, level
        self.address = f"kit:{folder}"
        self._entries: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        bands: Mapping[str, int | npt.NDArray[Any]],
        *,
        time: datetime = datetime(2019, 4, 1, 11, tzinfo=UTC),
        window: Window | None = None,
        offset: int = 0,
        hrefs: Mapping[str, str] | None = None,
        georeference: tuple[int, Affine, tuple[int, int]] | None = None,
        **about: Any,
    ) -> Product:
        """Write a product. ``bands``: raw numbers at their native resolution, or one number everywhere.

        ``hrefs``: assets whose files aren't written; ``georeference``: EPSG code, transform and shape, off the grid.
        """
        window = window or square()
        assets = {}
        for band, raw in bands.items():
            path = self.folder / f"{name}-{band}.tif"
            metres = PIXEL if np.ndim(raw) == 0 else PIXEL * window.height // np.shape(raw)[0]
            if georeference is None:
                epsg, transform = window.epsg, Affine(metres, 0, window.left * PIXEL, 0, -metres, window.top * PIXEL)
                shape = window.height * PIXEL // metres, window.width * PIXEL // metres
            else:
                epsg, transform, shape = georeference
            write(path, np.broadcast_to(raw, shape), epsg, transform, np.uint16 if band in BANDS else np.uint8)
            assets[band] = self._asset(band, str(path), offset if band in BANDS else 0)
        assets |= {band: self._asset(band, href, 0) for band, href in (hrefs or {}).items()}
        footprint = mapping(to_lonlat(box(*window.bounds), window.epsg))
        values: dict[str, Any] = {
            "platform": "S2A", "datatake": f"{time:%Y%m%dT%H%M%S}_000001", "tile": "31UES", "datastrip": "S1", **about,
        }  # fmt: skip
        product = Product(id=name, href=name, level=self.level, time=time, footprint=footprint, **values)
        self._entries = [entry for entry in self._entries if entry["product"]["id"] != name]
        self._entries.append({"product": product.model_dump(mode="json"), "assets": assets})
        text = json.dumps(self._entries)
        (self.folder / "products.json").write_text(text, encoding="utf-8")
        return product

    def _asset(self, band: str, href: str, offset: int) -> dict[str, Any]:
        nodata = None if band == "CLD" else 0
        return Asset(
            href=href, nodata=nodata, offset=offset, offset_from="the test", networks=(Network.LOOPBACK,)
        ).model_dump(mode="json")

    def order(self, *names: str) -> Order:
        """An order of all products, or of those named."""
        products = [product for product in FolderSource(self.address).products if not names or product.id in names]
        return Order(
            source=self.address,
            source_id="kit",
            level=self.level,
            start=START,
            end=END,
            synthetic=True,
            acquisitions=tuple(group_acquisitions(products)),
        )


def write(path: Path, array: npt.NDArray[Any], epsg: int, transform: Affine, dtype: Any) -> None:
    height, width = array.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=dtype, crs=f"EPSG:{epsg}",
        transform=transform, nodata=0, tiled=True, blockxsize=128, blockysize=128, compress="deflate",
    ) as file:  # fmt: skip
        file.write(array.astype(dtype), 1)


def files_of(place: CellPath) -> dict[str, bytes]:
    """Every file or object under a place, locks aside."""
    if isinstance(place, BucketPath):
        found = {name: (place / name).read() for name in place.sizes() if not name.endswith(".lock")}
        return {name: file[0] for name, file in found.items() if file is not None}
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def environment_for(place: CellPath) -> dict[str, str]:
    """What a child process is told so that `place_at` finds a place again."""
    if not isinstance(place, BucketPath):
        return dict(os.environ)
    access = place.access
    assert access.key is not None
    assert access.secret is not None
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": str(access.endpoint),
        "AWS_REGION": access.region or "us-east-1",
        "AWS_ACCESS_KEY_ID": access.key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": access.secret.get_secret_value(),
    }


def place_at(address: str) -> CellPath:
    """The place of an address, with the keys that the environment holds."""
    return bucket_path(address, load_credentials().s3) if address.startswith("s3://") else Path(address)


def dates(name: str, count: int, first: int = 0) -> list[Acquisition]:
    """Acquisitions on days that follow one another."""
    found = []
    for number in range(first, first + count):
        time = datetime(2019, 4, 1, 10, 56, 58, tzinfo=UTC) + timedelta(days=number)
        product = Product(id=f"{name}{number}", href="", level="L2A", time=time, footprint={"type": "Point"})
        found.append(Acquisition(id=f"{name}{number}", time=time, platform="S2A", products=(product,)))
    return found
