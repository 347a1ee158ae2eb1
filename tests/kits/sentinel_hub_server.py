"""A small Sentinel Hub on this machine: tokens, catalogue search and Process API over synthetic scenes.

It runs the script that it is sent in a JavaScript engine, on numbers that name scene and band, and so learns what the script makes of
which samples; the pixels themselves are then picked by numpy. Bands and units are checked by the tables of `sentinelhub`.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import dukpy
import numpy as np
from affine import Affine
from pyproj import Transformer
from rasterio.io import MemoryFile
from sentinelhub.data_collections_bands import Bands, MetaBands
from shapely.geometry import box, mapping, shape

from catalog.grid import PIXEL, Window, to_lonlat
from catalog.storage.credentials import Credentials, SentinelHubAccess

CLIENT, SECRET = "client-4711", "the-secret-of-the-client"
COLLECTIONS = {
    "sentinel-2-l1c": {band.name: band for band in (*Bands.SENTINEL2_L1C, *MetaBands.SENTINEL2_L1C)},
    "sentinel-2-l2a": {band.name: band for band in (*Bands.SENTINEL2_L2A, *MetaBands.SENTINEL2_L2A)},
}


@dataclass
class Scene:
    """A synthetic product: raw digital numbers over a window of its zone, in any resolution that divides it."""

    id: str
    time: datetime
    window: Window
    bands: Mapping[str, Any]
    """Raw digital numbers (H, W), or one number everywhere. What isn't named is 1."""
    mask: Any = 1
    """`dataMask` (H, W)."""
    offset: int = 0
    """What harmonising adds."""
    path: str = ""
    """Where the archive keeps the tile; by default as on AWS."""
    cloud_cover: float = 12.5

    def __post_init__(self) -> None:
        tile = self.id.split("_T", 1)[1][:5]
        if not self.path:
            day = self.time
            self.path = (
                f"s3://sentinel-s2/tiles/{int(tile[:2])}/{tile[2]}/{tile[3:]}/{day.year}/{day.month}/{day.day}/0"
            )

    @property
    def collection(self) -> str:
        return "sentinel-2-l1c" if "MSIL1C" in self.id else "sentinel-2-l2a"

    @property
    def footprint(self) -> Any:
        return to_lonlat(box(*self.window.bounds), self.window.epsg)

    def item(self) -> dict[str, Any]:
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": self.id,
            "collection": self.collection,
            "geometry": mapping(self.footprint),
            "bbox": list(self.footprint.bounds),
            "properties": {
                "datetime": f"{self.time:%Y-%m-%dT%H:%M:%SZ}",
                "platform": f"sentinel-2{self.id[2].lower()}",
                "constellation": "sentinel-2",
                "instruments": ["msi"],
                "eo:cloud_cover": self.cloud_cover,
                "proj:epsg": self.window.epsg,
                "cropline:synthetic": True,
            },
            "assets": {"data": {"href": self.path, "type": "inode/directory"}},
            "links": [],
        }

    def sampled(self, name: str, x: np.ndarray, y: np.ndarray, harmonised: bool) -> np.ndarray:
        """(H, W) of a band at map coordinates of the scene's zone, nearest; 0 outside."""
        row = np.floor(self.window.top - y / PIXEL).astype(int)
        column = np.floor(x / PIXEL - self.window.left).astype(int)
        inside = (row >= 0) & (row < self.window.height) & (column >= 0) & (column < self.window.width)
        raw = np.asarray(self.mask if name == "dataMask" else self.bands.get(name, 1))
        if raw.ndim == 2:
            step = self.window.height // raw.shape[0]
            raw = raw[np.where(inside, row, 0) // step, np.where(inside, column, 0) // step]
        values = np.where(inside, raw, 0).astype(np.int64)
        if name.startswith("B") and harmonised:
            values = np.maximum(values + self.offset, 0)
        return values


@dataclass
class Fault:
    """What goes wrong with the next request to an address."""

    address: str
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    """The connection ends in the middle of the body."""
    cut: int | None = None
    """A whole answer with a raster of so many bytes."""


class SentinelHub(ThreadingHTTPServer):
    """The service. `asked` lists (address, body) of all requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scenes: list[Scene] = []
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, Any]] = []
        self.tokens: set[str] = set()
        self.issued = 0
        self.page = 100
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def credentials(self) -> Credentials:
        access = SentinelHubAccess(
            client_id=CLIENT, client_secret=SECRET, base_url=self.url, token_url=f"{self.url}/oauth/token"
        )
        return Credentials(sentinel_hub=access)

    def requests(self, address: str) -> list[Any]:
        return [body for asked, body in self.asked if asked.endswith(address)]

    def fault(self, address: str) -> Fault | None:
        with self.lock:
            found = next((fault for fault in self.faults if address.endswith(fault.address)), None)
            if found is not None:
                self.faults.remove(found)
        return found

    def search(self, asked: dict[str, Any]) -> dict[str, Any]:
        start, end = (datetime.fromisoformat(text) for text in asked["datetime"].split("/"))
        place = box(*asked["bbox"])
        found = [
            scene.item()
            for scene in sorted(self.scenes, key=lambda scene: scene.time, reverse=True)
            if scene.collection in asked["collections"]
            and start <= scene.time <= end
            and shape(scene.item()["geometry"]).intersects(place)
        ]
        first, limit = int(asked.get("next", 0)), min(asked["limit"], self.page)
        context = {"limit": limit, "returned": len(found[first : first + limit])}
        if first + limit < len(found):
            context["next"] = first + limit
        return {"type": "FeatureCollection", "features": found[first : first + limit], "context": context}

    def process(self, asked: dict[str, Any]) -> bytes:
        (data,), bounds, output = asked["input"]["data"], asked["input"]["bounds"], asked["output"]
        (response,) = output["responses"]
        if response != {"identifier": "default", "format": {"type": "image/tiff"}}:
            raise ValueError(f"unknown response {response}")
        width, height = output["width"], output["height"]
        if max(width, height) > 2500:
            raise ValueError(f"{width} x {height}: the limit is 2500 pixels")
        if set(data["processing"]) - {"upsampling", "downsampling", "harmonizeValues"}:
            raise ValueError(f"unknown processing {data['processing']}")
        if data["processing"].get("upsampling", "NEAREST") != "NEAREST":
            raise ValueError("only NEAREST is played here")
        epsg = int(bounds["properties"]["crs"].rsplit("/", 1)[-1])
        scenes = self._scenes(data, epsg, bounds["bbox"])
        names, scenes, picks = _understood(asked["evalscript"], data["type"], scenes)
        west, south, east, north = bounds["bbox"]
        transform = Affine((east - west) / width, 0, west, 0, -(north - south) / height, north)
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        x, y = transform.a * columns + west, transform.e * rows + north
        harmonised = data["processing"].get("harmonizeValues", True)
        values, masks = [], []
        for scene in scenes:
            there = (x, y)
            if scene.window.epsg != epsg:
                there = Transformer.from_crs(epsg, scene.window.epsg, always_xy=True).transform(x, y)
            values.append([scene.sampled(name, *there, harmonised) for name in names])
            masks.append(scene.sampled("dataMask", *there, harmonised))
        result = np.zeros((len(next(iter(picks.values()))), height, width), np.uint16)
        for seen, pick in picks.items():
            here = np.ones((height, width), bool)
            for mask, wanted in zip(masks, seen, strict=True):
                here &= mask == wanted
            for channel, source in enumerate(pick):
                if source is not None:
                    result[channel][here] = np.clip(values[source[0]][source[1]], 0, 65535)[here]
        return tiff(result, epsg, transform)

    def _scenes(self, data: dict[str, Any], epsg: int, bbox: list[float]) -> list[Scene]:
        """What meets place and time, the latest first."""
        span = data["dataFilter"]["timeRange"]
        start, end = datetime.fromisoformat(span["from"]), datetime.fromisoformat(span["to"])
        place = to_lonlat(box(*bbox), epsg)
        found = [
            scene
            for scene in self.scenes
            if scene.collection == data["type"] and start <= scene.time <= end and scene.footprint.intersects(place)
        ]
        return sorted(found, key=lambda scene: scene.time, reverse=True)


Pick = list[tuple[int, int] | None]


def _understood(
    script: str, collection: str, scenes: list[Scene]
) -> tuple[list[str], list[Scene], dict[tuple[int, ...], Pick]]:
    """Band names, the scenes that the script keeps, and where each output comes from, by the scenes' masks."""
    if not script.startswith("//VERSION=3\n"):
        raise ValueError("no version")
    engine = dukpy.JSInterpreter()
    engine.evaljs(script)
    made = engine.evaljs("setup()")
    (given,), output = made["input"], made["output"]
    names, units = given["bands"], given["units"]
    if made["mosaicking"] != "TILE" or output["sampleType"] != "UINT16" or output["id"] != "default":
        raise ValueError(f"not played here: {made}")
    for name, unit in zip(names, units, strict=True):
        if unit not in [known.value for known in COLLECTIONS[collection][name].units]:
            raise ValueError(f"{name} has no unit {unit}")
    tiles = [{"dataPath": scene.path, "date": scene.time.isoformat(), "at": at} for at, scene in enumerate(scenes)]
    kept = engine.evaljs("preProcessScenes({scenes: {tiles: dukpy.tiles}}).scenes.tiles", tiles=tiles)
    scenes = [scenes[tile["at"]] for tile in kept]
    picks = {}
    for seen in itertools.product((0, 1), repeat=len(scenes)):
        # 1000 * (scene + 1) + band: a number that says where it comes from
        samples = [
            {name: 1000 * (at + 1) + number for number, name in enumerate(names)} | {"dataMask": mask}
            for at, mask in enumerate(seen)
        ]
        values = engine.evaljs("evaluatePixel(dukpy.samples)", samples=samples)
        if len(values) != output["bands"]:
            raise ValueError(f"{len(values)} values instead of {output['bands']}")
        first = next((at for at, mask in enumerate(seen) if mask), 0)
        mask_at = names.index("dataMask")
        picks[seen] = [
            (value // 1000 - 1, value % 1000) if value >= 1000 else (first, mask_at) if value == 1 else None
            for value in values
        ]
    return names, scenes, picks


def tiff(values: np.ndarray, epsg: int, transform: Affine) -> bytes:
    count, height, width = values.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=count, height=height, width=width, dtype="uint16", crs=f"EPSG:{epsg}",
            transform=transform, compress="deflate", zlevel=1,
        ) as file:  # fmt: skip
            file.write(values)
        return bytes(memory.read())


class _Handler(BaseHTTPRequestHandler):
    server: SentinelHub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = self.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
        body = {key: value[0] for key, value in parse_qs(text).items()} if form else json.loads(text)
        with self.server.lock:
            self.server.asked.append((self.path, body))
        fault = self.server.fault(self.path) or Fault(self.path)
        if fault.status != 200:
            self._answer(fault.body if fault.body is not None else {}, fault.status, fault)
        elif self.path == "/oauth/token":
            self._token(body, fault)
        elif self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.tokens:
            self._answer({"error": {"status": 401, "message": "You are not authorized!"}}, 401, fault)
        elif self.path == "/api/v1/catalog/1.0.0/search":
            self._answer(self.server.search(body) if fault.body is None else fault.body, 200, fault)
        elif self.path == "/api/v1/process":
            try:
                self._answer(self.server.process(body)[: fault.cut], 200, fault)
            except (ValueError, KeyError, dukpy.JSRuntimeError) as error:
                self._answer({"error": {"status": 400, "message": f"{type(error).__name__}: {error}"}}, 400, fault)
        else:
            self._answer({"error": "nothing here"}, 404, fault)

    def _token(self, body: dict[str, str], fault: Fault) -> None:
        if (body["client_id"], body["client_secret"]) != (CLIENT, SECRET) or body["grant_type"] != "client_credentials":
            self._answer({"error": "invalid_client", "error_description": "Invalid client credentials"}, 401, fault)
            return
        with self.server.lock:
            self.server.issued += 1
            token = f"token-{self.server.issued}-of-the-client"
            self.server.tokens.add(token)
        self._answer({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}, 200, fault)

    def _answer(self, value: Any, status: int, fault: Fault) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "image/tiff" if isinstance(value, bytes) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in fault.headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault.drop else body)
