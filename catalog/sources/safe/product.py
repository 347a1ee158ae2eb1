"""One SAFE product as its files are: the product, where its bands lie, its angles and masks, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import geojson
from catalog.baseline import OFFSET_SINCE, baseline_number
from catalog.errors import ProductError
from catalog.grid import to_lonlat
from catalog.guards.refusal import as_declared
from catalog.products import BANDS, LEVEL_BANDS, MASK_ASSETS, UNKNOWN, Asset, Level, Product
from catalog.sources.product_name import ProductName, parse_name
from catalog.sources.safe.documents import read_document
from catalog.sources.safe.masks import QualityMask, quality_masks
from catalog.sources.safe.metadata import (
    QUANTIFICATION,
    ProductMetadata,
    SunAngles,
    TileMetadata,
    product_metadata,
    tile_metadata,
)
from catalog.storage.file_trees import Entry, Files, join, name_of, parent
from catalog.storage.store import digest
from catalog.storage.zip_files import ZipFiles

NATIVE: dict[str, int] = {name: band.resolution for name, band in BANDS.items()} | {"SCL": 20, "CLD": 20}
"""Pixel size that a band or mask is made at, m."""

_PRODUCT_FILE = re.compile(r"MTD_MSIL(?:1C|2A)\.xml|S2[A-D]_(?:OPER|USER)_MTD_SAFL(?:1C|2A)_.*\.xml")
_TILE_FILE = re.compile(r"MTD_TL\.xml|S2[A-D]_(?:OPER|USER)_MTD_L(?:1C|2A)_TL_.*\.xml")
# T33TWM_20230815T095031_B02_10m.jp2, …_B02.jp2, and the long names S2A_OPER_MSI_L1C_TL_…_B02.jp2, S2A_USER_SCL_L2A_TL_…_20m.jp2
_BAND_FILE = re.compile(r"(?:^|_)(?P<band>B\d[0-9A])(?:_(?P<metres>[126]0)m)?\.jp2$")
_MASK_FILE = re.compile(r"(?:^|_)(?P<band>SCL|CLDPRB|CLD)(?:_(?:\w*_)?(?P<metres>[126]0)m)?\.jp2$")

_BASELINES_WITHOUT_AGE = ("00.01", "99.99")


@dataclass(frozen=True, slots=True)
class SafeProduct:
    """One granule of a SAFE product, or one tile of the AWS archive."""

    product: Product
    assets: Mapping[str, Asset]
    """By band, ``SCL`` and ``CLD`` beside them, each at its native pixel size where that is there."""
    files: Files = field(repr=False)
    """The tree that its paths are of: an archive, where the product is one."""
    paths: Mapping[str, str]
    """File of each asset in the tree."""
    resolutions: Mapping[str, int]
    """Pixel size of each asset by the name of its file, m."""
    missing: tuple[str, ...]
    """Bands of the level that aren't there."""
    offsets: Mapping[str, int]
    """Added to valid raw numbers, by band, units of 1e-4 reflectance."""
    offset_from: str
    quantification: int
    tile: TileMetadata
    masks: tuple[QualityMask, ...]
    orbit_direction: str
    problems: tuple[str, ...]
    """Faults that don't keep it from being used."""

    @property
    def granule(self) -> str:
        """Identifier of the granule, in full."""
        return self.tile.granule

    @property
    def datastrip(self) -> str:
        """Identifier of the datastrip, in full."""
        return self.tile.datastrip

    @property
    def datatake(self) -> str:
        """Start and absolute orbit."""
        return self.product.datatake

    @property
    def sun(self) -> SunAngles | None:
        return self.tile.sun

    @property
    def view(self) -> Mapping[str, tuple[float, float]]:
        """Mean zenith and azimuth by band, degrees."""
        return self.tile.view


