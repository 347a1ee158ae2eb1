"""A class map as it was delivered: its legend, its pixels, and that they are still those that were described."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from shapely.geometry.base import BaseGeometry

from catalog.area import parse_area
from catalog.delivered_maps import ITEM
from catalog.errors import DeliveryError, RequestError
from catalog.grid import PIXEL, Window, to_zone
from catalog.guards.json_text import parse_object
from catalog.guards.rasters import open_raster
from catalog.legend import OUTSIDE, Legend, LegendClass
from catalog.quoting import escaped, shortened
from catalog.storage.pixels import DRIVERS
from catalog.storage.store import sha256
from processors.delivery.areas import AreaTable, count_areas
from processors.delivery.folder_swap import DIGEST
from processors.delivery.stac_item import LEGEND

_LONGEST = 200
"""Characters of a name that are shown."""


@dataclass(frozen=True, slots=True)
class DeliveredItem:
    """The item of a delivery, read.

    ``content``: as it lies in the file; ``legend``: of the crop map, None where the delivery has none.
    """

    folder: Path
    content: dict[str, Any]
    written: bytes
    legend: Legend | None
    map_name: str

    @property
    def properties(self) -> dict[str, Any]:
        properties: dict[str, Any] = self.content["properties"]
        return properties

    @property
    def map_file(self) -> Path:
        """The class map, where there is a legend."""
        return self.folder / self.map_name

    @property
    def request_digest(self) -> str:
        return str(self.properties[DIGEST])

    def still_there(self) -> bool:
        """Return whether the delivery is the one that was read."""
        try:
            return (self.folder / ITEM).read_bytes() == self.written
        except OSError:
            return False


@dataclass(frozen=True, slots=True, eq=False)
class DeliveredMap:
    """A class map that is what its delivery says, and how many pixels show each class."""

    item: DeliveredItem
    legend: Legend
    checksum: str
    """SHA-256 of the map's file, hexadecimal."""
    window: Window
    zone_area: BaseGeometry
    """The area requested, in the metres of the map's zone."""
    areas: AreaTable

    @property
    def identifier(self) -> str:
        return shortened(escaped(str(self.item.content.get("id", self.item.folder.name))), _LONGEST)

    @property
    def title(self) -> str:
        return shortened(escaped(str(self.item.properties.get("title", self.identifier))), _LONGEST)

    @property
    def synthetic(self) -> bool:
        return self.item.properties.get("cropline:synthetic") is True

    @property
    def entries(self) -> tuple[LegendClass, ...]:
        """Classes that the map can show, by value."""
        return tuple(row.entry for row in self.areas.rows)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The map's raster. Raises `DeliveryError` where it can't be read in the block."""
        path = self.item.map_file
        with open_raster(path, lambda why: _damaged(path, why), DRIVERS) as raster:
            yield raster


def read_item(folder: Path) -> DeliveredItem:
    """Read a delivery's item. Raises `DeliveryError` where the folder is no delivery of this project."""
    try:
        written = (folder / ITEM).read_bytes()
        content = parse_object(written, ValueError)
        properties = content["properties"]
        _ = (
            properties[DIGEST],
            properties["cropline:source"],
            properties["cropline:source_id"],
            properties["cropline:request"],
        )
        _ = [str(asset["href"]) for asset in content["assets"].values()]
        name, legend = _legend(content["assets"])
    except FileNotFoundError as error:
        raise DeliveryError(
            f"{folder} is no delivery of this project: it holds no {ITEM}. Name a delivery's folder."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise DeliveryError(
            f"{folder} is no delivery of this project: its {ITEM} can't be used ({error}). Name a delivery's folder."
        ) from error
    return DeliveredItem(folder, content, written, legend, name)


def open_delivered(folder: Path) -> DeliveredMap:
    """Open the class map of a delivery and count its pixels. Raises `DeliveryError`: it has none, or not the one that it describes."""
    item = read_item(folder)
    if item.legend is None:
        raise DeliveryError(f"{folder} holds no map of classes, only measurements. Name the delivery of a crop map.")
    path = item.map_file
    try:
        checksum = sha256(path)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    described = str(item.content["assets"][path.stem].get("file:checksum", "")).removeprefix("1220")
    if described != checksum:
        raise DeliveryError(
            f"{path} is not the map that was delivered: its item describes another content. Nothing can be said of changed pixels; "
            "deliver the map again."
        )
    try:
        area = parse_area(item.content.get("geometry"))
    except RequestError as error:
        raise DeliveryError(f"{folder / ITEM}: its geometry is no area ({error}). Deliver the map again.") from error
    with open_raster(path, lambda why: _damaged(path, why), DRIVERS) as raster:
        epsg = None if raster.crs is None else raster.crs.to_epsg()
        if epsg is None or raster.nodata is None or (raster.transform.a, raster.transform.e) != (PIXEL, -PIXEL):
            raise _damaged(path, "it does not lie on the grid of a UTM zone")
        window = Window(
            epsg, round(raster.transform.c / PIXEL), round(raster.transform.f / PIXEL), raster.width, raster.height
        )
    zone_area = to_zone(area, epsg)
    return DeliveredMap(item, item.legend, checksum, window, zone_area, count_areas(path, item.legend, zone_area))


def _legend(assets: dict[str, Any]) -> tuple[str, Legend | None]:
    """File name and legend of the first asset that has classes."""
    for key, asset in assets.items():
        if LEGEND in asset:
            return f"{key}.tif", Legend.model_validate(asset[LEGEND])
        if "classification:classes" in asset:  # of deliveries from before the legend was written down whole
            entries = [
                LegendClass(
                    value=entry["value"],
                    name=entry["description"],
                    colour=f"#{entry['color_hint']}",
                    role="background" if entry["value"] == 0 else "class",
                )
                for entry in asset["classification:classes"]
                if entry["description"] != OUTSIDE
            ]
            return f"{key}.tif", Legend(entries=tuple(entries))
    return "", None


def _damaged(path: Path, why: str) -> DeliveryError:
    return DeliveryError(f"{path} can't be read: {why}. Make it again.")
