"""The synthetic archive that `make demo` orders from: STAC + COG as a real one, read back by the same code.

A stand-in until the mission simulator can write products from an orbit, an atmosphere and an instrument; it is thrown away
then. Every file says that it is synthetic. The same settings make the same pixels.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from shapely.geometry import box

from catalog.area import as_geojson
from catalog.errors import RequestError, StoreError
from catalog.grid import PIXEL, to_lonlat
from catalog.mission.landscape import (
    BACKGROUND_CODE,
    BANDS,
    CROPS,
    WATER,
    Floats,
    Landscape,
    make_landscape,
    smooth_noise,
)
from catalog.products import BANDS as MSI
from catalog.products import SATURATED
from catalog.store import write_json, written_whole

VERSION = 1
"""Changes whenever the same settings make other pixels."""

EPSG, LEFT, TOP, TILE = 32632, 710_000, 4_972_000, "32TQQ"
"""North-western corner (m) of the landscape, near Ferrara in the Po plain, and the MGRS tile it lies in."""

_LATITUDE, _LONGITUDE = 44.86, 11.67
_ORBIT = 22
_NOTICE = "SYNTHETIC: made by Cropline's embedded simulation, not measured by any satellite."

# Clouds are bright and grey, darker where ice and water absorb; shadows keep the sky's blue.
_CLOUD = np.array([0.60, 0.60, 0.61, 0.62, 0.63, 0.64, 0.65, 0.65, 0.65, 0.60, 0.44, 0.33])
_SHADOW = np.array([0.62, 0.58, 0.52, 0.47, 0.46, 0.45, 0.44, 0.43, 0.42, 0.42, 0.36, 0.34])


@dataclass(frozen=True, slots=True)
class EmbeddedArchive:
    """Where the parts of an archive lie."""

    catalog: Path
    area: dict[str, Any]
    """GeoJSON polygon around all of it, longitude and latitude."""
    labels: Path
    """GeoTIFF of crop codes; 0 is unknown."""
    legend: Path
    truth: Path
    """GeoTIFF of the code of every pixel."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """One overflight."""

    time: datetime
    platform: str
    absolute_orbit: int
    clouds: float
    """Fraction of the scene."""
    swath: float
    """Fraction of the scene that the swath covers."""

    @property
    def day(self) -> float:
        return (self.time - datetime(self.time.year, 1, 1, tzinfo=UTC)).total_seconds() / 86400 + 1

    @property
    def sun(self) -> tuple[float, float]:
        """Zenith and azimuth, degrees; declination after Cooper (1969)."""
        declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + self.day) / 365)
        solar_hour = (self.day % 1) * 24 + _LONGITUDE / 15
        hour_angle, latitude = math.radians(15 * (solar_hour - 12)), math.radians(_LATITUDE)
        up = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(
            hour_angle
        )
        east = -math.cos(declination) * math.sin(hour_angle)
        north = math.cos(latitude) * math.sin(declination) - math.sin(latitude) * math.cos(declination) * math.cos(
            hour_angle
        )
        return math.degrees(math.acos(up)), math.degrees(math.atan2(east, north)) % 360


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    reflectance: Floats
    """(B, H, W), NaN off the swath."""
    classes: npt.NDArray[np.uint8]
    """Scene classification (H / 2, W / 2)."""
    cloud_cover: float
    """%."""


def make_archive(folder: Path, *, year: int = 2019, size: int = 256, seed: int = 0) -> EmbeddedArchive:
    """Write the archive of January to July of a year, unless it is there already.

    ``size``: edge of the landscape, pixels of 10 m, even, 64 to 256. Raises `RequestError` on another size, `StoreError`
    where the folder holds an archive of other settings or can't be written.
    """
    if not 64 <= size <= 256 or size % 2:
        raise RequestError(f"the embedded archive is 64 to 256 pixels wide and even, not {size}.")
    folder = folder.resolve()
    settings = {"year": year, "size": size, "seed": seed, "version": VERSION}
    corners = box(LEFT, TOP - size * PIXEL, LEFT + size * PIXEL, TOP)
    archive = EmbeddedArchive(
        catalog=folder / "catalog.json",
        area=as_geojson(to_lonlat(corners, EPSG)),
        labels=folder / "labels" / "crops.tif",
        legend=folder / "labels" / "crops.legend.csv",
        truth=folder / "labels" / "truth.tif",
    )
    if _is_there(archive.catalog, settings):
        return archive
    landscape = make_landscape(size, np.random.default_rng([seed, 0]))
    _write_labels(archive, landscape, np.random.default_rng([seed, 1]))
    write_json(folder / "area.geojson", archive.area)
    collection = folder / "sentinel-2-l2a"
    overflights = _passes(year, np.random.default_rng([seed, 2]))
    write = partial(_write_pass, collection, landscape, seed, archive.area)
    with ThreadPoolExecutor(2) as pool:
        items = [item for written in pool.map(write, count(), overflights) for item in written]
    _write_catalogue(archive.catalog, collection, items, settings)
    return archive


def _is_there(catalog: Path, settings: dict[str, int]) -> bool:
    """Whether this very archive has been written; its catalogue is written last."""
    if not catalog.exists():
        return False
    try:
        made_from = json.loads(catalog.read_bytes()).get("cropline:made_from")
    except (OSError, ValueError, AttributeError):
        made_from = None
    if made_from != settings:
        raise StoreError(f"{catalog.parent} holds another archive. Remove it, or name another folder.")
    return True


def _passes(year: int, random: np.random.Generator) -> list[_Pass]:
    """28 overflights: every five days by 2A and 2B in turn, every third one lost."""
    first = datetime(year, 1, 4, 10, 9, 3, tzinfo=UTC)
    numbers = [number for number in range(42) if number % 3 != 1]
    clouds = [*random.uniform(0, 0.04, 14), *random.uniform(0.1, 0.4, 7), *random.uniform(0.55, 0.85, 5), 1.0, 1.0]
    swaths = np.ones(len(numbers))
    swaths[len(numbers) // 2] = 0.7
    base = {"S2A": 18_478, "S2B": 9_570}
    return [
        _Pass(
            time=first + timedelta(days=5 * number, seconds=float(random.integers(0, 20))),
            platform=platform,
            absolute_orbit=base[platform] + round(143 * 5 * number / 10),
            clouds=float(cover),
            swath=float(swath),
        )
        for number, cover, swath in zip(numbers, random.permutation(clouds), swaths, strict=True)
        for platform in ("S2B" if number % 2 else "S2A",)
    ]


def _observe(landscape: Landscape, overflight: _Pass, random: np.random.Generator) -> _Scene:
    """What the instrument and the atmospheric correction make of the landscape."""
    size = landscape.kind.shape[0]
    ground = landscape.reflectance(overflight.day, wetness=float(random.uniform(0, 1)) ** 2)
    cloud, shadow = _clouds(size, overflight, random)
    factor = 1 - shadow * (1 - _SHADOW[:, None, None])
    scene = ground * factor * (1 - cloud) + cloud * _CLOUD[:, None, None] * (1 + 0.1 * smooth_noise(size, random, 5))
    # What atmospheric correction leaves: one gain for all bands, a little more in the blue.
    gain = 1 + random.normal(0, 0.02) + random.normal(0, 0.02) * np.linspace(1, 0, len(BANDS))
    scene = scene * gain[:, None, None]
    scene = scene + random.normal(0, 1, scene.shape) * (0.0015 + 0.01 * scene)
    rows, columns = np.mgrid[:size, :size]
    outside = columns + 0.25 * rows > overflight.swath * 1.25 * size
    scene = np.where(outside & (overflight.swath < 1), np.nan, scene)
    seen = ~np.isnan(scene[0])
    classes = _classify(scene, cloud, shadow, landscape.kind == WATER)
    return _Scene(np.clip(scene, 0.0005, 1.5), classes, float(100 * (cloud[seen] > 0.3).mean()))


def _clouds(size: int, overflight: _Pass, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Opacity of clouds and depth of their shadows (H, W), 0 to 1."""
    shape = smooth_noise(size, random, 16) + 0.45 * smooth_noise(size, random, 5)
    height = random.uniform(350, 800)  # low cumulus, m
    if overflight.clouds >= 1:
        return np.clip(0.85 + 0.1 * shape, 0.6, 1), np.zeros_like(shape)
    edge = np.quantile(shape, 1 - overflight.clouds)
    opacity = np.clip((shape - edge + 0.1) / 0.35, 0, 1) * (overflight.clouds > 0)
    zenith, azimuth = (math.radians(angle) for angle in overflight.sun)
    reach = height * math.tan(zenith) / PIXEL
    # Away from the sun; the noise is periodic, so clouds outside throw their shadows in.
    shift = round(reach * math.cos(azimuth)), -round(reach * math.sin(azimuth))
    shadow = np.roll(opacity, shift, axis=(0, 1)) * (1 - opacity)
    return opacity, shadow