def read_product(files: Files, path: str) -> SafeProduct:
    """Read a product's metadata and see which of its files are there.

    ``path``: a ``.SAFE`` folder with one granule, one granule's folder in it, or a zip archive of either (``….zip/inside``).
    Raises `ProductError` naming product and file where it can't be used, `SourceError` where nothing can be read.
    """
    tree, inside = enter(files, path)
    root, granule = _root_and_granule(tree, inside, path)
    name = parse_name(name_of(root)) or parse_name(path.partition(".zip")[0].rpartition("/")[2])
    shown = name.name if name else name_of(root) or name_of(path) or name_of(files.address)
    product_file = _the_file(tree, root, _PRODUCT_FILE, shown, "MTD_MSIL1C.xml or MTD_MSIL2A.xml")
    tile_file = _the_file(tree, granule, _TILE_FILE, shown, "MTD_TL.xml")
    metadata = product_metadata(read_document(tree, product_file, shown), name_of(product_file), shown)
    tile = tile_metadata(read_document(tree, tile_file, shown), name_of(tile_file), shown)
    name = name or parse_name(metadata.name)
    _check_agreement(name, metadata, tile, shown)
    pixels, quality = join(granule, "IMG_DATA"), join(granule, "QI_DATA")
    folders = (
        [pixels] if metadata.level == "L1C" else [*(join(pixels, f"R{metres}m") for metres in (10, 20, 60)), quality]
    )
    band_files = find_files(tree, folders, metadata.level)
    offsets, offset_from, problems = offsets_of(metadata.level, metadata.baseline, metadata, shown)
    with as_declared(lambda why: ProductError(f"{shown}: its metadata can't be right: {why}. Get the product again.")):
        return assemble(
            Product(
                # Compact names carry the tile; long ones are those of all their granules.
                id=name.name if name and name.tile != UNKNOWN else tile.granule,
                href=join(files.address, path),
                level=metadata.level,
                time=tile.time,
                tile=tile.tile,
                platform=metadata.platform if metadata.platform != UNKNOWN or name is None else name.platform,
                datatake=metadata.datatake,
                datastrip=tile.datastrip_start,
                relative_orbit=metadata.relative_orbit,
                baseline=metadata.baseline,
                generation_time=metadata.generation_time,
                cloud_cover=metadata.cloud_cover if tile.cloud_cover is None else tile.cloud_cover,
                sun_zenith=tile.sun.zenith if tile.sun else None,
                sun_azimuth=tile.sun.azimuth if tile.sun else None,
                footprint=geojson(_footprint(metadata, tile, shown)),
                synthetic=metadata.synthetic,
            ),
            tile,
            files=tree,
            band_files=band_files,
            nodata=metadata.nodata,
            offsets=offsets,
            offset_from=offset_from,
            masks=quality_masks(tree, granule),
            orbit_direction=metadata.orbit_direction,
            problems=[*problems, *(f"its own quality check failed: {check}" for check in metadata.failed_checks)],
        )


def holds_product(entries: Iterable[Entry]) -> bool:
    """True of what the folder of a product holds: its metadata beside its granules."""
    listed = list(entries)
    return any(_PRODUCT_FILE.fullmatch(entry.name) for entry in listed if not entry.is_folder) and any(
        entry.is_folder and entry.name == "GRANULE" for entry in listed
    )


def granules(files: Files, path: str) -> list[str]:
    """Paths for `read_product` of all granules of a product. Raises as it does."""
    tree, root = enter(files, path)
    names = _granule_names(tree, root, name_of(path) or name_of(files.address))
    if len(names) == 1:
        return [path]
    inside = root if tree is not files else ""
    return [join(path, inside, "GRANULE", name) for name in names]


def enter(files: Files, path: str) -> tuple[Files, str]:
    """The tree and the path in it that a path leads to: an archive on the way is entered."""
    parts = path.split("/")
    at = next((number for number, part in enumerate(parts) if part.lower().endswith(".zip")), None)
    if at is None:
        return files, path
    try:
        archive = ZipFiles(files, "/".join(parts[: at + 1]))
    except FileNotFoundError as error:
        raise ProductError(f"{path}: {error}") from error
    return archive, "/".join(parts[at + 1 :]) or _root_of_archive(archive)


@dataclass(frozen=True, slots=True)
class BandFile:
    """The file that a band is read from."""

    path: str
    resolution: int
    state: str = ""
    """Changes when the file does; empty where the tree doesn't tell."""


