"""Writes simulated products as SAFE folders that are laid out, named and documented as real ones, and say that they are synthetic.

The rasters have a tile's full size whatever part of it was simulated: anything smaller is no granule, and what is 0 throughout costs
next to nothing. Written are the bands at their own pixel size (L2A's copies at coarser ones are not), SCL, AOT, WVP, the probabilities of
cloud and snow, a preview, and the quality masks in the form of the baseline. The same arguments make the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.features import shapes
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from catalog.antimeridian import unbroken
from catalog.errors import StoreError
from catalog.grid import PIXEL, to_lonlat
from catalog.products import BANDS, LEVEL_BANDS, SATURATED
from catalog.storage.whole import folder_aside
from processors.simulation.instrument.instrument import OFFSET
from processors.simulation.mission.granule import Content, Granule
from processors.simulation.mission.scene import Scene
from processors.simulation.products import safe_documents as documents
from processors.simulation.products.staging import Staging, staging_in, to_jp2

_DETECTOR = 6
_QUALITY_LAYERS = 8
_NO_DATA_LAYER, _SATURATED_LAYER = 5, 7
_OLD_MASKS = ("DEFECT", "NODATA", "SATURA", "TECQUA")
_PREVIEW = 320
"""Pixels of the preview, m."""

Mask = tuple[str, str | None, str]


class _Tile:
    """Rasters that one pass over the scenes leaves in the staging, for all levels."""

    def __init__(self, staging: Staging, granules: Sequence[Granule]) -> None:
        self.staging = staging
        self._levels = [granule.level for granule in granules]
        self._quality = granules[0].shifted
        self.classes: Counter[int] = Counter()
        self.saturated: set[str] = set()
        self.masks: dict[tuple[str, str | int], Path] = {}
        """Rasters that were made already, by kind and band or pixel size."""
        size = granules[0].edge * PIXEL // 60
        self.seen = np.zeros((size, size), np.uint8)
        self.cloud = np.zeros((3, size, size), np.uint8)
        self.preview = np.zeros((3, size, size), np.uint8)
        self.aerosol = self.vapour = 0.0
        self._window = granules[0].window

    def add(self, scene: Scene) -> None:
        window, stage = scene.window, self.staging
        for level in self._levels:
            numbers = scene.l1c if level == "L1C" else scene.l2a
            for band in LEVEL_BANDS[level]:
                stage.write(f"{level}_{band}", BANDS[band].resolution, window, numbers[band])
                if (numbers[band] == SATURATED).any():
                    self.saturated.add(band)
        stage.write("SCL_20", 20, window, scene.scl)
        stage.write("CLDPRB_20", 20, window, scene.cloud_probability)
        snow = np.where(scene.scl == 11, 100, 0).astype(np.uint8)
        stage.write("SNWPRB_20", 20, window, snow)
        for name, values in (("SCL", scene.scl), ("CLDPRB", scene.cloud_probability), ("SNWPRB", snow)):
            stage.write(f"{name}_60", 60, window, values[1::3, 1::3])
        reference = scene.l1c if "L1C" in self._levels else scene.l2a
        shift = OFFSET if self._quality else 0
        colour = np.stack([_colour(reference[band], shift) for band in ("B04", "B03", "B02")])
        stage.write("TCI", 10, window, colour)
        for metres, band in ((10, "B02"), (20, "B05"), (60, "B01")):
            seen = reference[band] > 0
            if "L2A" in self._levels:
                for name, value in (("AOT", scene.aerosol), ("WVP", scene.vapour)):
                    stage.write(
                        f"{name}_{metres}", metres, window, np.where(seen, round(value * 1000), 0).astype(np.uint16)
                    )
            stage.write(f"DETFOO_{metres}", metres, window, np.where(seen, _DETECTOR, 0).astype(np.uint8))
            if self._quality:
                layers = np.zeros((_QUALITY_LAYERS, *seen.shape), np.uint8)
                layers[_NO_DATA_LAYER] = ~seen
                stage.write(f"QUALIT_{metres}", metres, window, layers)
        rows, columns = self._window.slices(window)
        part = slice(rows.start // 6, rows.stop // 6), slice(columns.start // 6, columns.stop // 6)
        coarse = scene.scl[1::3, 1::3]
        self.seen[part] = reference["B01"] > 0
        self.cloud[:, *part] = np.isin(coarse, (8, 9)), coarse == 10, coarse == 11
        self.preview[:, *part] = colour[:, 3::6, 3::6]
        for code, count in zip(*np.unique(scene.scl, return_counts=True), strict=True):
            self.classes[int(code)] += int(count)
        self.aerosol, self.vapour = scene.aerosol, scene.vapour

    def content(self, granule: Granule) -> Content:
        """Statistics of the granule. Raises `StoreError` where nothing was seen."""
        seen = sum(count for code, count in self.classes.items() if code)
        if not seen or not self.seen.any():
            raise StoreError(f"{granule.name}: nothing of the tile was seen, there is no product to write.")
        outline = self.polygons(self.seen, granule).convex_hull
        ring = unbroken(to_lonlat(outline, granule.epsg)).exterior.coords  # type: ignore[attr-defined]
        total = (granule.edge // 2) ** 2
        return Content(
            classes={code: 100 * count / seen for code, count in self.classes.items() if code},
            nodata=100 * (total - seen) / total,
            footprint=tuple((float(x) - 360 * (x > 180), float(y)) for x, y, *_ in ring),
            aerosol=self.aerosol,
            vapour=self.vapour,
        )

    def polygons(self, mask: npt.NDArray[np.uint8], granule: Granule) -> BaseGeometry:
        """Polygons of a mask at 60 m, in the zone's metres."""
        west, north = granule.upper_left
        found = shapes(mask, mask > 0, transform=Affine(60, 0, west, 0, -60, north))
        return unary_union([shape(geometry) for geometry, _ in found])


