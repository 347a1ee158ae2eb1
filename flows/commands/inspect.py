"""Inspection of one product as its reader sees it, for `cropline inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from pydantic import Field
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from shapely.geometry import shape

from catalog.antimeridian import bbox
from catalog.products import BANDS, LEVEL_BANDS, Frozen, Product
from catalog.sources.one_product import Kind, ProductReading, read_product_at
from catalog.sources.safe.masks import KINDS, QualityMask, mask_features
from catalog.sources.safe.product import NATIVE, SafeProduct
from catalog.storage.credentials import Credentials
from processors.engine.limits import uninterruptible
from processors.ingest.raster_headers import Header, header_problems, read_headers

_COUNTED = ("DEFECT", "NODATA", "SATURA", "TECQUA")
"""Masks of polygons whose number tells something: most products have none."""


class InspectedAsset(Frozen):
    """One band or mask that is there."""

    name: str
    href: str
    native: Annotated[int, Field(description="pixel size that the band is made at, m")]
    offset: Annotated[int, Field(description="added to valid raw numbers, units of 1e-4 reflectance")]
    nodata: float | None
    view_zenith: Annotated[float | None, Field(description="mean, degrees")] = None
    view_azimuth: Annotated[float | None, Field(description="mean, degrees from north, clockwise")] = None
    header: Header | None = None


class InspectedMask(Frozen):
    """The quality masks of one kind."""

    kind: str
    meaning: str
    form: str
    files: int
    polygons: Annotated[
        int | None, Field(description="of all files; None of rasters and of masks that always have some")
    ] = None


class Inspection(Frozen):
    """One product as the reader sees it."""

    kind: Kind
    product: Product
    bands: tuple[InspectedAsset, ...]
    missing: tuple[str, ...]
    offset_from: str
    quantification: Annotated[int, Field(description="numbers per unit of reflectance")]
    granule: str | None = None
    datastrip: str | None = None
    orbit_direction: str | None = None
    epsg: int | None = None
    nodata_share: Annotated[float | None, Field(description="%")] = None
    degraded: Annotated[float | None, Field(description="of the instrument's data, %")] = None
    masks: tuple[InspectedMask, ...] = ()
    problems: Annotated[tuple[str, ...], Field(description="what is wrong with it")] = ()


def inspect(address: str, credentials: Credentials) -> Inspection:
    """Read a product's metadata and the headers of its files; no pixel is read. Raises as `read_product_at`."""
    with uninterruptible():
        reading = read_product_at(address, credentials)
    headers = read_headers(reading.assets)
    missing = tuple(band for band in LEVEL_BANDS[reading.product.level] if band not in reading.assets)
    safe = reading.safe
    known = safe.problems if safe else ((f"missing: {', '.join(missing)}",) if missing else ())
    return Inspection(
        kind=reading.kind,
        product=reading.product,
        bands=tuple(_assets(reading, headers)),
        missing=missing,
        offset_from="; ".join(sorted({asset.offset_from for name, asset in reading.assets.items() if name in BANDS})),
        quantification=10_000,
        granule=safe.granule if safe else None,
        datastrip=safe.datastrip if safe else None,
        orbit_direction=safe.orbit_direction if safe else None,
        epsg=safe.tile.epsg if safe else None,
        nodata_share=safe.tile.nodata_share if safe else None,
        degraded=safe.tile.degraded if safe else None,
        masks=_masks(safe) if safe else (),
        problems=(*known, *header_problems(headers, safe.tile if safe else None)),
    )


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Print an inspection for people."""
    console.print(Group(*_parts(inspection)))


def _assets(reading: ProductReading, headers: dict[str, Header | str]) -> Iterator[InspectedAsset]:
    for name, asset in reading.assets.items():
        zenith, azimuth = reading.safe.view.get(name, (None, None)) if reading.safe else (None, None)
        header = headers[name]
        yield InspectedAsset(
            name=name,
            href=asset.href.partition("?")[0],  # what follows may be a signature
            native=NATIVE[name],
            offset=asset.offset,
            nodata=asset.nodata,
            view_zenith=zenith,
            view_azimuth=azimuth,
            header=header if isinstance(header, Header) else None,
        )


def _masks(safe: SafeProduct) -> tuple[InspectedMask, ...]:
    def polygons(mask: QualityMask) -> int:
        return len(mask_features(safe.files, mask, safe.product.id))

    counted = [mask for mask in safe.masks if mask.form == "GML" and mask.kind in _COUNTED]
    totals: Counter[str] = Counter()
    with ThreadPoolExecutor(8) as pool:
        for mask, number in zip(counted, pool.map(polygons, counted), strict=True):
            totals[mask.kind] += number
    files = Counter((mask.kind, mask.form) for mask in safe.masks)
    return tuple(
        InspectedMask(
            kind=kind,
            meaning=KINDS[kind],
            form=form,
            files=number,
            polygons=totals[kind] if form == "GML" and kind in _COUNTED else None,
        )
        for (kind, form), number in sorted(files.items())
    )


def _parts(inspection: Inspection) -> Iterator[RenderableType]:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(inspection):
        if value is not None:
            facts.add_row(name, Text(value))
    yield facts
    yield Text()
    yield _band_table(inspection)
    if inspection.masks:
        yield Text()
        masks = Table(
            "quality mask", "shows", "form", "files", "polygons", box=None, pad_edge=False, header_style="bold"
        )
        for mask in inspection.masks:
            number = "" if mask.polygons is None else str(mask.polygons)
            masks.add_row(mask.kind, mask.meaning, mask.form, str(mask.files), number)
        yield masks
    yield Text()
    if inspection.problems:
        yield Text("What is wrong with it", style="bold")
        for problem in inspection.problems:
            yield Text(f"  {problem}")
    else:
        yield Text("Nothing is wrong with its metadata and headers. Pixels were not read.")


def _facts(inspection: Inspection) -> Iterator[tuple[str, str | None]]:
    product = inspection.product
    west, south, east, north = bbox(shape(product.footprint))
    yield "product", f"{product.id}{'  (synthetic)' if product.synthetic else ''}"
    yield "lies at", f"{product.href}  ({inspection.kind})"
    yield "level, baseline", f"{product.level}, {product.baseline}"
    yield "tile", f"{product.tile}{f', EPSG:{inspection.epsg}' if inspection.epsg else ''}"
    yield "platform", product.platform
    yield "sensed", f"{product.time:%Y-%m-%d %H:%M:%S} UTC"
    yield "generated", f"{product.generation_time:%Y-%m-%d %H:%M:%S} UTC" if product.generation_time else None
    direction = f", {inspection.orbit_direction}" if inspection.orbit_direction else ""
    yield "datatake, orbit", f"{product.datatake}, {product.relative_orbit}{direction}"
    yield "datastrip", inspection.datastrip or product.datastrip
    yield "granule", inspection.granule
    yield "cloud cover", _percent(product.cloud_cover)
    yield "no data", _percent(inspection.nodata_share)
    yield "degraded data", _percent(inspection.degraded)
    sun = None
    if product.sun_zenith is not None and product.sun_azimuth is not None:
        sun = f"zenith {product.sun_zenith:.2f}°, azimuth {product.sun_azimuth:.2f}° (mean)"
    yield "sun", sun or "its metadata don't say"
    offsets = sorted({band.offset for band in inspection.bands if band.name in BANDS})
    yield "offset", f"{', '.join(map(str, offsets))}  ({inspection.offset_from})"
    yield "reflectance", f"(number + offset) / {inspection.quantification}"
    corners = len(shape(product.footprint).boundary.coords) - 1 if product.footprint["type"] == "Polygon" else None
    yield (
        "footprint",
        (
            f"longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}"
            + (f", {corners} corners" if corners else "")
        ),
    )
    yield "bands missing", ", ".join(inspection.missing) or "none"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f} %"


def _band_table(inspection: Inspection) -> Table:
    table = Table(
        "band", "pixel", "native", "pixels", "offset", "view", "file", box=None, pad_edge=False, header_style="bold"
    )
    for band in inspection.bands:
        header: Any = band.header
        view = f"{band.view_zenith:.1f}° {band.view_azimuth:.0f}°" if band.view_zenith is not None else ""
        table.add_row(
            band.name,
            f"{header.pixel:.4g} m" if header else "?",
            f"{band.native} m",
            f"{header.width} x {header.height}" if header else "can't be opened",
            str(band.offset) if band.name in BANDS else "",
            view,
            band.href.rpartition("/")[2],
        )
    return table
