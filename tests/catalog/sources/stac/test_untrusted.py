"""Catalogues that lead to where they may not: named with the reason, and never asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box, mapping
from web_kit import INSIDE, Web, pretended, served

from catalog.errors import ProductError, Reason, SourceError
from catalog.networks import Network
from catalog.sources.registry import open_source

AREA = box(4.2, 50.2, 4.3, 50.3)
YEAR = datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)


def item(name: str, **assets: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": name,
        "geometry": mapping(box(4, 50, 5, 51)),
        "properties": {"datetime": "2019-05-01T10:56:00Z", "processing:level": "L2A"},
        "assets": {key: {"href": href} for key, href in assets.items()},
        "links": [],
    }


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    pretended(monkeypatch)
    monkeypatch.delenv("http_proxy", raising=False)
    (tmp_path / "web").mkdir()
    with served(tmp_path / "web") as web:
        yield web


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "item.json").write_text(json.dumps(item("inside", B04="B04.tif")))
    with served(tmp_path / "inside", INSIDE) as web:
        yield web


def catalogue(folder: Path, *hrefs: str, rel: str = "item") -> None:
    links = [{"rel": rel, "href": href} for href in hrefs]
    (folder / "catalog.json").write_text(json.dumps({"type": "Catalog", "links": links}))


def test_items_that_lie_where_the_catalogue_may_not_lead_are_left_out_and_not_asked(web: Web, inside: Web) -> None:
    (web.folder / "good.json").write_text(json.dumps(item("good", B04="B04.tif")))
    catalogue(web.folder, "good.json", f"{inside.address}/item.json", "moved.json", "file:///etc/passwd", "/vsicurl/x")
    web.moved["/moved.json"] = f"{inside.address}/item.json"
    found = open_source(f"stac:{web.address}/catalog.json").search(AREA, YEAR, "L2A")
    assert [product.id for product in found.products] == ["good"]
    assert {left.kind for left in found.left_out} == {Reason.NOT_ALLOWED}
    assert len(found.left_out) == 4
    assert sum("loopback" in left.reason for left in found.left_out) == 2
    assert inside.asked == []


def test_a_branch_that_may_not_be_entered_is_an_error(web: Web, inside: Web) -> None:
    catalogue(web.folder, f"{inside.address}/catalog.json", rel="child")
    with pytest.raises(SourceError, match=r"may not be read: 127\.0\.0\.2 is loopback"):
        open_source(f"stac:{web.address}/catalog.json").search(AREA, YEAR, "L2A")
    web.moved["/catalog.json"] = f"{inside.address}/catalog.json"
    with pytest.raises(SourceError, match=r"may not be read: 127\.0\.0\.2 is loopback"):
        open_source(f"stac:{web.address}/catalog.json").search(AREA, YEAR, "L2A")
    assert inside.asked == []


def test_a_name_that_has_come_to_mean_this_machine_is_sent_nothing(
    web: Web, inside: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    import catalog.sources.stac.web

    # The name is judged by one answer of the name service and connected to by another.
    monkeypatch.setattr(catalog.sources.stac.web, "allowed_addresses", lambda *_: ["8.8.8.8"])
    catalogue(web.folder, f"{inside.address}/item.json")
    found = open_source(f"stac:{web.address}/catalog.json").search(AREA, YEAR, "L2A")
    assert [(left.kind, inside.asked) for left in found.left_out] == [(Reason.NOT_ALLOWED, [])]


def test_assets_carry_the_networks_that_their_catalogue_may_name(web: Web, tmp_path: Path) -> None:
    (web.folder / "a.json").write_text(json.dumps(item("a", B04="http://10.0.0.1/B04.tif", B03="file:///etc/B03.tif")))
    catalogue(web.folder, "a.json")
    source = open_source(f"stac:{web.address}/catalog.json")
    (product,) = source.search(AREA, YEAR, "L2A").products
    with pytest.raises(ProductError, match=r"a: B03: 'file:///etc/B03.tif' is a file of this machine") as refused:
        source.assets(product)
    assert refused.value.kind is Reason.NOT_ALLOWED
    (web.folder / "a.json").write_text(json.dumps(item("a", B04="http://10.0.0.1/B04.tif")))
    again = open_source(f"stac:{web.address}/catalog.json")
    assert again.assets(product)["B04"].networks == (Network.PUBLIC,), "the relay refuses where it leads"


def test_another_asset_of_a_band_is_taken_where_the_first_may_not_be(tmp_path: Path) -> None:
    described = item("a", B04="/etc/B04.tif", red="red.tif")
    described["assets"]["B03"] = {"href": "/etc/B03.tif", "alternate": {"s3": {"href": "s3://bucket/B03.tif"}}}
    (tmp_path / "item.json").write_text(json.dumps(described))
    source = open_source(f"stac:{tmp_path}/item.json")
    (product,) = source.search(AREA, YEAR, "L2A").products
    with pytest.raises(ProductError, match="B03"):
        source.assets(product)
    del described["assets"]["B03"]
    (tmp_path / "item.json").write_text(json.dumps(described))
    assert open_source(f"stac:{tmp_path}/item.json").assets(product)["B04"].href == str(tmp_path / "red.tif")


def test_what_is_no_item_behind_a_link_is_counted(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "list.json").write_text(
        json.dumps({"type": "FeatureCollection", "features": [3, item("b", B04="b.tif")]})
    )
    links = [{"rel": "item", "href": "empty.json"}, {"rel": "item"}, {"rel": "child", "href": "list.json"}]
    (tmp_path / "catalog.json").write_text(json.dumps({"type": "Catalog", "links": links}))
    found = open_source(f"stac:{tmp_path}").search(AREA, YEAR, "L2A")
    assert [product.id for product in found.products] == ["b"]
    assert {left.kind for left in found.left_out} == {Reason.NOT_UNDERSTOOD}
    assert len(found.left_out) == 3
