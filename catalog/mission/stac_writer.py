"""Writes simulated products as STAC items with cloud-optimised GeoTIFFs, named as Sentinel-2's, and says that they are synthetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from shapely.geometry import box

from catalog.area import as_geojson
from catalog.grid import PIXEL, Window, to_lonlat
from catalog.mission.instrument import OFFSET
from catalog.mission.products import NOTICE, Granule, iso
from catalog.mission.scene import Scene
from catalog.products import BANDS, LEVEL_BANDS, REFLECTANCE_SCALE
from catalog.store import write_json, written_whole

_NO_PROBABILITY = 255


def write_item(archive: Path, scene: Scene, granule: Granule) -> Path:
    """Write one product over the scene's window, its item last; returns the item's path. `write_catalogue` makes it findable.

    Raises `StoreError` where a file can't be written.
    """
    folder = archive / _collection(granule.level) / granule.name
    numbers = scene.l1c if granule.level == "L1C" else scene.l2a
    assets: dict[str, Any] = {}
    for band in LEVEL_BANDS[granule.level]:
        metres = BANDS[band].resolution
        write_raster(folder / f"{band}.tif", numbers[band], scene.window, metres, nodata=0)
        described = {"scale": REFLECTANCE_SCALE, "offset": -OFFSET * REFLECTANCE_SCALE if granule.shifted else 0.0}
        assets[band] = _asset(f"{band}.tif", metres, "uint16", 0, described)
        assets[band]["eo:bands"] = [{"name": band, "common_name": BANDS[band].common_name}]
    if granule.level == "L2A":
        probability = np.where(scene.scl > 0, scene.cloud_probability, _NO_PROBABILITY).astype(np.uint8)
        for name, values, nodata in (("SCL", scene.scl, 0), ("CLD", probability, _NO_PROBABILITY)):
            write_raster(folder / f"{name}.tif", values, scene.window, 20, nodata=nodata)
            assets[name] = _asset(f"{name}.tif", 20, "uint8", nodata, {})
    path = folder / f"{granule.name}.json"
    write_json(path, _item(scene, granule, assets))
    return path


def write_catalogue(archive: Path, items: Sequence[Path], made_from: dict[str, Any]) -> Path:
    """The collections and, last, the catalogue of all items that `write_item` wrote; ``made_from``: its settings."""
    catalog = archive / "catalog.json"
    levels = sorted({path.parent.parent.name for path in items})
    described = {"stac_version": "1.1.0", "description": NOTICE, "cropline:synthetic": True}
    for level in levels:
        own = sorted(path for path in items if path.parent.parent.name == level)
        links = [
            _link("item", f"./{path.relative_to(archive / level).as_posix()}", "application/geo+json") for path in own
        ]
        write_json(
            archive / level / "collection.json",
            {
                "type": "Collection",
                "id": level,
                "title": f"Synthetic {level}",
                **described,
                "license": "Apache-2.0",
                "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
                "links": [_link("root", "../catalog.json"), *links],
            },
        )
    links = [_link("root", "./catalog.json"), *(_link("child", f"./{level}/collection.json") for level in levels)]
    write_json(
        catalog, {"type": "Catalog", "id": "mission", **described, "cropline:made_from": made_from, "links": links}
    )
    return catalog


def write_raster(path: Path, values: npt.NDArray[Any], window: Window, metres: int, *, nodata: int | None) -> None:
    """(h, w) over a window, in pixels of a size in m, as a COG that says that it is synthetic; whole or not at all."""
    west, _, _, north = window.bounds
    with (
        written_whole(path) as temporary,
        rasterio.open(
            temporary, "w", driver="COG", width=values.shape[1], height=values.shape[0], count=1, dtype=values.dtype,
            crs=f"EPSG:{window.epsg}", transform=Affine(metres, 0, west, 0, -metres, north), nodata=nodata,
            compress="deflate", blocksize=256, overviews="NONE",
        ) as file,
    ):  # fmt: skip
        file.write(values, 1)
        file.update_tags(TIFFTAG_IMAGEDESCRIPTION=NOTICE, synthetic="true")


def joined(scenes: Iterable[Scene], area: Window) -> Scene:
    """One scene of blocks that fill an area (aligned to pixels of 60 m)."""
    whole: Scene | None = None
    for scene in scenes:
        if whole is None:
            whole = _blank(scene, area)
        rows, columns = area.slices(scene.window)
        for target, source in ((whole.l1c, scene.l1c), (whole.l2a, scene.l2a)):
            for band, values in source.items():
                _put(target[band], values, rows, columns, BANDS[band].resolution // PIXEL)
        _put(whole.scl, scene.scl, rows, columns, 2)
        _put(whole.cloud_probability, scene.cloud_probability, rows, columns, 2)
        _put(whole.sky, scene.sky, rows, columns, 1)
    if whole is None:
        raise ValueError("no scenes to join")
    return whole


def _blank(like: Scene, area: Window) -> Scene:
    def bands(names: Iterable[str]) -> dict[str, npt.NDArray[np.uint16]]:
        factors = {name: BANDS[name].resolution // PIXEL for name in names}
        return {name: np.zeros((area.height // by, area.width // by), np.uint16) for name, by in factors.items()}

    half = np.zeros((area.height // 2, area.width // 2), np.uint8)
    sky = np.full(area.shape, 255, np.uint8)
    return Scene(area, bands(like.l1c), bands(like.l2a), half, half.copy(), sky, like.aerosol, like.vapour)


def _put(target: npt.NDArray[Any], values: npt.NDArray[Any], rows: slice, columns: slice, factor: int) -> None:
    target[rows.start // factor : rows.stop // factor, columns.start // factor : columns.stop // factor] = values


def _collection(level: str) -> str:
    return f"sentinel-2-{level.lower()}"


def _link(relation: str, href: str, kind: str = "application/json") -> dict[str, str]:
    return {"rel": relation, "href": href, "type": kind}


def _asset(href: str, metres: int, data_type: str, nodata: int, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "href": f"./{href}",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "gsd": metres,
        "roles": ["data"],
        "raster:bands": [{"data_type": data_type, "nodata": nodata, "spatial_resolution": metres, **more}],
    }


def _item(scene: Scene, granule: Granule, assets: dict[str, Any]) -> dict[str, Any]:
    outline = to_lonlat(box(*scene.window.bounds), scene.window.epsg)
    seen = scene.scl > 0
    cloudy = 100 * float(np.isin(scene.scl, (8, 9, 10)).sum()) / max(1, int(seen.sum()))
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": granule.name,
        "bbox": list(outline.bounds),
        "geometry": as_geojson(outline),
        "properties": {
            "title": NOTICE,
            "cropline:synthetic": True,
            "datetime": iso(granule.sensed),
            "constellation": "sentinel-2",
            "platform": f"sentinel-{granule.platform[1:].lower()}",
            "instruments": ["msi"],
            "processing:level": granule.level,
            "proj:code": f"EPSG:{scene.window.epsg}",
            "grid:code": f"MGRS-{granule.tile}",
            "sat:relative_orbit": granule.relative_orbit,
            "eo:cloud_cover": round(cloudy, 4),
            "view:sun_elevation": round(90 - granule.angles.sun_zenith, 4),
            "view:sun_azimuth": round(granule.angles.sun_azimuth, 4),
            "s2:product_uri": f"{granule.name}.SAFE",
            "s2:processing_baseline": granule.baseline,
            "s2:datatake_id": granule.datatake,
            "s2:datastrip_id": granule.datastrip,
            "s2:generation_time": iso(granule.generated),
        },
        "links": [
            _link("root", "../../catalog.json"),
            _link("parent", "../collection.json"),
            _link("collection", "../collection.json"),
        ],
        "collection": _collection(granule.level),
        "assets": assets,
    }
