"""Static catalogues and STAC APIs: what is found, what is left out, what can't be opened."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import shapes_kit
from shapely import get_num_coordinates
from shapely.geometry import Polygon, box, mapping, shape

from catalog.antimeridian import rectangle
from catalog.errors import NoProductError, ProductError, Reason, RequestError, SourceError
from catalog.order import make_order
from catalog.sources.registry import open_source

AREA = box(4.2, 50.2, 4.3, 50.3)
YEAR = datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)


def item(name: str, time: str | None = "2019-05-01T10:56:00Z", **fields: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": mapping(box(4, 50, 5, 51)),
        "properties": {"datetime": time, "processing:level": "L2A"},
        "assets": {"B04": {"href": "B04.tif"}},
        "links": [],
        "collection": "sentinel-2-l2a",
        **fields,
    }


def archive(folder: Path, items: list[dict[str, Any]], **fields: Any) -> Path:
    """A catalogue in a catalogue in a catalogue, as archives nest years and months."""
    deep = folder / "s2" / "2019"
    deep.mkdir(parents=True)
    for member in items:
        (deep / f"{member['id']}.json").write_text(json.dumps(member))
    inner = [{"rel": "item", "href": f"./{member['id']}.json"} for member in items]
    root = {"rel": "root", "href": "../../catalog.json"}
    (deep / "catalog.json").write_text(json.dumps({"type": "Catalog", "links": [root, *inner], **fields}))
    nested = {"type": "Collection", "links": [{"rel": "child", "href": "2019/catalog.json"}]}
    (folder / "s2" / "collection.json").write_text(json.dumps(nested))
    links = [
        {"rel": "child", "href": "./s2/collection.json"},
        {"rel": "self", "href": "https://elsewhere/catalog.json"},
    ]
    (folder / "catalog.json").write_text(json.dumps({"type": "Catalog", "links": links}))
    return folder / "catalog.json"


def test_a_nested_catalogue_is_searched_by_area_period_and_level(tmp_path: Path) -> None:
    level = {"datetime": "2019-05-01T10:56:00Z", "processing:level": "L1C"}
    catalog = archive(
        tmp_path,
        [
            item("good"),
            item("first-instant", "2019-01-01T00:00:00Z"),
            item("too-late", "2020-01-01T00:00:00Z"),
            item("elsewhere", geometry=mapping(box(6, 50, 7, 51))),
            item("l1c", properties=level),
        ],
    )
    found = open_source(f"stac:{catalog}").search(AREA, YEAR, "L2A")
    assert [product.id for product in found.products] == ["good", "first-instant"]
    assert [(left.product, left.reason) for left in found.left_out] == [("l1c", "other level: L1C")]
    assert found.holds == "the source holds 5 items from 2019-01-01 to 2020-01-01 (1 of other times, 1 elsewhere)"


RING = [[179, -17], [-179.9, -17], [-179.9, -16], [179, -16], [179, -17]]


@pytest.mark.parametrize(
    "footprint",
    [
        {"type": "Polygon", "coordinates": [RING]},
        {"type": "Polygon", "coordinates": [[[x % 360, y] for x, y in RING]]},
        {"type": "Polygon", "coordinates": [[[x - 360 if x > 0 else x, y] for x, y in RING]]},
        {"type": "MultiPolygon", "coordinates": [
            mapping(box(179, -17, 180, -16))["coordinates"], mapping(box(-180, -17, -179.9, -16))["coordinates"],
        ]},
    ],
    ids=["jumping ring", "beyond 180", "beyond -180", "cut"],
)  # fmt: skip
def test_a_footprint_across_the_antimeridian_is_found_on_both_sides(footprint: dict[str, Any], tmp_path: Path) -> None:
    source = open_source(f"stac:{archive(tmp_path, [item('across', geometry=footprint)])}")
    for area in (
        box(179.5, -16.8, 179.6, -16.7),
        box(-179.99, -16.8, -179.95, -16.7),
        rectangle(179.9, -16.8, -179.95, -16.7),
    ):
        (product,) = source.search(area, YEAR, "L2A").products  # type: ignore[arg-type]
        assert shape(product.footprint).equals(rectangle(179, -17, -179.9, -16))
        assert make_order(source, area, 2019, (1, 12), "L2A", 100).acquisitions  # type: ignore[arg-type]
    for area in (box(178, -16.8, 178.9, -16.7), box(-179.8, -16.8, -179, -16.7), box(0, -16.8, 1, -16.7)):
        assert not source.search(area, YEAR, "L2A").products


def test_a_footprint_drawn_around_the_earth_is_left_out_with_that_reason(tmp_path: Path) -> None:
    ring = [[x, -17.0] for x in range(179, -180, -1)] + [[x, -16.0] for x in range(-179, 180)]
    broken = item("around", geometry={"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    result = open_source(f"stac:{archive(tmp_path, [broken])}").search(box(179.5, -16.8, 179.6, -16.7), YEAR, "L2A")
    assert [entry.kind for entry in result.left_out] == [Reason.NOT_UNDERSTOOD]
    assert "more than half of the Earth" in result.left_out[0].reason


def test_what_cannot_be_understood_is_left_out_with_its_reason(tmp_path: Path) -> None:
    broken = [
        item("no-time", None),
        item("no-geometry", geometry=None),
        item("bad-geometry", geometry={"type": "Polygon", "coordinates": [[[0]]]}),
        item("other-satellite", properties={"datetime": "2019-05-01T10:56:00Z", "platform": "landsat-8"}),
        item("good"),
    ]
    catalog = archive(tmp_path, broken)
    (tmp_path / "s2" / "2019" / "good.json").rename(tmp_path / "s2" / "2019" / "kept.json")
    (tmp_path / "s2" / "2019" / "good.json").write_text('{"type": "Feature", "id')
    found = open_source(f"stac:{catalog}").search(AREA, YEAR, "L2A")
    assert found.products == ()
    reasons = {Path(left.product).stem: left.reason for left in found.left_out}
    assert set(reasons) == {"no-time", "no-geometry", "bad-geometry", "other-satellite", "good"}
    assert all(reason.startswith("not understood: ") for reason in reasons.values())
    assert "is not JSON" in reasons["good"]
    assert "landsat-8" in reasons["other-satellite"]


def test_a_missing_item_is_left_out_and_a_missing_branch_is_an_error(tmp_path: Path) -> None:
    catalog = archive(tmp_path, [item("good"), item("lost")])
    (tmp_path / "s2" / "2019" / "lost.json").unlink()
    found = open_source(f"stac:{catalog}").search(AREA, YEAR, "L2A")
    assert [product.id for product in found.products] == ["good"]
    assert "does not exist" in found.left_out[0].reason
    (tmp_path / "s2" / "2019" / "catalog.json").unlink()
    with pytest.raises(SourceError, match=r"2019/catalog\.json does not exist"):
        open_source(f"stac:{catalog}").search(AREA, YEAR, "L2A")


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    catalog = archive(tmp_path, [item("good")])
    nested = json.loads((tmp_path / "s2" / "collection.json").read_text())
    nested["links"].append({"rel": "child", "href": "../catalog.json"})
    (tmp_path / "s2" / "collection.json").write_text(json.dumps(nested))
    assert len(open_source(f"stac:{catalog}").search(AREA, YEAR, "L2A").products) == 1


@pytest.mark.parametrize("said", [{"cropline:synthetic": True}, {"summaries": {"cropline:synthetic": [True]}}], ids=str)
def test_synthetic_is_inherited_from_the_catalogue(tmp_path: Path, said: dict[str, Any]) -> None:
    catalog = archive(tmp_path, [item("made")], **said)
    assert open_source(f"stac:{catalog}").search(AREA, YEAR, "L2A").products[0].synthetic


def test_assets_are_found_again_by_another_process(tmp_path: Path) -> None:
    source = open_source(f"stac:{archive(tmp_path, [item('good')])}")
    product = source.search(AREA, YEAR, "L2A").products[0]
    assets = open_source(source.address).assets(product)
    assert assets["B04"].href == str(tmp_path / "s2" / "2019" / "B04.tif")
    (tmp_path / "s2" / "2019" / "good.json").unlink()
    with pytest.raises(ProductError, match=r"good: .*does not exist"):
        source.assets(product)


def test_one_place_has_one_id_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = archive(tmp_path / "Flanders 2019", [item("good")])
    monkeypatch.chdir(tmp_path)
    written = [
        f"stac:{catalog}",
        "stac:Flanders 2019/catalog.json",
        "stac:./x/../Flanders 2019",
        f"stac:{catalog.parent}",
    ]
    (tmp_path / "x").mkdir()
    assert len({open_source(address).id for address in written}) == 1
    source = open_source(written[1])
    assert source.address == f"stac:{catalog}"
    assert source.id.startswith("stac-flanders-2019-")
    assert len(source.id) == len("stac-flanders-2019-") + 8
    archive(tmp_path / "other" / "Flanders 2019", [])
    assert open_source("stac:other/Flanders 2019").id != source.id
    assert open_source("stac:https://earth-search.aws.element84.com/v1").id.startswith(
        "stac-earth-search-aws-element84-com-"
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("archive/catalog.json", "stac:PATH_OR_URL"),
        ("ftp:archive", "stac:PATH_OR_URL"),
        ("", "stac:PATH_OR_URL"),
        ("stac:", "needs the path"),
        ("stac:nowhere/catalog.json", "no file"),
        ("stac:ftp://host/catalog.json", "from http"),
        ("stac:s3://b/catalog.json", "s3://bucket/prefix"),
        ("stac:https://me:secret@host/stac", "environment"),
        ("stac:https://host/stac?token=secret", "environment"),
    ],
)
def test_a_bad_address_is_refused_without_its_secrets(address: str, said: str) -> None:
    with pytest.raises(RequestError, match=r"^source: ") as refusal:
        open_source(address)
    assert said in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_catalogue_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    for text in ("{", "[]"):
        (tmp_path / "catalog.json").write_text(text)
        with pytest.raises(SourceError, match=r"catalog\.json is not"):
            open_source(f"stac:{tmp_path}").search(AREA, YEAR, "L2A")


class _Api(BaseHTTPRequestHandler):
    """The few answers of a STAC API that a search needs; two pages."""

    asked: list[dict[str, Any]]
    broken = False
    collections: tuple[str, ...] = ("sentinel-2-l2a",)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    @property
    def address(self) -> str:
        return f"http://{self.headers['Host']}"

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        core = "https://api.stacspec.org/v1.0.0/"
        if self.path == "/collections":
            self._answer({"collections": [{"id": name} for name in self.collections], "links": []})
        elif "/items/" in self.path:
            self._answer(item(self.path.rsplit("/", 1)[-1]))
        elif self.path.startswith("/collections/"):
            name = self.path.rsplit("/", 1)[-1]
            there = name in self.collections
            self._answer({"type": "Collection", "id": name, "links": []} if there else {}, 200 if there else 404)
        else:
            self._answer(
                {
                    "type": "Catalog",
                    "id": "api",
                    "stac_version": "1.0.0",
                    "description": "an API",
                    "conformsTo": [f"{core}core", f"{core}item-search"],
                    "links": [
                        {"rel": "self", "href": self.address},
                        {"rel": "root", "href": self.address},
                        {
                            "rel": "search",
                            "href": f"{self.address}/search",
                            "method": "POST",
                            "type": "application/geo+json",
                        },
                    ],
                }
            )

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(asked)
        if self.broken:
            self._answer({"code": "Boom", "description": "the index is down"}, 400)
            return
        page = 2 if asked.get("token") else 1
        url = f"{self.address}/collections/sentinel-2-l2a/items/item-{page}"
        member = item(f"item-{page}", links=[{"rel": "self", "href": url}] if page == 1 else [])
        following = {"rel": "next", "href": f"{self.address}/search", "method": "POST", "body": {**asked, "token": "2"}}
        self._answer({"type": "FeatureCollection", "features": [member], "links": [following] if page == 1 else []})


@pytest.fixture
def api() -> Iterator[tuple[str, type[_Api]]]:
    handler = type("Api", (_Api,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_api_is_asked_for_area_period_and_collection(api: tuple[str, type[_Api]]) -> None:
    address, handler = api
    source = open_source(f"stac:{address}")
    found = source.search(AREA, YEAR, "L2A")
    assert [product.id for product in found.products] == ["item-1", "item-2"]
    assert handler.asked[0]["collections"] == ["sentinel-2-l2a"]
    assert handler.asked[0]["datetime"] == "2019-01-01T00:00:00Z/2019-12-31T23:59:59Z"
    assert handler.asked[0]["intersects"]["type"] == "Polygon"
    again = open_source(source.address)
    for product in found.products:
        expected = f"{address}/collections/sentinel-2-l2a/items/{product.id}"
        assert product.href == expected
        for opened in (source, again):
            assert opened.assets(product)["B04"].href == f"{address}/collections/sentinel-2-l2a/items/B04.tif"


def test_an_api_is_asked_for_a_covering_of_few_vertices(api: tuple[str, type[_Api]]) -> None:
    address, handler = api
    area = Polygon(shapes_kit.wavy_ring(4.25, 50.25, 0.05, 50_000))
    assert len(open_source(f"stac:{address}").search(area, YEAR, "L2A").products) == 2
    asked = shape(handler.asked[0]["intersects"])
    assert asked.covers(area)
    assert get_num_coordinates(asked) <= 200


def test_an_api_that_fails_is_a_source_error(api: tuple[str, type[_Api]]) -> None:
    address, handler = api
    handler.broken = True
    with pytest.raises(SourceError, match="the index is down"):
        open_source(f"stac:{address}").search(AREA, YEAR, "L2A")


def test_an_address_where_nobody_answers_is_a_source_error() -> None:
    with pytest.raises(SourceError) as raised:
        open_source("stac:http://127.0.0.1:9").search(AREA, YEAR, "L2A")
    assert str(raised.value) == (
        "source stac:http://127.0.0.1:9 can't be reached: 127.0.0.1:9: Connection refused. Check the address and the network."
    )


def test_what_a_name_that_nobody_knows_needs_is_said() -> None:
    with pytest.raises(
        SourceError, match=r"can't be reached: the name nowhere\.invalid can't be resolved\. Check the address"
    ):
        open_source("stac:https://nowhere.invalid/v1").search(AREA, YEAR, "L2A")


@pytest.mark.parametrize("name", ["sentinel-2-c1-l2a", "sentinel-s2-l2a-cogs", "s2_l2a"])
def test_a_collection_of_another_known_name_is_taken(api: tuple[str, type[_Api]], name: str) -> None:
    address, handler = api
    handler.collections = ("landsat", name)
    assert len(open_source(f"stac:{address}").search(AREA, YEAR, "L2A").products) == 2
    assert handler.asked[0]["collections"] == [name]


@pytest.mark.parametrize("form", ["{address}#my-s2", "{address}/#my-s2", "{address}/collections/my-s2"])
def test_a_collection_can_be_named(api: tuple[str, type[_Api]], form: str) -> None:
    address, handler = api
    handler.collections = ("sentinel-2-l2a", "my-s2")
    source = open_source(f"stac:{form.format(address=address)}")
    found = source.search(AREA, YEAR, "L2A")
    assert handler.asked[0]["collections"] == ["my-s2"]
    assert found.products[0].href == f"{address}/collections/sentinel-2-l2a/items/item-1"
    assert source.id != open_source(f"stac:{address}").id
    again = open_source(source.address)
    assert again.assets(found.products[0])["B04"].href == f"{address}/collections/sentinel-2-l2a/items/B04.tif"


def test_an_api_without_the_collection_says_what_it_has(api: tuple[str, type[_Api]]) -> None:
    address, handler = api
    handler.collections = ("sentinel-1-grd", "landsat-c2-l2")
    with pytest.raises(NoProductError) as failure:
        open_source(f"stac:{address}").search(AREA, YEAR, "L2A")
    text = str(failure.value)
    assert "has no collection sentinel-2-l2a or sentinel-2-c1-l2a" in text
    assert "It has landsat-c2-l2, sentinel-1-grd." in text
    assert f"stac:{address}#COLLECTION" in text
    assert "months" not in text
    with pytest.raises(NoProductError, match=r"has no collection typo\. It has landsat"):
        open_source(f"stac:{address}#typo").search(AREA, YEAR, "L2A")
    assert handler.asked == []


def test_a_saved_item_collection_is_read(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    members = [item("good"), item("late", "2020-01-01T00:00:00Z"), item("no-time", None)]
    saved.write_text(json.dumps({"type": "FeatureCollection", "features": members}))
    source = open_source(f"stac:{saved}")
    found = source.search(AREA, YEAR, "L2A")
    assert [product.id for product in found.products] == ["good"]
    assert [left.product for left in found.left_out] == ["no-time"]
    assert found.count == 2
    for opened in (source, open_source(source.address)):
        assert opened.assets(found.products[0])["B04"].href == str(tmp_path / "B04.tif")
    saved.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with pytest.raises(ProductError, match="is not in its ItemCollection any more"):
        open_source(source.address).assets(found.products[0])


def test_an_item_by_itself_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(item("good")))
    assert len(open_source(f"stac:{tmp_path / 'one.json'}").search(AREA, YEAR, "L2A").products) == 1


def test_what_is_no_catalogue_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"area": [4, 50, 5, 51], "year": 2019}))
    with pytest.raises(NoProductError, match="is no STAC catalogue: it is a JSON object of type None, with area, year"):
        open_source(f"stac:{tmp_path / 'request.json'}").search(AREA, YEAR, "L2A")
