"""Writes simulated products as STAC items with cloud-optimised GeoTIFFs, named as Sentinel-2's, and says that they are synthetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import box

from catalog.antimeridian import bbox
from catalog.area import as_geojson
from catalog.errors import StoreError
from catalog.grid import Window, to_lonlat
from catalog.products import BANDS, LEVEL_BANDS, REFLECTANCE_SCALE
from catalog.storage.whole import folder_aside, write_json
from processors.simulation.instrument.instrument import OFFSET
from processors.simulation.mission.granule import NOTICE, Granule, iso
from processors.simulation.mission.scene import Scene
from processors.simulation.products.staging import Staging, staging_in, to_cog

_NO_PROBABILITY = 255


def write_items(archive: Path, scenes: Iterable[Scene], granules: Sequence[Granule], window: Window) -> list[Path]:
    """Write one granule's products, of one or both levels, over a part of the tile; returns the items' paths, in the order of ``granules``.

    ``scenes``: windows in ``window`` that don't overlap, all aligned to pixels of 60 m; where there is none, there is no data. Each
    product appears when it is whole, and one that is there is left as it is: same name, same bytes. `write_catalogue` makes them
    findable. Raises `StoreError` where nothing was seen or a file can't be written.
    """
    items = [item_path(archive, granule) for granule in granules]
    if all(item.is_file() for item in items):
        return items
    with staging_in(archive, window) as staging:
        classes = Counter[int]()
        for scene in scenes:
            _stage(staging, scene, granules)
            classes.update(dict(zip(*(part.tolist() for part in np.unique_counts(scene.scl)), strict=True)))
        staging.close()
        if not classes.keys() - {0}:
            raise StoreError(f"{granules[0].name}: nothing of the tile was seen, there is no product to write.")
        for granule, item in zip(granules, items, strict=True):
            if not item.is_file():
                with folder_aside(item.parent) as folder:
                    _write_product(folder, staging, granule, window, classes)
    return items


def item_path(archive: Path, granule: Granule) -> Path:
    """Item of a product that `write_items` wrote."""
    return archive / _collection(granule.level) / granule.name / f"{granule.name}.json"


def _stage(staging: Staging, scene: Scene, granules: Sequence[Granule]) -> None:
    for granule in granules:
        numbers = scene.l1c if granule.level == "L1C" else scene.l2a
        for band in LEVEL_BANDS[granule.level]:
            staging.write(f"{granule.level}_{band}", BANDS[band].resolution, scene.window, numbers[band], 0)
    probability = np.where(scene.scl > 0, scene.cloud_probability, _NO_PROBABILITY).astype(np.uint8)
    staging.write("L2A_SCL", 20, scene.window, scene.scl, 0)
    staging.write("L2A_CLD", 20, scene.window, probability, _NO_PROBABILITY)


def _write_product(folder: Path, staging: Staging, granule: Granule, window: Window, classes: Counter[int]) -> None:
    assets: dict[str, Any] = {}
    described = {"scale": REFLECTANCE_SCALE, "offset": -OFFSET * REFLECTANCE_SCALE if granule.shifted else 0.0}
    for band in LEVEL_BANDS[granule.level]:
        assets[band] = _asset(f"{band}.tif", BANDS[band].resolution, "uint16", 0, described)
        assets[band]["eo:bands"] = [{"name": band, "common_name": BANDS[band].common_name}]
    if granule.level == "L2A":
        for name, nodata in (("SCL", 0), ("CLD", _NO_PROBABILITY)):
            assets[name] = _asset(f"{name}.tif", 20, "uint8", nodata, {})
    for name in assets:
        to_cog(staging.path(f"{granule.level}_{name}"), folder / f"{name}.tif")
    write_json(folder / f"{granule.name}.json", _item(window, classes, granule, assets))


def write_catalogue(archive: Path, items: Sequence[Path], made_from: dict[str, Any]) -> Path:
    """The collections and, last, the catalogue of all items that `write_items` wrote; ``made_from``: its settings."""
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


def _item(window: Window, classes: Counter[int], granule: Granule, assets: dict[str, Any]) -> dict[str, Any]:
    outline = to_lonlat(box(*window.bounds), window.epsg)
    cloudy = 100 * sum(classes[code] for code in (8, 9, 10)) / (classes.total() - classes[0])
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": granule.name,
        "bbox": list(bbox(outline)),
        "geometry": as_geojson(outline),
        "properties": {
            "title": NOTICE,
            "cropline:synthetic": True,
            "datetime": iso(granule.sensed),
            "constellation": "sentinel-2",
            "platform": f"sentinel-{granule.platform[1:].lower()}",
            "instruments": ["msi"],
            "processing:level": granule.level,
            "proj:code": f"EPSG:{window.epsg}",
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