def _classify(scene: Floats, cloud: Floats, shadow: Floats, water: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Scene classification at 20 m with the codes of Sen2Cor."""
    red, infrared = scene[BANDS.index("B04")], scene[BANDS.index("B08")]
    greenness = (infrared - red) / (infrared + red)
    classes = np.select(
        [np.isnan(red), cloud > 0.6, cloud > 0.2, shadow > 0.3, water, greenness > 0.4], [0, 9, 8, 3, 6, 4], default=5
    )
    return classes[::2, ::2].astype(np.uint8)


def _write_pass(
    collection: Path, landscape: Landscape, seed: int, footprint: dict[str, Any], number: int, overflight: _Pass
) -> list[Path]:
    """One product of an overflight; of one overflight also the version of an older baseline, before the offset."""
    scene = _observe(landscape, overflight, np.random.default_rng([seed, 3, number]))
    baselines = ("05.00", "02.11") if number == 20 else ("05.00",)
    return [_write_product(collection, overflight, scene, baseline, footprint) for baseline in baselines]


def _write_product(
    collection: Path, overflight: _Pass, scene: _Scene, baseline: str, footprint: dict[str, Any]
) -> Path:
    shifted = baseline >= "04.00"
    age = timedelta(days=1200) if shifted else timedelta(hours=5)
    suffix = "" if shifted else f"_N{baseline.replace('.', '')}"
    name = f"SYNTHETIC_{overflight.platform}_{TILE}_{overflight.time:%Y%m%dT%H%M%S}_L2A{suffix}"
    folder = collection / name
    assets: dict[str, Any] = {}
    for file, values, metres in _rasters(scene, 1000 if shifted else 0):
        _write_raster(folder / f"{file}.tif", values, metres, cloud_optimized=True)
        assets[file] = _asset(file, metres, -0.1 if shifted else 0.0)
    zenith, azimuth = overflight.sun
    start = f"{overflight.time - timedelta(minutes=9):%Y%m%dT%H%M%S}"
    generated = overflight.time + age
    properties = {
        "title": _NOTICE,
        "cropline:synthetic": True,
        "datetime": f"{overflight.time:%Y-%m-%dT%H:%M:%SZ}",
        "constellation": "sentinel-2",
        "platform": f"sentinel-{overflight.platform[1:].lower()}",
        "instruments": ["msi"],
        "processing:level": "L2A",
        "proj:code": f"EPSG:{EPSG}",
        "grid:code": f"MGRS-{TILE}",
        "sat:relative_orbit": _ORBIT,
        "eo:cloud_cover": round(scene.cloud_cover, 2),
        "s2:processing_baseline": baseline,
        "s2:datatake_id": f"G{overflight.platform}_{start}_{overflight.absolute_orbit:06d}_N{baseline}",
        "s2:datastrip_id": f"SYNTHETIC_DS_{generated:%Y%m%dT%H%M%S}_S{overflight.time:%Y%m%dT%H%M%S}_N{baseline}",
        "s2:generation_time": f"{generated:%Y-%m-%dT%H:%M:%SZ}",
        "s2:mean_solar_zenith": round(zenith, 3),
        "s2:mean_solar_azimuth": round(azimuth, 3),
    }
    west, south = np.min(footprint["coordinates"][0], axis=0)
    east, north = np.max(footprint["coordinates"][0], axis=0)
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "geometry": footprint,
        "bbox": [float(west), float(south), float(east), float(north)],
        "properties": properties,
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
        "collection": "sentinel-2-l2a",
        "assets": assets,
    }
    path = folder / f"{name}.json"
    write_json(path, item)
    return path


def _rasters(scene: _Scene, shift: int) -> Iterator[tuple[str, npt.NDArray[Any], int]]:
    """(name, numbers, pixel size in m) of every file of a product; reflectance = (number - ``shift``) x 1e-4."""
    for name, reflectance in zip(BANDS, scene.reflectance, strict=True):
        metres = MSI[name].resolution
        coarse = _averaged(reflectance, metres // PIXEL)
        numbers = np.clip(np.round(coarse * 1e4) + shift, 1, SATURATED - 1)
        yield name, np.where(np.isnan(coarse), 0, numbers).astype(np.uint16), metres
    yield "SCL", scene.classes, 20


def _averaged(values: Floats, factor: int) -> Floats:
    """Means of blocks of ``factor`` x ``factor``; the last block reaches over the edge by repeating it."""
    reach = -values.shape[0] % factor
    padded = np.pad(values, ((0, reach), (0, reach)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    means: Floats = blocks.mean(axis=(1, 3))
    return means


def _asset(name: str, metres: int, offset: float) -> dict[str, Any]:
    asset = {
        "href": f"./{name}.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "gsd": metres,
        "roles": ["data"],
    }
    if name in MSI:
        numbers = {"data_type": "uint16", "nodata": 0, "scale": 0.0001, "offset": offset, "spatial_resolution": metres}
        return {**asset, "eo:bands": [{"name": name, "common_name": MSI[name].common_name}], "raster:bands": [numbers]}
    return {**asset, "raster:bands": [{"data_type": "uint8", "nodata": 0, "spatial_resolution": metres}]}


def _write_labels(archive: EmbeddedArchive, landscape: Landscape, random: np.random.Generator) -> None:
    """Labels as farmers declare them: edges and some fields stay unknown, and so does a strip right across."""
    truth = landscape.codes()
    fields = int(landscape.field.max()) + 1
    undeclared = random.random(fields) < 0.08
    rows, columns = np.mgrid[: truth.shape[0], : truth.shape[1]]
    strip = np.abs(rows + 0.6 * columns - 0.55 * truth.shape[0]) < 0.025 * truth.shape[0]
    unknown = landscape.margin | strip | ((landscape.field >= 0) & undeclared[landscape.field])
    _write_raster(archive.truth, truth, PIXEL, cloud_optimized=False)
    _write_raster(archive.labels, np.where(unknown, 0, truth).astype(np.uint16), PIXEL, cloud_optimized=False)
    rows_of_legend: list[tuple[object, ...]] = [("source_code", "value", "name", "colour", "role")]
    rows_of_legend += [(crop.code, value, crop.name, crop.colour, "class") for value, crop in enumerate(CROPS, start=1)]
    rows_of_legend.append((BACKGROUND_CODE, 0, "not cropland", "#d9d4c7", "background"))
    with written_whole(archive.legend) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows_of_legend)


def _write_raster(path: Path, values: npt.NDArray[Any], metres: int, *, cloud_optimized: bool) -> None:
    options = {"driver": "COG", "blocksize": 128, "overviews": "NONE"} if cloud_optimized else {"driver": "GTiff"}
    with (
        written_whole(path) as temporary,
        rasterio.open(
            temporary,
            "w",
            width=values.shape[1],
            height=values.shape[0],
            count=1,
            dtype=values.dtype,
            crs=f"EPSG:{EPSG}",
            transform=Affine(metres, 0, LEFT, 0, -metres, TOP),
            nodata=0,
            compress="deflate",
            **options,
        ) as file,
    ):
        file.write(values, 1)
        file.update_tags(TIFFTAG_IMAGEDESCRIPTION=_NOTICE, synthetic="true")


def _write_catalogue(catalog: Path, collection: Path, items: list[Path], settings: dict[str, int]) -> None:
    item_links = [
        {"rel": "item", "href": f"./{item.relative_to(collection).as_posix()}", "type": "application/geo+json"}
        for item in items
    ]
    described = {"stac_version": "1.1.0", "description": _NOTICE, "cropline:synthetic": True}
    bounds = json.loads(items[0].read_bytes())["bbox"]
    write_json(
        collection / "collection.json",
        {
            "type": "Collection",
            "id": "sentinel-2-l2a",
            "title": "Synthetic Sentinel-2 L2A",
            **described,
            "license": "Apache-2.0",
            "extent": {
                "spatial": {"bbox": [bounds]},
                "temporal": {
                    "interval": [[f"{settings['year']}-01-01T00:00:00Z", f"{settings['year']}-07-31T23:59:59Z"]]
                },
            },
            "links": [{"rel": "root", "href": "../catalog.json", "type": "application/json"}, *item_links],
        },
    )
    links = [
        {"rel": "root", "href": "./catalog.json", "type": "application/json"},
        {"rel": "child", "href": "./sentinel-2-l2a/collection.json", "type": "application/json"},
    ]
    write_json(
        catalog, {"type": "Catalog", "id": "embedded", **described, "cropline:made_from": settings, "links": links}
    )
