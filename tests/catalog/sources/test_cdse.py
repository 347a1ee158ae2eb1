"""The Copernicus Data Space: found through STAC, read as SAFE from a bucket. Both are served on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from shapely.geometry import box, mapping

from catalog.errors import AccessError, ProductError, RequestError, SourceError
from catalog.order import make_order
from catalog.sources.cdse import CDSE_STAC
from catalog.sources.registry import open_source
from catalog.sources.safe.product import read_product
from catalog.sources.stac.item import item_assets, item_product
from catalog.storage.credentials import Credentials, S3Access
from catalog.storage.file_trees import LocalFiles

NAME = "S2B_MSIL2A_20230823T095559_N0509_R122_T34UCF_20230823T124759"
FOLDER = f"Sentinel-2/MSI/L2A/2023/08/23/{NAME}.SAFE"
AREA = box(18.5, 54.2, 18.6, 54.3)
TIME = datetime(2023, 8, 1, tzinfo=UTC), datetime(2023, 9, 1, tzinfo=UTC)
KEYS = {"key": SecretStr("the-key"), "secret": SecretStr("the-secret")}


def item(name: str = NAME, folder: str = FOLDER) -> dict[str, Any]:
    """As the Data Space's API answers, shortened."""
    inside = f"s3://eodata/{folder}/GRANULE/L2A_T34UCF_A033759_20230823T095559"
    bands = {
        f"{band}_{metres}m": {
            "href": f"{inside}/IMG_DATA/R{metres}m/T34UCF_20230823T095559_{band}_{metres}m.jp2",
            "type": "image/jp2",
            "roles": ["data"]
            if band == "SCL"
            else ["data", "reflectance", f"sampling:{'original' if metres == 10 else 'downsampled'}"],
            "bands": [{"name": band}],
            **({} if band == "SCL" else {"raster:scale": 0.0001, "raster:offset": -0.1, "nodata": 0}),
            "storage:refs": ["cdse-s3", "creodias-s3"],
            "auth:refs": ["s3"],
            "alternate": {"https": {"href": "https://download.dataspace.copernicus.eu/odata/v1/Products(1)/$value"}},
        }
        for band, metres in (("B02", 10), ("B02", 20), ("B02", 60), ("B8A", 20), ("B8A", 60), ("SCL", 20), ("SCL", 60))
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": mapping(box(18, 54, 19.5, 55)),
        "bbox": [18, 54, 19.5, 55],
        "collection": "sentinel-2-l2a",
        "properties": {
            "datetime": "2023-08-23T09:55:59.024000Z",
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "grid:code": "MGRS-34UCF",
            "eo:cloud_cover": 12.5,
            "product:type": "S2MSI2A",
            "processing:level": "L2",
            "processing:version": "05.09",
            "processing:datetime": "2023-08-23T12:47:59.000000Z",
            "sat:relative_orbit": 122,
            "eopf:datatake_id": "GS2B_20230823T095559_033759_N05.09",
            "view:sun_elevation": 46.1,
            "view:sun_azimuth": 165.7,
        },
        "assets": {
            **bands,
            "Product": {"href": "https://download.dataspace.copernicus.eu/odata/v1/Products(1)/$value"},
            "thumbnail": {"href": "https://datahub.creodias.eu/odata/v1/Assets(1)/$value", "roles": ["thumbnail"]},
        },
        "links": [{"rel": "self", "href": f"{CDSE_STAC}/collections/sentinel-2-l2a/items/{name}"}],
    }


