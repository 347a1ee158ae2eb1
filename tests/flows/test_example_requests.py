"""The complete requests in docs/examples, one for each preset: accepted as they are, and answered by hand-made answers of the service."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box, mapping, shape

from catalog.legend import read_legend
from catalog.products import LEVEL_BANDS
from catalog.sources.presets import PRESETS
from catalog.sources.registry import open_source
from flows.checked_request import check_request
from flows.credentials import load_credentials
from flows.estimate import estimate_request
from flows.request import MapRequest, read_parameters
from flows.settings import Settings
from flows.stages import order_of

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
TILE = box(3.0, 50.46, 4.55, 51.44)
NAME = "S2B_MSIL2A_20240310T105839_N0510_R094_T31UES_20240310T135559"
BLOB = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/31/U/ES/2024/03/10"


def _item(name: str, properties: dict[str, Any], assets: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "sentinel-2-l2a", "geometry": mapping(TILE),
        "bbox": list(TILE.bounds), "links": [], "assets": assets,
        "properties": {"datetime": "2024-03-10T10:58:39.024000Z", "constellation": "sentinel-2", **properties},
    }  # fmt: skip


def _earth_search() -> dict[str, Any]:
    """An item of Earth Search v1, shortened."""
    where = (
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/31/U/ES/2024/3/S2B_31UES_20240310_0_L2A"
    )
    bands = {"blue": "B02", "red": "B04", "nir": "B08", "swir16": "B11", "red-jp2": "B04"}
    assets = {
        key: {
            "href": f"{where}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data", "reflectance"],
            "eo:bands": [{"name": key}],
            "raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}],
        }
        for key, band in bands.items()
    }
    assets["scl"] = {
        "href": f"{where}/SCL.tif",
        "roles": ["data"],
        "raster:bands": [{"nodata": 0, "data_type": "uint8"}],
    }
    assets["thumbnail"] = {"href": f"{where}/thumbnail.jpg", "roles": ["thumbnail"]}
    properties = {
        "platform": "sentinel-2b", "eo:cloud_cover": 12.5, "grid:code": "MGRS-31UES", "mgrs:utm_zone": 31, "mgrs:latitude_band": "U",
        "mgrs:grid_square": "ES", "s2:processing_baseline": "05.10", "s2:product_uri": f"{NAME}.SAFE",
        "earthsearch:boa_offset_applied": True,
        "view:sun_elevation": 31.9, "view:sun_azimuth": 163.1, "s2:generation_time": "2024-03-10T13:55:59.000000Z",
    }  # fmt: skip
    return _item("S2B_31UES_20240310_0_L2A", properties, assets)


def _cdse() -> dict[str, Any]:
    """An item of the Copernicus Data Space, shortened."""
    inside = f"s3://eodata/Sentinel-2/MSI/L2A_N0500/2024/03/10/{NAME}.SAFE/GRANULE/L2A_T31UES_A036613_20240310T105839/IMG_DATA"
    assets = {
        f"{band}_{metres}m": {
            "href": f"{inside}/R{metres}m/T31UES_20240310T105839_{band}_{metres}m.jp2",
            "type": "image/jp2", "roles": ["data", "reflectance"], "bands": [{"name": band}], "file:size": 123_000_000 * 100 // metres**2,
        }
        for band, metres in (("B02", 10), ("B04", 10), ("B08", 10), ("B04", 20), ("B11", 20), ("SCL", 20))
    }  # fmt: skip
    properties = {
        "platform": "sentinel-2b", "eo:cloud_cover": 12.5, "grid:code": "MGRS-31UES", "processing:version": "05.10",
        "processing:level": "L2", "product:type": "S2MSI2A", "sat:relative_orbit": 94,
        "eopf:datatake_id": "GS2B_20240310T105839_036613_N05.10",
    }  # fmt: skip
    return _item(NAME, properties, assets)


def _planetary_computer() -> dict[str, Any]:
    """An item of the Planetary Computer, shortened."""
    inside = f"{BLOB}/{NAME}.SAFE/GRANULE/L2A_T31UES_A036613_20240310T105839/IMG_DATA"
    assets = {
        band: {
            "href": f"{inside}/R{metres}m/T31UES_20240310T105839_{band}_{metres}m.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized", "roles": ["data"],
            "eo:bands": [{"name": band}], "proj:shape": [109_800 // metres] * 2,
        }
        for band, metres in (("B02", 10), ("B04", 10), ("B08", 10), ("B11", 20), ("SCL", 20))
    }  # fmt: skip
    assets["preview"] = {"href": f"{inside}/preview.tif", "roles": ["thumbnail"]}
    properties = {
        "platform": "Sentinel-2B", "eo:cloud_cover": 12.5, "s2:mgrs_tile": "31UES", "s2:processing_baseline": "05.10",
        "s2:product_uri": f"{NAME}.SAFE", "s2:product_type": "S2MSI2A", "sat:relative_orbit": 94, "s2:mean_solar_zenith": 58.1,
    }  # fmt: skip
    return _item(NAME.replace("_N0510", ""), properties, assets)


ANSWERS = {"earth-search": _earth_search, "cdse": _cdse, "planetary-computer": _planetary_computer}


class _Service(BaseHTTPRequestHandler):
    item: dict[str, Any]
    asked: list[dict[str, Any]]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        here, core = f"http://{self.headers['Host']}", "https://api.stacspec.org/v1.0.0/"
        if self.path.startswith("/collections/sentinel-2-l2a"):
            self._answer({"type": "Collection", "id": "sentinel-2-l2a", "links": []})
        elif self.path.startswith("/collections/"):
            self._answer({"code": "NotFound"}, 404)
        else:
            links = [
                {"rel": "self", "href": here},
                {"rel": "search", "href": f"{here}/search", "method": "POST", "type": "application/geo+json"},
            ]
            conforms = [f"{core}core", f"{core}item-search"]
            self._answer(
                {
                    "type": "Catalog",
                    "id": "c",
                    "stac_version": "1.0.0",
                    "description": "an API",
                    "conformsTo": conforms,
                    "links": links,
                }
            )

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer({"type": "FeatureCollection", "features": [self.item], "links": []})

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


Served = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Puts a server of this machine in the place of a preset's service. Gives the bodies of the searches."""
    servers = []

    def serve(name: str) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []
        handler = type("Handler", (_Service,), {"item": ANSWERS[name](), "asked": asked})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        scheme = PRESETS[name].address.partition(":")[0]
        local = replace(PRESETS[name], address=f"{scheme}:http://127.0.0.1:{server.server_port}")
        monkeypatch.setitem(PRESETS, name, local)
        return asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"):
        monkeypatch.setenv(name, "a-key")