def find_files(files: Files, folders: Iterable[str], level: Level) -> dict[str, BandFile]:
    """The best file of each band and mask of a level in these folders; folders may be missing.

    Best is the native pixel size, then the next finer one, then the next coarser one. Raises `SourceError`.
    """
    wanted = LEVEL_BANDS[level] + MASK_ASSETS[level]
    best: dict[str, tuple[tuple[bool, int, str], BandFile]] = {}
    for folder in folders:
        try:
            entries = files.list(folder)
        except FileNotFoundError:
            continue
        for entry in entries:
            named = None if entry.is_folder else _asset_of(entry.name, name_of(folder))
            if named is None or named[0] not in wanted:
                continue
            asset, metres = named
            path, native = join(folder, entry.name), NATIVE[asset]
            rank = (metres > native, abs(metres - native), path)
            if asset not in best or rank < best[asset][0]:
                best[asset] = rank, BandFile(path, metres, f"{entry.size}:{entry.state}")
    return {asset: best[asset][1] for asset in wanted if asset in best}


def offsets_of(
    level: Level, baseline: str, metadata: ProductMetadata | None, shown: str
) -> tuple[dict[str, int], str, list[str]]:
    """Offset of each band, its origin, and what is odd about it. ``metadata``: None where the document isn't there.

    Raises `ProductError` where the document gives offsets of some bands only.
    """
    element = "BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET"
    bands = LEVEL_BANDS[level]
    if metadata is not None and metadata.offsets:
        lacking = [band for band in bands if band not in metadata.offsets]
        if lacking:
            raise ProductError(
                f"{shown}: {metadata.file} has no {element} of {', '.join(lacking)}. Get the product again."
            )
        return {band: metadata.offsets[band] for band in bands}, f"{element} of {metadata.file}", []
    number = baseline_number(baseline)
    shifted = number is not None and number >= OFFSET_SINCE
    if metadata is not None and not shifted:
        return dict.fromkeys(bands, 0), f"{metadata.file} has no {element}", []
    problems = [f"{metadata.file} has no {element} though its baseline is {baseline}"] if metadata is not None else []
    if number is None:
        return dict.fromkeys(bands, 0), f"nothing says so: baseline {baseline} is no number", problems
    return dict.fromkeys(bands, -1000 if shifted else 0), f"baseline {baseline}", problems


def assemble(
    product: Product,
    tile: TileMetadata,
    *,
    files: Files,
    band_files: Mapping[str, BandFile],
    nodata: int,
    offsets: Mapping[str, int],
    offset_from: str,
    masks: tuple[QualityMask, ...],
    orbit_direction: str,
    problems: list[str],
) -> SafeProduct:
    """Bring together what was read. Raises `ProductError` where no band is there."""
    missing = tuple(band for band in LEVEL_BANDS[product.level] if band not in band_files)
    if len(missing) == len(LEVEL_BANDS[product.level]):
        raise ProductError(f"{product.id}: none of its bands is there. Get the product again.")
    if missing:
        problems = [*problems, f"missing: {', '.join(missing)}"]
    if product.level == "L2A" and "SCL" not in band_files:
        problems = [*problems, "missing: SCL, without which clouds can't be told"]
    if off_native := [
        f"{name} at {file.resolution} m" for name, file in band_files.items() if file.resolution != NATIVE[name]
    ]:
        problems = [*problems, f"not at their native pixel size: {', '.join(off_native)}"]
    if product.baseline in _BASELINES_WITHOUT_AGE:
        problems = [
            *problems,
            f"baseline {product.baseline} says nothing about its age: any numbered one is preferred to it",
        ]
    read_by = [product.baseline, product.generation_time, offsets, nodata]
    content = digest([*read_by, {name: file.state for name, file in band_files.items()}])
    return SafeProduct(
        product=product.model_copy(update={"content": content}),
        assets={
            name: Asset(
                href=files.gdal(file.path),
                # 0 % is a probability.
                nodata=None if name == "CLD" else 0 if name == "SCL" else nodata,
                offset=offsets.get(name, 0),
                offset_from=offset_from if name in BANDS else "a mask has none",
                gdal_env=dict(files.gdal_env),
            )
            for name, file in band_files.items()
        },
        files=files,
        paths={name: file.path for name, file in band_files.items()},
        resolutions={name: file.resolution for name, file in band_files.items()},
        missing=missing,
        offsets=offsets,
        offset_from=offset_from,
        quantification=QUANTIFICATION,
        tile=tile,
        masks=masks,
        orbit_direction=orbit_direction,
        problems=tuple(problems),
    )  # fmt: skip