def write_safe(archive: Path, scenes: Iterable[Scene], granules: Sequence[Granule]) -> list[Path]:
    """Write one granule's products, of one or both levels, into a folder; returns the ``.SAFE`` folders, in the order of ``granules``.

    ``scenes``: windows of the tile that don't overlap, aligned to pixels of 60 m, e.g. one patch, or all blocks of a tile one after the
    other; those parts of them that lie beyond the tile must not be there. Each product appears under its name when it is whole.
    One of the same name is left as it is: same name, same bytes. Raises `StoreError` where nothing was seen or a file can't be written.
    """
    targets = [safe_path(archive, granule) for granule in granules]
    if all(target.is_dir() for target in targets):
        return targets
    with staging_in(archive, granules[0].window) as staging:
        tile = _Tile(staging, granules)
        for scene in scenes:
            tile.add(scene)
        staging.close()
        for granule, target in zip(granules, targets, strict=True):
            if not target.is_dir():
                with folder_aside(target, "keep") as folder:
                    _write_product(folder, granule, tile)
    return targets


def safe_path(archive: Path, granule: Granule) -> Path:
    """Folder of a product that `write_safe` wrote."""
    return archive / f"{granule.name}.SAFE"


def _write_product(root: Path, granule: Granule, tile: _Tile) -> None:
    content = tile.content(granule)
    inside = root / "GRANULE" / granule.folder
    images = _images(inside, granule, tile)
    masks = [
        (kind, band, f"GRANULE/{granule.folder}/QI_DATA/{name}")
        for kind, band, name in _masks(inside / "QI_DATA", granule, tile)
    ]
    _preview(inside / "QI_DATA" / f"{granule.stem}_PVI.jp2", granule, tile)
    strip = root / "DATASTRIP" / granule.datastrip_folder
    for path, text in (
        (root / f"MTD_MSI{granule.level}.xml", documents.product_document(granule, content, images)),
        (root / "INSPIRE.xml", documents.inspire_document(granule, content)),
        (inside / "MTD_TL.xml", documents.tile_document(granule, content, masks)),
        (strip / "MTD_DS.xml", documents.datastrip_document(granule)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    files = sorted(path for path in root.rglob("*") if path.is_file())
    listed = [(path.relative_to(root).as_posix(), path.stat().st_size, _digest(path)) for path in files]
    (root / "manifest.safe").write_text(documents.manifest(granule, listed), encoding="utf-8")


def _images(inside: Path, granule: Granule, tile: _Tile) -> list[str]:
    wanted = [(f"{granule.level}_{band}", band, BANDS[band].resolution) for band in LEVEL_BANDS[granule.level]]
    if granule.level == "L2A":
        wanted += [("SCL_20", "SCL", 20), ("SCL_60", "SCL", 60)]
        wanted += [(f"{name}_{metres}", name, metres) for name in ("AOT", "WVP") for metres in (10, 20, 60)]
    wanted.append(("TCI", "TCI", 10))
    listed = []
    for staged, name, metres in wanted:
        path = granule.image(name, metres)
        to_jp2(tile.staging.path(staged), inside / f"{path}.jp2")
        listed.append(f"GRANULE/{granule.folder}/{path}")
    return listed


def _masks(folder: Path, granule: Granule, tile: _Tile) -> list[Mask]:
    """Write the quality masks; returns kind, band and file name of each."""
    folder.mkdir(parents=True, exist_ok=True)
    made = _raster_masks(folder, granule, tile) if granule.shifted else _polygon_masks(folder, granule, tile)
    if granule.level == "L2A":
        for kind in ("CLDPRB", "SNWPRB"):
            for metres in (20, 60):
                name = f"MSK_{kind}_{metres}m.jp2"
                to_jp2(tile.staging.path(f"{kind}_{metres}"), folder / name)
                made.append((kind, None, name))
    return made


def _raster_masks(folder: Path, granule: Granule, tile: _Tile) -> list[Mask]:
    """Encode each mask once: all levels have the same, and bands of one pixel size saw the same ground."""
    made: list[Mask] = []
    for kind in ("DETFOO", "QUALIT"):
        for band in BANDS:
            metres = BANDS[band].resolution
            target = folder / f"MSK_{kind}_{band}.jp2"
            made.append((kind, band, target.name))
            own = kind == "QUALIT" and band in tile.saturated
            key = kind, band if own else metres
            if key in tile.masks:
                shutil.copyfile(tile.masks[key], target)
                continue
            staged = tile.staging.path(f"{kind}_{metres}")
            to_jp2(_with_saturation(tile.staging, staged, granule, band) if own else staged, target)
            # The product may have its name and place before the next one is made.
            tile.masks[key] = tile.staging.path(f"{kind}_{key[1]}").with_suffix(".jp2")
            shutil.copyfile(target, tile.masks[key])
    if ("CLASSI", 60) not in tile.masks:
        tile.staging.write("CLASSI", 60, granule.window, tile.cloud)
        tile.staging.close()
        tile.masks["CLASSI", 60] = tile.staging.path("CLASSI").with_suffix(".jp2")
        to_jp2(tile.staging.path("CLASSI"), tile.masks["CLASSI", 60])
    shutil.copyfile(tile.masks["CLASSI", 60], folder / "MSK_CLASSI_B00.jp2")
    made.append(("CLASSI", None, "MSK_CLASSI_B00.jp2"))
    return made


def _with_saturation(staging: Staging, quality: Path, granule: Granule, band: str) -> Path:
    path = staging.path(f"QUALIT_{band}")
    shutil.copyfile(quality, path)
    with rasterio.open(staging.path(f"{granule.level}_{band}")) as numbers, rasterio.open(path, "r+") as file:
        for _, part in numbers.block_windows(1):
            saturated = numbers.read(1, window=part) == SATURATED
            if saturated.any():
                file.write(saturated.astype(np.uint8), _SATURATED_LAYER + 1, window=part)
    return path


def _polygon_masks(folder: Path, granule: Granule, tile: _Tile) -> list[Mask]:
    made: list[Mask] = []
    outline = _posts(tile.polygons(tile.seen, granule).convex_hull)
    for band in BANDS:
        for kind in ("DETFOO", *_OLD_MASKS):
            rings = {f"detector_footprint-{band}-{_DETECTOR:02d}-0": outline} if kind == "DETFOO" else {}
            made.append((kind, band, f"MSK_{kind}_{band}.gml"))
            (folder / made[-1][2]).write_text(documents.mask_document(granule, kind, band, rings), encoding="utf-8")
    opaque = tile.polygons(tile.cloud[0], granule)
    rings = {
        f"OPAQUE.{number}": _posts(part)
        for number, part in enumerate(getattr(opaque, "geoms", [opaque]))
        if not part.is_empty
    }
    made.append(("CLOUDS", None, "MSK_CLOUDS_B00.gml"))
    (folder / "MSK_CLOUDS_B00.gml").write_text(
        documents.mask_document(granule, "CLOUDS", "B00", rings), encoding="utf-8"
    )
    return made


def _colour(numbers: npt.NDArray[np.uint16], shift: int) -> npt.NDArray[np.uint8]:
    """Colours of the true colour picture: reflectance up to 0.35, 0 where nothing was seen."""
    value = (numbers.astype(np.float32) - shift) * np.float32(255 / 3500)
    return np.where(numbers > 0, np.clip(value, 1, 255), 0).astype(np.uint8)


def _posts(polygon: BaseGeometry) -> str:
    return " ".join(f"{x:g} {y:.10g}" for x, y, *_ in polygon.exterior.coords)  # type: ignore[attr-defined]


def _preview(path: Path, granule: Granule, tile: _Tile) -> None:
    size = max(1, granule.edge * PIXEL // _PREVIEW)
    step = np.minimum((np.arange(size) + 0.5) * _PREVIEW / 60, tile.seen.shape[0] - 1).astype(int)
    staged = tile.staging.path(f"{granule.level}_PVI")
    west, north = granule.upper_left
    with rasterio.open(
        staged, "w", driver="GTiff", width=size, height=size, count=3, dtype=np.uint8,
        crs=f"EPSG:{granule.epsg}", transform=Affine(_PREVIEW, 0, west, 0, -_PREVIEW, north),
    ) as file:  # fmt: skip
        file.write(tile.preview[:, step][:, :, step])
    to_jp2(staged, path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha3_256).hexdigest().upper()
