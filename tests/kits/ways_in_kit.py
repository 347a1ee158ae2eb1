"""The ways in, each with good input that the generator damages: the entry functions of all parsers, called in this process.

A way is made in a folder of its own, and then fed: from a source of chance, it gives what was accepted, to be judged.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import geopandas
import mutation_kit
import numpy as np
import safe_kit
from good_input_kit import (
    AREA,
    CATALOG,
    COLLECTION,
    ITEM,
    LEGEND,
    REFERENCE,
    SHIPPED,
    TLE,
    WINDOW,
    labels_raster,
    labels_vector,
    reference_points,
)
from shapely.geometry import box

from catalog.area import parse_area, parse_geometry
from catalog.area_file import area_value
from catalog.errors import RequestError
from catalog.guards.json_text import parse_model
from catalog.legend import read_legend
from catalog.orbits.elements import read_elements
from catalog.registry import Registry
from catalog.sources.one_product import read_product_at
from catalog.sources.registry import open_source
from catalog.sources.safe.masks import mask_features
from catalog.storage.credentials import Credentials
from catalog.storage.store import Store
from catalog.subscriptions import subscribed
from flows.checked_request import check_request
from flows.request import parse_parameters
from flows.settings import Settings, load_settings
from processors.delivery.deliver import deliver
from processors.delivery.delivered_map import open_delivered
from processors.evaluation.design import SampleDesign
from processors.evaluation.drawing import SampleWish, draw_sample
from processors.evaluation.evaluate import evaluate
from processors.evaluation.reference import open_reference
from processors.evaluation.sample_file import write_sample
from processors.patches.labels import open_crop_mask, open_labels
from processors.patches.places import read_places

Feed = Callable[[random.Random], list[Any]]


def _request(folder: Path) -> Feed:
    (folder / "catalog.json").write_text(json.dumps(CATALOG))
    (folder / "crops.legend.csv").write_bytes(LEGEND)
    labels_raster(folder / "crops.tif")
    labels_vector(folder / "mask.geojson")
    settings = Settings(store=str(folder / "store"))
    good = {
        "area": AREA, "year": 2019, "months": [3, 8], "level": "L2A", "source": "stac:catalog.json", "max_cloud": 90, "min_clear": 0.5,
        "min_acquisitions": 3, "offset": {"S2A_x": -1000}, "processor": "vegetation", "labels": "crops.tif", "legend": "crops.legend.csv",
        "crop_mask": "mask.geojson", "output": "out/map", "parameters": {}, "training": "quick",
    }  # fmt: skip
    forms = (
        {**good, "area": [4.1, 50.8, 4.11, 50.81]},
        {"area": {"type": "Feature", "geometry": AREA}, "year": 2019, "source": "mission:"},
    )

    def feed(rng: random.Random) -> list[Any]:
        given = parse_parameters(mutation_kit.mutated_json(rng.choice((good, good, *forms)), rng), "aoi.json")
        return [check_request(given, folder, settings)]

    return feed


def _parsed_request(folder: Path) -> Feed:
    """A request whose parameters a server parsed already."""
    (folder / "catalog.json").write_text(json.dumps(CATALOG))
    settings = Settings(store=str(folder / "store"))

    def feed(rng: random.Random) -> list[Any]:
        good = {"area": AREA, "year": 2019, "source": "stac:catalog.json", "processor": "vegetation", "output": "out"}
        given = {name: rng.choice((value, value, *mutation_kit.HOSTILE)) for name, value in good.items()}
        given[rng.choice(("area", "labels", "model", "crop_mask", "legend", "parameters", "offset", "x"))] = rng.choice(
            mutation_kit.HOSTILE
        )
        return [check_request(given, folder, settings)]

    return feed


def _geojson(folder: Path) -> Feed:
    forms = (
        {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "geometry": AREA}, {"type": "Feature", "geometry": AREA}],
        },
        {"type": "Point", "coordinates": [4.1, 50.8, 3]},
        {"type": "MultiLineString", "coordinates": [[[4, 50], [5, 51]]]},
        {"type": "GeometryCollection", "geometries": [AREA]},
    )

    def feed(rng: random.Random) -> list[Any]:
        given = parse_parameters(mutation_kit.mutated_json(rng.choice(forms), rng), "aoi.geojson")
        return [parse_geometry(given.get("area", given))]

    return feed


def _area_file(folder: Path) -> Feed:
    names = ("a.geojson", "a.gpkg", "a.shp", "a.fgb")
    files = {path: path.read_bytes() for path in (labels_vector(folder / name) for name in names)}
    sides = [path for path in folder.glob("a.*") if path.suffix in (".shx", ".prj")]
    geopandas.read_file(folder / "a.gpkg").to_parquet(folder / "a.parquet")
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (folder / "a.shp", *sides):
            archive.write(path, path.name)
    files |= {path: path.read_bytes() for path in (folder / "a.parquet", folder / "a.zip", *sides)}

    def feed(rng: random.Random) -> list[Any]:
        if rng.random() < 0.2:
            return [parse_area(area_value(mutation_kit.mutated_text("tile:31UES4520", rng)))]
        bad = rng.choice(list(files))
        is_text = bad.suffix == ".geojson" and rng.random() < 0.7
        good = files[bad]
        bad.write_bytes(
            mutation_kit.mutated_json(json.loads(good), rng) if is_text else mutation_kit.mutated_bytes(good, rng)
        )
        try:
            return [parse_area(area_value(str(folder / "a.shp" if bad in sides else bad)))]
        finally:
            bad.write_bytes(good)

    return feed


def _points(folder: Path) -> Feed:
    """A file of points in its three parts: the area, the labels, and the places whose series are wanted."""
    names = ("p.csv", "p.geojson", "p.gpkg", "p.parquet")
    x, y = (np.array(WINDOW.bounds[::2]).mean(), np.array(WINDOW.bounds[1::2]).mean())
    frame = geopandas.GeoDataFrame(
        {"id": [1, 2, 3], "crop": ["wheat", "maize", "wheat"], "radius": [20.0, None, 0.0]},
        geometry=geopandas.points_from_xy([x, x + 30, x + 900], [y, y, y]),
        crs=WINDOW.epsg,
    ).to_crs(4326)
    frame.to_file(folder / "p.geojson")
    frame.to_file(folder / "p.gpkg")
    frame.to_parquet(folder / "p.parquet")
    table = frame.assign(lon=frame.geometry.x, lat=frame.geometry.y).drop(columns="geometry")
    table.to_csv(folder / "p.csv", index=False)
    files = {folder / name: (folder / name).read_bytes() for name in names}

    def feed(rng: random.Random) -> list[Any]:
        path = rng.choice(list(files))
        good = files[path]
        if path.suffix == ".csv":
            bad = mutation_kit.mutated_table(good, rng)
        elif path.suffix == ".geojson" and rng.random() < 0.7:
            bad = mutation_kit.mutated_json(json.loads(good), rng)
        else:
            bad = mutation_kit.mutated_bytes(good, rng)
        path.write_bytes(bad)
        try:
            part = rng.random()
            if part < 0.4:
                return [parse_area(area_value(str(path), rng.choice((0.0, 30.0))))]
            if part < 0.7:
                opened = open_labels(path, windows=(WINDOW,), radius=rng.choice((0.0, 30.0)))
                return [opened.legend, opened.read(WINDOW), *opened.notes((WINDOW,))]
            read = read_places(path, box(*WINDOW.bounds), WINDOW.epsg, radius=rng.choice((0.0, 30.0)))
            return [*read.ids, *read.notes, read.longitudes]
        finally:
            path.write_bytes(good)

    return feed


def _item(folder: Path) -> Feed:
    file = folder / "item.json"

    def feed(rng: random.Random) -> list[Any]:
        file.write_bytes(mutation_kit.mutated_json(ITEM, rng))
        reading = read_product_at(str(file), Credentials())
        return [reading.product, *reading.assets.values()]

    return feed


def _catalogue(folder: Path) -> Feed:
    from datetime import UTC, datetime

    from catalog.order import make_order

    area, period = parse_area(AREA), (datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
    parts: dict[str, Any] = {"catalog.json": CATALOG, "item.json": ITEM, "collection.json": COLLECTION}

    def feed(rng: random.Random) -> list[Any]:
        bad = rng.choice(list(parts))
        for name, value in parts.items():
            (folder / name).write_bytes(
                mutation_kit.mutated_json(value, rng) if name == bad else json.dumps(value).encode()
            )
        source = open_source(f"stac:{folder}", Credentials())
        products = source.search(area, period, "L2A").products
        order = make_order(source, area, 2019, (1, 12), "L2A", 100)
        return [*products, order, *(asset for product in products for asset in source.assets(product).values())]

    return feed


def _safe(folder: Path) -> Feed:
    product = safe_kit.Kit(leave_out=("B01", "B09")).write(folder)
    documents = {path: path.read_bytes() for path in (*product.rglob("*.xml"), *product.rglob("*.gml"))}

    def feed(rng: random.Random) -> list[Any]:
        path = rng.choice(list(documents))
        path.write_bytes(mutation_kit.mutated_xml(documents[path], rng))
        try:
            reading = read_product_at(str(product), Credentials())
            masks = reading.safe.masks if reading.safe else ()
            polygons = [
                mask_features(reading.safe.files, mask, "p") for mask in masks if reading.safe and mask.form == "GML"
            ]
            return [reading.product, reading.safe and reading.safe.tile, *reading.assets.values(), *polygons]
        finally:
            path.write_bytes(documents[path])

    return feed


def _archive(folder: Path) -> Feed:
    product = safe_kit.Kit(leave_out=tuple(f"B0{number}" for number in (1, 2, 3, 5, 6, 7, 8, 9))).write(folder / "made")
    file = safe_kit.pack(product, folder / f"{product.name}.zip")
    good = file.read_bytes()
    tail = len(good) - 4000

    def feed(rng: random.Random) -> list[Any]:
        # The directory at its end is a small part of it.
        bad = (
            good[:tail] + mutation_kit.mutated_bytes(good[tail:], rng)
            if rng.random() < 0.6
            else mutation_kit.mutated_bytes(good, rng)
        )
        file.write_bytes(bad)
        reading = read_product_at(str(file), Credentials())
        return [reading.product, *reading.assets.values()]

    return feed


def _tile(folder: Path) -> Feed:
    tile = safe_kit.write_aws(folder, safe_kit.Kit(leave_out=("B01",)))
    documents = {path: path.read_bytes() for path in (*tile.glob("*.json"), tile / "metadata.xml")}

    def feed(rng: random.Random) -> list[Any]:
        path = rng.choice(list(documents))
        good = documents[path]
        path.write_bytes(
            mutation_kit.mutated_json(json.loads(good), rng)
            if path.suffix == ".json"
            else mutation_kit.mutated_xml(good, rng)
        )
        try:
            reading = read_product_at(str(tile), Credentials())
            return [reading.product, *reading.assets.values()]
        finally:
            path.write_bytes(good)

    return feed


def _legend(folder: Path) -> Feed:
    file = folder / "l.csv"

    def feed(rng: random.Random) -> list[Any]:
        file.write_bytes(mutation_kit.mutated_table(LEGEND, rng))
        return [read_legend(file)]

    return feed


def _raster_labels(folder: Path) -> Feed:
    file = labels_raster(folder / "crops.tif")
    good = file.read_bytes()

    def feed(rng: random.Random) -> list[Any]:
        head = rng.random() < 0.5
        file.write_bytes(
            mutation_kit.mutated_bytes(good[:600], rng) + good[600:] if head else mutation_kit.mutated_bytes(good, rng)
        )
        opened = open_labels(file, windows=(WINDOW,))
        open_crop_mask(file).read(WINDOW)
        return [opened.legend, opened.read(WINDOW)]

    return feed


def _vector_labels(folder: Path) -> Feed:
    names = ("l.geojson", "l.gpkg", "l.shp", "l.fgb")
    files = {path: path.read_bytes() for path in (labels_vector(folder / name) for name in names)}
    sides = {path: path.read_bytes() for path in folder.glob("l.*") if path.suffix in (".dbf", ".shx", ".prj")}

    def feed(rng: random.Random) -> list[Any]:
        file = rng.choice(list(files))
        bad = rng.choice((file, *sides)) if file.suffix == ".shp" else file
        good = files.get(bad) or sides[bad]
        is_text = file.suffix == ".geojson" and rng.random() < 0.7
        bad.write_bytes(
            mutation_kit.mutated_json(json.loads(good), rng) if is_text else mutation_kit.mutated_bytes(good, rng)
        )
        try:
            opened = open_labels(file, windows=(WINDOW,))
            open_crop_mask(file).read(WINDOW)
            return [opened.legend, opened.read(WINDOW)]
        finally:
            bad.write_bytes(good)

    return feed


def _subscription(folder: Path) -> Feed:
    store = Store(folder / "store")
    store.subscriptions.mkdir(parents=True)
    settings = Settings(store=str(folder / "store"))

    def feed(rng: random.Random) -> list[Any]:
        good = {
            "area": AREA,
            "year": 2019,
            "source": "mission:",
            "processor": "vegetation",
            "output": str(folder / "out"),
        }
        (store.subscriptions / "0123456789ab.json").write_bytes(mutation_kit.mutated_json(good, rng))
        return [check_request(parameters, folder, settings) for parameters in subscribed(store).values()]

    return feed


def _settings(folder: Path) -> Feed:
    good = {
        "STORE": str(folder), "CUBES": "s3://bucket/x", "SOURCE": "stac:x", "BASE": ".", "MAX_AREA_KM2": "2500", "WORKERS": "2",
        "DASK": "threads", "PROCESSES": "1", "INGEST_RETRIES": "2", "RETRY_DELAY": "5", "MASK": '{"l1c": {}}', "DEBUG": "0",
    }  # fmt: skip

    def feed(rng: random.Random) -> list[Any]:
        name = rng.choice(list(good))
        value = mutation_kit.mutated_text(good[name], rng).replace("\0", "")  # the system has none in its environment
        value = value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
        with mock.patch.dict(os.environ, {f"CROPLINE_{name}": value}):
            settings = load_settings()
            return [settings, settings.folder, settings.open_store(create=False).root]

    return feed


def _address(folder: Path) -> Feed:
    (folder / "catalog.json").write_text(json.dumps(CATALOG))
    good = (
        f"stac:{folder}",
        "stac:https://host:8080/api#collection",
        "safe:s3://bucket/prefix",
        f"safe:{folder}",
        "cdse:https://h/x",
        "mission:seed=3",
    )

    def feed(rng: random.Random) -> list[Any]:
        address = mutation_kit.mutated_text(rng.choice(good), rng)
        return [open_source(address, Credentials()).address]

    return feed


def _model(folder: Path) -> Feed:
    shipped = next(path for path in SHIPPED.iterdir() if path.is_dir())
    model = folder / "models" / "m"
    shutil.copytree(shipped, model)
    good = {name: (model / name).read_bytes() for name in ("config.json", "item.json")}
    registry = Registry(Store(folder))

    def feed(rng: random.Random) -> list[Any]:
        name = rng.choice(list(good))
        (model / name).write_bytes(mutation_kit.mutated_json(json.loads(good[name]), rng))
        try:
            registry.models()
            return [registry.named("m")]
        finally:
            (model / name).write_bytes(good[name])

    return feed


def _elements(folder: Path) -> Feed:
    file = folder / "x.tle"

    def feed(rng: random.Random) -> list[Any]:
        file.write_bytes(mutation_kit.mutated_bytes(TLE, rng))
        return [element.epoch for element in read_elements(file)]

    return feed


def _reference(folder: Path) -> Feed:
    """Reference data of a map, of every form, and the design of a sample."""
    import delivery_kit

    values = np.zeros(WINDOW.shape, np.uint8)
    values[:, :30], values[:20, 34:] = 1, 2
    legend = delivery_kit.LEGEND.model_copy(update={"entries": delivery_kit.LEGEND.entries[:3]})
    variable = delivery_kit.CROP_MAP.model_copy(update={"legend": legend})
    rasters = {"crop_map": delivery_kit.write_raster(folder, variable, WINDOW, values)}
    deliver(folder / "map", rasters, (variable,), delivery_kit.facts(WINDOW))
    delivered = open_delivered(folder / "map")
    design = draw_sample(delivered, SampleWish(points=30, minimum=5))
    table = folder / "r.csv"
    sample = folder / "s.gpkg"
    write_sample(sample, design, ["wheat"])
    files = {
        path: path.read_bytes()
        for path in (reference_points(folder / f"p.{kind}") for kind in ("geojson", "gpkg", "shp"))
    }
    files |= {path: path.read_bytes() for path in (labels_vector(folder / f"f.{kind}") for kind in ("geojson", "fgb"))}
    parquet = folder / "p.parquet"
    geopandas.read_file(folder / "p.gpkg").to_parquet(parquet)
    files |= {path: path.read_bytes() for path in (parquet, sample)}
    document = design.model_dump(mode="json")

    def feed(rng: random.Random) -> list[Any]:
        if rng.random() < 0.2:
            text = mutation_kit.mutated_json(document, rng)
            return [parse_model(SampleDesign, text, RequestError)]
        file = rng.choice((table, *files))
        if file == table:
            table.write_bytes(mutation_kit.mutated_table(REFERENCE, rng))
        else:
            good = files[file]
            is_text = file.suffix == ".geojson" and rng.random() < 0.7
            file.write_bytes(
                mutation_kit.mutated_json(json.loads(good), rng) if is_text else mutation_kit.mutated_bytes(good, rng)
            )
        try:
            made = evaluate(delivered, open_reference(file, WINDOW.epsg))
            return [made.overall.value, list(made.matrix), made.column, list(made.unknown_classes)]
        finally:
            if file != table:
                file.write_bytes(good)

    return feed


def _delivery(folder: Path) -> Feed:
    """The item of a delivery that is evaluated."""
    import delivery_kit

    area = delivery_kit.window(30, 20)
    rasters = {
        "crop_map": delivery_kit.write_raster(folder, delivery_kit.CROP_MAP, area, delivery_kit.crop_map_values(area))
    }
    deliver(folder / "map", rasters, (delivery_kit.CROP_MAP,), delivery_kit.facts(area))
    item = json.loads((folder / "map" / "item.json").read_text())

    def feed(rng: random.Random) -> list[Any]:
        (folder / "map" / "item.json").write_bytes(mutation_kit.mutated_json(item, rng))
        delivered = open_delivered(folder / "map")
        return [delivered.legend, delivered.identifier, delivered.title, delivered.synthetic, delivered.zone_area]

    return feed


WAYS: dict[str, Callable[[Path], Feed]] = {
    "request": _request,
    "parsed request": _parsed_request,
    "GeoJSON": _geojson,
    "area file": _area_file,
    "points": _points,
    "STAC item": _item,
    "STAC catalogue": _catalogue,
    "SAFE product": _safe,
    "zip archive": _archive,
    "AWS tile": _tile,
    "legend": _legend,
    "raster labels": _raster_labels,
    "vector labels": _vector_labels,
    "subscription": _subscription,
    "settings": _settings,
    "address": _address,
    "model": _model,
    "elements": _elements,
    "reference data": _reference,
    "delivery": _delivery,
}


def unsound(value: Any) -> Iterator[str]:
    """What nothing may be that was accepted: numbers that are not finite, or out of their range, and texts that can't be shown."""
    for path, part in _parts("", value):
        name = path.rpartition(".")[2]
        if isinstance(part, float) and not np.isfinite(part) and name not in ("nodata", "zenith_grid", "azimuth_grid"):
            yield f"{path} is {part}"
        if (
            isinstance(part, str)
            and "footprint" not in path
            and any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in part)
        ):
            yield f"{path} is {part[:80]!r}"
        if isinstance(part, int | float) and name in RANGES and not RANGES[name][0] <= part <= RANGES[name][1]:
            yield f"{path} is {part}"


RANGES = {
    **dict.fromkeys(("cloud_cover", "nodata_share", "degraded", "max_cloud"), (0, 100)),
    **dict.fromkeys(("sun_zenith", "zenith"), (0, 180)),
    **dict.fromkeys(("sun_azimuth", "azimuth"), (-360, 360)),
    "offset": (-1e4, 1e4),
    "year": (2015, 2100),
    "value": (0, 254),
    "max_dates": (1, 1e5),
    "min_clear": (0, 1),
}


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="python")
    elif hasattr(value, "__dataclass_fields__"):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    elif hasattr(value, "geom_type"):
        value = np.array(value.bounds)
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _parts(f"{path}.{key}", part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parts(path, part)
    elif isinstance(value, np.ndarray):
        yield from ((path, float(part)) for part in (value.min(), value.max()) if value.size)
    else:
        yield path, value