class Catalogue(BaseHTTPRequestHandler):
    """The answers of a STAC API that a search needs."""

    items: list[dict[str, Any]]
    asked: list[dict[str, Any]]
    fault = 0

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        here, core = f"http://{self.headers['Host']}", "https://api.stacspec.org/v1.0.0/"
        links = [
            {"rel": "self", "href": here},
            {"rel": "root", "href": here},
            {"rel": "search", "href": f"{here}/search", "method": "POST", "type": "application/geo+json"},
        ]
        self._answer(
            {
                "type": "Catalog",
                "id": "cdse",
                "stac_version": "1.1.0",
                "description": "an API",
                "conformsTo": [f"{core}core", f"{core}item-search"],
                "links": links,
            }
        )

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer({"type": "FeatureCollection", "features": self.items, "links": []})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(self.fault or 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def catalogue() -> Iterator[tuple[str, type[Catalogue]]]:
    handler = type("Handler", (Catalogue,), {"items": [item()], "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def eodata(s3_server: S3Access, s3_bucket: tuple[str, Any]) -> Iterator[Any]:
    """The file system of a store with an empty bucket `eodata`."""
    _, filesystem = s3_bucket
    filesystem.mkdir("eodata")
    yield filesystem
    filesystem.rm("eodata", recursive=True)


def test_products_are_found_through_the_catalogue(catalogue: tuple[str, type[Catalogue]]) -> None:
    address, handler = catalogue
    old = "S2A_MSIL2A_20230818T095031_N0509_R079_T34UCF_20230818T155057"
    moved = item(f"{NAME[:33]}0510{NAME[37:]}", FOLDER.replace("/L2A/", "/L2A_N0510/"))
    unnamed = item(old)
    unnamed["assets"] = {"B02_10m": {"href": "https://elsewhere/B02.jp2"}}
    strange = {**item("a-product"), "assets": {}}
    handler.items += [moved, unnamed, strange]
    source = open_source(f"cdse:{address}", Credentials(cdse=S3Access(**KEYS)))
    found = source.search(AREA, TIME, "L2A")
    assert handler.asked[0]["collections"] == ["sentinel-2-l2a"]
    assert [product.href for product in found.products] == [
        f"s3://eodata/{FOLDER}",
        f"s3://eodata/{FOLDER.replace('/L2A/', '/L2A_N0510/')}",
        f"s3://eodata/Sentinel-2/MSI/L2A/2023/08/23/{old}.SAFE",
    ]
    first = found.products[0]
    assert (first.tile, first.baseline, first.datatake) == ("34UCF", "05.09", "20230823T095559_033759")
    assert (first.platform, first.relative_orbit, first.level) == ("S2B", "R122", "L2A")
    assert [(left.product, left.reason[:14]) for left in found.left_out] == [("a-product", "not understood")]


def test_a_product_is_read_by_its_own_metadata(
    real_data: Path, catalogue: tuple[str, type[Catalogue]], s3_server: S3Access, eodata: Any
) -> None:
    local = real_data / "safe" / f"{NAME}.SAFE"
    eodata.put(str(local), f"eodata/{FOLDER}", recursive=True)
    address, _ = catalogue
    credentials = Credentials(cdse=s3_server)
    source = open_source(f"cdse:{address}", credentials)
    order = make_order(source, AREA, 2023, (8, 8), "L2A", 100)
    (product,) = order.acquisitions[0].products
    assets = open_source(order.source, credentials).assets(product)
    expected = read_product(LocalFiles(local.parent), local.name)
    assert set(assets) == set(expected.assets)
    assert len(assets) > 10
    for name, asset in assets.items():
        there = expected.assets[name]
        assert asset.href == there.href.replace(str(local), f"/vsis3/eodata/{FOLDER}")
        assert (asset.offset, asset.offset_from, asset.nodata) == (there.offset, there.offset_from, there.nodata)
        assert asset.gdal_env["AWS_S3_ENDPOINT"] == str(s3_server.endpoint).removeprefix("http://")
    assert assets["B02"].offset == -1000
    for text in (order.model_dump_json(), repr(assets), repr(source.__dict__)):
        assert "the-s3" not in text
    eodata.rm(f"eodata/{FOLDER}/MTD_MSIL2A.xml")
    with pytest.raises(ProductError, match=r"MTD_MSIL2A\.xml"):
        open_source(order.source, credentials).assets(product)


def test_items_lead_to_the_bucket_with_its_own_keys() -> None:
    described = item()
    credentials = Credentials(cdse=S3Access(endpoint="https://eodata.dataspace.copernicus.eu", **KEYS))
    product = item_product(described, "/a/item.json")
    assets = item_assets(described, "/a/item.json", product, credentials)
    assert list(assets) == ["B02", "B8A", "SCL"]
    root = f"/vsis3/eodata/{FOLDER}/GRANULE/L2A_T34UCF_A033759_20230823T095559/IMG_DATA"
    assert assets["B02"].href == f"{root}/R10m/T34UCF_20230823T095559_B02_10m.jp2"
    assert assets["SCL"].href == f"{root}/R20m/T34UCF_20230823T095559_SCL_20m.jp2"
    assert (assets["B02"].offset, assets["SCL"].offset) == (-1000, 0)
    options = assets["B02"].gdal_env
    assert options["AWS_S3_ENDPOINT"] == "eodata.dataspace.copernicus.eu"
    assert options["AWS_SECRET_ACCESS_KEY"] == "the-secret"


def test_an_alternate_in_a_bucket_is_taken_where_there_is_a_key() -> None:
    described = item()
    described["assets"] = {
        "B02_10m": {
            "href": "https://download/B02.jp2",
            "alternate": {"odd": 1, "s3": {"href": f"s3://eodata/{FOLDER}/B02_10m.jp2"}},
        },
        "red-jp2": {"href": "s3://sentinel-s2-l2a/tiles/34/U/CF/2023/8/23/0/R10m/B04.jp2"},
        "nir": {"href": "https://cogs/B08.tif"},
        "nir-jp2": {"href": "s3://sentinel-s2-l2a/B08.jp2"},
    }
    product = item_product(described, "/a/item.json")
    without = item_assets(described, "/a/item.json", product)
    assert without["B02"].href == "https://download/B02.jp2"
    assert without["B04"].href == "/vsis3/sentinel-s2-l2a/tiles/34/U/CF/2023/8/23/0/R10m/B04.jp2"
    assert without["B04"].gdal_env["AWS_NO_SIGN_REQUEST"] == "YES"
    assert without["B08"].href == "https://cogs/B08.tif"
    keyed = item_assets(described, "/a/item.json", product, Credentials(cdse=S3Access(**KEYS)))
    assert keyed["B02"].href == f"/vsis3/eodata/{FOLDER}/B02_10m.jp2"
    described["assets"] = {"B02_10m": {"href": "s3:///B02.jp2"}}
    with pytest.raises(ProductError, match=f"{NAME}: B02"):
        item_assets(described, "/a/item.json", product)


def test_missing_keys_are_told_before_anything_is_asked() -> None:
    for access in (S3Access(), S3Access(key=SecretStr("k"))):
        with pytest.raises(RequestError, match=r"^source: .*CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY .*eodata-s3keys"):
            open_source("cdse:", Credentials(cdse=access))


def test_one_address_one_id() -> None:
    credentials = Credentials(cdse=S3Access(**KEYS))
    plain = open_source("cdse:", credentials)
    assert (plain.address, plain.id) == ("cdse:", open_source(plain.address, credentials).id)
    other = open_source("cdse:https://other/stac", credentials)
    assert other.address == "cdse:https://other/stac"
    assert other.id != plain.id
    for wrong, said in (("cdse:folder", "cdse: alone"), ("cdse:https://me:the-word@host/stac", "environment")):
        with pytest.raises(RequestError, match=said) as refusal:
            open_source(wrong, credentials)
        assert "the-word" not in str(refusal.value)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [(401, AccessError, "may not be read: HTTP 401"), (429, SourceError, "cdse:http"), (500, SourceError, "cdse:http")],
)
def test_a_catalogue_that_fails(
    catalogue: tuple[str, type[Catalogue]], fault: int, kind: type[Exception], said: str
) -> None:
    address, handler = catalogue
    handler.fault = fault
    source = open_source(f"cdse:{address}", Credentials(cdse=S3Access(**KEYS)))
    with pytest.raises(kind, match=said):
        source.search(AREA, TIME, "L2A")