def _request(name: str, folder: Path) -> tuple[MapRequest, Settings]:
    settings = Settings(store=str(folder / "store"))
    return check_request(read_parameters(EXAMPLES / f"{name}.json"), folder, settings), settings


def test_every_preset_has_a_complete_request() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.json")} >= set(PRESETS)
    assert set(ANSWERS) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_address(name: str, tmp_path: Path) -> None:
    named, _ = _request(name, tmp_path)
    assert named.source == PRESETS[name].address
    given = read_parameters(EXAMPLES / f"{name}.json") | {"source": PRESETS[name].address}
    addressed = check_request(given, tmp_path, Settings(store=str(tmp_path / "store")))
    assert addressed.digest == named.digest
    credentials = load_credentials()
    assert open_source(name, credentials).id == open_source(PRESETS[name].address, credentials).id


@pytest.mark.parametrize("name", PRESETS)
def test_the_service_is_asked_for_area_and_season_and_its_answer_is_understood(
    name: str, tmp_path: Path, served: Served
) -> None:
    asked = served(name)
    request, settings = _request(name, tmp_path)
    order = order_of(request, settings)
    (search,) = asked
    assert search["collections"] == ["sentinel-2-l2a"]
    assert search["datetime"].startswith("2024-01-01T00:00:00Z/2024-07-31")
    assert shape(search["intersects"]).intersects(request.polygon)
    (acquisition,) = order.acquisitions
    (product,) = acquisition.products
    assert (acquisition.platform, acquisition.relative_orbit, product.tile) == ("S2B", "R094", "31UES")
    assert (product.baseline, product.cloud_cover, order.synthetic) == ("05.10", 12.5, False)
    if name == "cdse":
        assert product.href == f"s3://eodata/Sentinel-2/MSI/L2A_N0500/2024/03/10/{NAME}.SAFE"
        return
    source = open_source(PRESETS[name].address)
    (found,) = source.search(request.polygon, (order.start, order.end), "L2A").products
    assets = source.assets(found)
    assert {"B02", "B04", "B08", "B11", "SCL"} == set(assets)
    assert set(assets) - {"SCL"} <= set(LEVEL_BANDS["L2A"])
    assert {asset.signed_for for asset in assets.values()} == ({""} if name == "earth-search" else {"sentinel-2-l2a"})
    assert assets["B04"].offset == (0 if name == "earth-search" else -1000)


@pytest.mark.parametrize("name", PRESETS)
def test_what_it_would_take_is_told_from_the_answer(name: str, tmp_path: Path, served: Served) -> None:
    served(name)
    request, settings = _request(name, tmp_path)
    foreseen = estimate_request(request, settings)
    assert foreseen.sized == (name == "cdse"), "its items have sizes"
    assert 0.001 < foreseen.gigabytes < 1
    assert "what the network takes is not in the minutes" in " ".join(foreseen.notes)


def test_the_legend_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (EXAMPLES.parent / "reference" / "request.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```\n(source_code,.*?)```", text, re.DOTALL)
    (tmp_path / "legend.csv").write_text(example)
    legend = read_legend(tmp_path / "legend.csv")
    assert [entry.name for entry in legend.classes] == ["Winter wheat", "Barley"]
    assert legend.background is not None