def _root_of_archive(archive: ZipFiles) -> str:
    entries = archive.list()
    if any(_PRODUCT_FILE.fullmatch(entry.name) for entry in entries):
        return ""
    folders = [entry.name for entry in entries if entry.is_folder]
    roots = [name for name in folders if any(_PRODUCT_FILE.fullmatch(entry.name) for entry in archive.list(name))]
    if len(roots) == 1:
        return roots[0]
    if any(entry.name.lower().endswith(".zip") for entry in entries):
        raise ProductError(f"{archive.address} holds another archive, which isn't entered. Unpack the outer one.")
    raise ProductError(
        f"{archive.address} holds {len(roots) or 'no'} SAFE product{'s' if len(roots) > 1 else ''}, one is needed. "
        "Get it again, or pack each product by itself."
    )


def _root_and_granule(tree: Files, inside: str, path: str) -> tuple[str, str]:
    if name_of(parent(inside)) == "GRANULE":
        return parent(parent(inside)), inside
    names = _granule_names(tree, inside, name_of(path) or name_of(tree.address))
    if len(names) > 1:
        raise ProductError(
            f"{path} has {len(names)} granules: {', '.join(names)}. Name one, as {path}/GRANULE/{names[0]}."
        )
    return inside, join(inside, "GRANULE", names[0])


def _granule_names(tree: Files, root: str, shown: str) -> list[str]:
    try:
        names = [entry.name for entry in tree.list(join(root, "GRANULE")) if entry.is_folder]
    except FileNotFoundError:
        names = []
    if not names:
        raise ProductError(
            f"{shown}: it has no granule: {join(root, 'GRANULE')} is missing or empty. Get the product again."
        )
    return names


def _the_file(tree: Files, folder: str, pattern: re.Pattern[str], shown: str, usual: str) -> str:
    try:
        names = [entry.name for entry in tree.list(folder) if pattern.fullmatch(entry.name)]
    except FileNotFoundError as error:
        raise ProductError(f"{shown}: there is no folder {folder}.") from error
    if not names:
        raise ProductError(f"{shown}: {join(folder, usual)} is missing. Get the product again.")
    return join(folder, names[0])


def _asset_of(file: str, folder: str) -> tuple[str, int] | None:
    """Name of the band or mask in a file, and its pixel size: by the file's name, else by the folder's (R10m), else native."""
    if file.startswith(("MSK_DETFOO", "MSK_QUALIT")):
        return None
    match = _MASK_FILE.search(file)
    if match is not None:
        name = "SCL" if match.group("band") == "SCL" else "CLD"
    else:
        match = _BAND_FILE.search(file)
        if match is None or match.group("band") not in BANDS:
            return None
        name = match.group("band")
    of_folder = re.fullmatch(r"R(\d{2})m", folder)
    return name, int(match.group("metres") or (of_folder.group(1) if of_folder else NATIVE[name]))


def _check_agreement(name: ProductName | None, metadata: ProductMetadata, tile: TileMetadata, shown: str) -> None:
    """Raise `ProductError` where name, product and granule are not of one product."""
    pairs: list[tuple[str, str, str, str, str]] = [("level", tile.file, tile.level, metadata.file, metadata.level)]
    if name is not None:
        pairs.append(("level", "its name", name.level, metadata.file, metadata.level))
        pairs.append(("platform", "its name", name.platform, metadata.file, metadata.platform))
        pairs.append(("tile", "its name", name.tile, tile.file, tile.tile))
    for what, first, one, second, other in pairs:
        if UNKNOWN not in (one, other) and one != other:
            raise ProductError(
                f"{shown}: {first} says {what} {one}, {second} says {other}: these are parts of different products. "
                "Get the product again."
            )
    if metadata.granules and not any(f"_T{tile.tile}" in granule for granule in metadata.granules):
        raise ProductError(f"{shown}: {metadata.file} lists no granule of tile {tile.tile}, of which {tile.file} is.")


def _footprint(metadata: ProductMetadata, tile: TileMetadata, shown: str) -> BaseGeometry:
    """Footprint of the granule: the product's where it has one granule, else the part of it that lies in the tile."""
    if len(metadata.granules) < 2:
        return metadata.footprint
    part = metadata.footprint.buffer(0).intersection(to_lonlat(box(*tile.bounds), tile.epsg))
    if part.is_empty:
        raise ProductError(f"{shown}: granule {tile.granule} lies outside of the footprint in {metadata.file}.")
    return part
