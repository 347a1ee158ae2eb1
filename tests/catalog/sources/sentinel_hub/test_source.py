"""Sentinel Hub through its own client, unpatched, against a small service of the same protocol. All pixels are synthetic."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dukpy
import numpy as np
import pytest
import sentinel_hub_kit
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box, mapping, shape

from catalog.antimeridian import rectangle
from catalog.area import parse_area
from catalog.errors import RequestError, SourceError
from catalog.grid import Window, to_lonlat, to_zone, window_around
from catalog.order import make_order
from catalog.products import LEVEL_BANDS, Product
from catalog.sources.registry import open_source
from catalog.sources.sentinel_hub.process_api import Layer, evalscript, layers, parts
from catalog.storage.credentials import Credentials, SentinelHubAccess

# The address


def access(**more: Any) -> Credentials:
    values = {
        "client_id": "me", "client_secret": "hidden", "base_url": "https://sh.dataspace.copernicus.eu",
        "token_url": "https://identity.dataspace.copernicus.eu/token",
    }  # fmt: skip
    return Credentials(sentinel_hub=SentinelHubAccess(**{**values, **more}))


def test_the_address_names_the_deployment_and_opens_the_same_source_again() -> None:
    source = open_source("sentinelhub:", access(base_url="https://sh.dataspace.copernicus.eu/"))
    assert source.address == "sentinelhub:https://sh.dataspace.copernicus.eu"
    assert source.id.startswith("sentinelhub-sh-dataspace-copernicus-eu-")
    again = open_source(source.address, access())
    assert (again.address, again.id) == (source.address, source.id)
    other = open_source("sentinelhub:", access(base_url="https://services.sentinel-hub.com"))
    assert other.id != source.id


def test_without_credentials_a_request_is_refused_with_what_to_do() -> None:
    with pytest.raises(RequestError, match=r"source: .*dashboard.* set SH_CLIENT_ID and SH_CLIENT_SECRET"):
        open_source("sentinelhub:", Credentials())


@pytest.mark.parametrize(
    ("place", "more", "said"),
    [
        ("https://elsewhere.example", {}, "not the deployment that SH_BASE_URL names"),
        ("cdse", {}, "not the deployment"),
        ("", {"base_url": "http://services.sentinel-hub.com"}, "SH_BASE_URL is .* no https"),
        ("", {"token_url": "identity"}, "SH_TOKEN_URL is .* no https"),
        ("", {"base_url": "https://u:hidden@host"}, "SH_BASE_URL carries a user name"),
        ("https://me:hidden@elsewhere.example/?token=hidden", {}, "elsewhere.example is not"),
    ],
)
def test_credentials_go_nowhere_but_where_they_belong(place: str, more: dict[str, str], said: str) -> None:
    with pytest.raises(RequestError, match=said) as refusal:
        open_source(f"sentinelhub:{place}", access(**more))
    assert "hidden" not in str(refusal.value)


# Search


def test_the_catalogue_is_searched_by_level_place_and_time_over_pages(sentinel_hub: Any) -> None:
    sentinel_hub.page = 2
    days = [
        "2023-07-31T23:59:59",
        "2023-08-01T00:00:00",
        "2023-08-05T10:00:00",
        "2023-08-31T23:59:59",
        "2023-09-01T00:00:00",
    ]
    for day in days:
        start = day.replace("-", "").replace(":", "")
        sentinel_hub.scenes.append(
            sentinel_hub_kit.scene(time=day, name=sentinel_hub_kit.NAME.format(level="L2A", time=start, tile="33TWM"))
        )
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(level="L1C"))
    products = sentinel_hub_kit.found(sentinel_hub)
    assert [f"{product.time:%Y-%m-%dT%H:%M:%S}" for product in products] == days[3:0:-1]
    asked = sentinel_hub.requests("/search")
    assert [body.get("next") for body in asked] == [None, 2]
    assert asked[0]["collections"] == ["sentinel-2-l2a"]
    np.testing.assert_allclose(asked[0]["bbox"], sentinel_hub_kit.area_of(sentinel_hub_kit.CELL).bounds)
    assert [product.level for product in sentinel_hub_kit.found(sentinel_hub, "L1C")] == ["L1C"]


def test_across_the_antimeridian_both_sides_are_asked_for(sentinel_hub: Any) -> None:
    window = window_around(to_zone(rectangle(179.9, -16.7, -179.9, -16.5), 32760), 32760)
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(window=window, tile="60KXF"))
    area = parse_area([179.95, -16.62, -179.95, -16.6])
    source = open_source("sentinelhub:", sentinel_hub.credentials)
    (product,) = source.search(area, sentinel_hub_kit.AUGUST, "L2A").products
    assert shape(product.footprint).bounds[::2] == (-180, 180)
    asked = [body["bbox"] for body in sentinel_hub.requests("/search")]
    np.testing.assert_allclose(asked, [[179.95, -16.62, 180, -16.6], [-180, -16.62, -179.95, -16.6]])


def test_an_item_says_what_its_name_does(sentinel_hub: Any) -> None:
    sentinel_hub.scenes.append(sentinel_hub_kit.scene())
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    assert (product.platform, product.tile, product.relative_orbit) == ("S2A", "33TWM", "R079")
    assert (product.datatake, product.baseline, product.cloud_cover) == ("20230815T095031", "05.09", 12.5)
    assert product.synthetic
    assert product.href.startswith(f"{sentinel_hub.url}/api/v1/catalog/1.0.0/collections/sentinel-2-l2a/items/S2A_")


def test_an_id_that_is_no_name_is_left_out(sentinel_hub: Any, tmp_path: Path) -> None:
    sentinel_hub.scenes.append(
        sentinel_hub_kit.scene(name="../S2A_MSIL2A_20230815T095031_N0509_R079_T33TWM_20230815T155057")
    )
    result = open_source("sentinelhub:", sentinel_hub.credentials).search(
        sentinel_hub_kit.area_of(sentinel_hub_kit.CELL), sentinel_hub_kit.AUGUST, "L2A"
    )
    assert result.products == ()
    assert "its id is no product's name" in result.left_out[0].reason


def test_products_of_one_datatake_become_one_acquisition(sentinel_hub: Any) -> None:
    sentinel_hub.scenes += [sentinel_hub_kit.scene(), sentinel_hub_kit.scene(tile="33TWL", time="2023-08-15T09:57:45")]
    order = make_order(
        open_source("sentinelhub:", sentinel_hub.credentials),
        sentinel_hub_kit.area_of(sentinel_hub_kit.CELL),
        2023,
        (8, 8),
        "L2A",
        95,
    )
    (acquisition,) = order.acquisitions
    assert acquisition.id == "S2A_20230815T095031_R079"
    assert len(acquisition.products) == 2
    assert order.source == f"sentinelhub:{sentinel_hub.url}"


@pytest.mark.parametrize("answer", [{"features": []}, [], {"context": {}}, "nothing"], ids=str)
def test_a_catalogue_that_answers_nonsense_is_an_error(sentinel_hub: Any, answer: Any) -> None:
    sentinel_hub.faults.append(sentinel_hub_kit.Fault("/search", body=answer))
    with pytest.raises(SourceError, match="SH_BASE_URL"):
        sentinel_hub_kit.found(sentinel_hub)


# Pixels


def test_all_bands_of_l2a_as_the_service_holds_them(sentinel_hub: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = {"B02": 1024, "B03": 1024, "B04": 1024, "B08": 1024, "B01": 256, "B09": 256}
    raw: dict[str, Any] = {name: rng.integers(1, 12000, (sizes.get(name, 512),) * 2) for name in LEVEL_BANDS["L2A"]}
    raw |= {"SCL": rng.integers(0, 12, (512, 512)), "CLD": rng.integers(0, 101, (512, 512))}
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(bands=raw))
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    assert set(made) == {*LEVEL_BANDS["L2A"], "SCL", "CLD"}
    for name, values in made.items():
        step = len(values) // len(raw[name])
        np.testing.assert_array_equal(values, raw[name].repeat(max(step, 1), 0).repeat(max(step, 1), 1), err_msg=name)
        assert values.dtype == (np.uint8 if name in ("SCL", "CLD") else np.uint16)
    fine, coarse = sentinel_hub.requests("/process")
    assert sorted([(body["output"]["width"], body["output"]["height"]) for body in (fine, coarse)]) == [
        (512, 512),
        (1024, 1024),
    ]
    for body in (fine, coarse):
        assert body["input"]["bounds"]["bbox"] == list(sentinel_hub_kit.CELL.window.bounds)
        assert body["input"]["bounds"]["properties"]["crs"].endswith("/EPSG/0/32633")
        assert body["input"]["data"][0]["processing"] == {
            "upsampling": "NEAREST", "downsampling": "NEAREST", "harmonizeValues": True,
        }  # fmt: skip


def test_all_bands_of_l1c_and_no_mask(sentinel_hub: Any, tmp_path: Path) -> None:
    sentinel_hub.scenes.append(
        sentinel_hub_kit.scene(level="L1C", bands={name: 100 + at for at, name in enumerate(LEVEL_BANDS["L1C"])})
    )
    (product,) = sentinel_hub_kit.found(sentinel_hub, "L1C")
    made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    assert {name: np.unique(values).tolist() for name, values in made.items()} == {
        name: [100 + at] for at, name in enumerate(LEVEL_BANDS["L1C"])
    }


def test_no_data_is_what_the_data_mask_says_and_dark_pixels_stay_valid(sentinel_hub: Any, tmp_path: Path) -> None:
    raw = np.full((1024, 1024), 3000)
    raw[0, :7] = [0, 1, 999, 1000, 1001, 65535, 32767]
    mask = np.ones((1024, 1024), int)
    mask[512:] = 0
    masks = {"SCL": 4, "CLD": 0}
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(bands={"B04": raw, "B11": 0, **masks}, mask=mask, offset=-1000))
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    # harmonised by the service: 1000 less and not below 0, which is valid; the mark of saturation is kept
    assert made["B04"][0, :8].tolist() == [1, 1, 1, 1, 1, 65535, 31767, 2000]
    assert made["B04"][511:513, 0].tolist() == [2000, 0]
    assert made["B11"][255:257, 0].tolist() == [1, 0]
    assert made["SCL"][255:257, 0].tolist() == [4, 0]
    assert made["CLD"][255:257, 0].tolist() == [0, 255]


def test_without_harmonising_saturation_and_valid_zero_are_the_same(sentinel_hub: Any, tmp_path: Path) -> None:
    raw = np.full((1024, 1024), 3000)
    raw[0, :3] = [0, 1, 65535]
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(bands={"B04": raw}))
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    assert sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)["B04"][0, :4].tolist() == [1, 1, 65535, 3000]


def test_only_the_windows_are_asked_for_and_what_lies_between_is_no_data(sentinel_hub: Any, tmp_path: Path) -> None:
    wide = Window(32633, sentinel_hub_kit.CELL.window.left, sentinel_hub_kit.CELL.window.top, 3072, 1024)
    far = sentinel_hub_kit.FAR.window
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(window=wide, bands={"B02": 700, "B05": 800, "CLD": 20}))
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path, sentinel_hub_kit.CELL.window, far)
    assert made["B02"].shape == (1024, 3072)
    assert np.unique(made["B02"][:, 1024:2048]).tolist() == [0]
    assert np.unique(made["B02"][:, :1024]).tolist() == np.unique(made["B02"][:, 2048:]).tolist() == [700]
    assert np.unique(made["CLD"][:, 512:1024]).tolist() == [255]
    assert np.unique(made["CLD"][:, 1024:]).tolist() == [20]
    boxes = {tuple(body["input"]["bounds"]["bbox"]) for body in sentinel_hub.requests("/process")}
    assert boxes == {sentinel_hub_kit.CELL.window.bounds, far.bounds}
    assert (tmp_path / product.id / "B02.tif").stat().st_size < 300_000


def test_what_is_larger_than_an_answer_may_be_is_split(
    sentinel_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.sources.sentinel_hub.process_api.LARGEST", 400)
    rng = np.random.default_rng(2)
    raw = {"B02": rng.integers(1, 9000, (1024, 2048)), "B11": rng.integers(1, 9000, (512, 1024))}
    both = Window(32633, sentinel_hub_kit.CELL.window.left, sentinel_hub_kit.CELL.window.top, 2048, 1024)
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(window=both, bands=raw))
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    made = sentinel_hub_kit.downloaded(
        sentinel_hub, product, tmp_path, sentinel_hub_kit.CELL.window, sentinel_hub_kit.EAST.window
    )
    np.testing.assert_array_equal(made["B02"], raw["B02"])
    np.testing.assert_array_equal(made["B11"], raw["B11"])
    sizes = [(body["output"]["width"], body["output"]["height"]) for body in sentinel_hub.requests("/process")]
    assert len(sizes) == 2 * 9 + 2 * 4
    assert max(max(size) for size in sizes) == 400


def test_one_product_is_not_mixed_with_its_neighbours_of_the_same_second(sentinel_hub: Any, tmp_path: Path) -> None:
    sentinel_hub.scenes += [
        sentinel_hub_kit.scene(tile="33TWL", bands={"B02": 100}),
        sentinel_hub_kit.scene(tile="33TWM", bands={"B02": 200}),
    ]
    for product in sentinel_hub_kit.found(sentinel_hub):
        made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
        assert np.unique(made["B02"]).tolist() == [100 if product.tile == "33TWL" else 200]


def test_where_a_product_has_no_pixels_its_neighbour_does_not_stand_in(sentinel_hub: Any, tmp_path: Path) -> None:
    sentinel_hub.scenes += [
        sentinel_hub_kit.scene(tile="33TWL", bands={"B02": 100}),
        sentinel_hub_kit.scene(tile="33TXM", window=sentinel_hub_kit.EAST.window, bands={"B02": 200}),
    ]
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path, sentinel_hub_kit.EAST.window)
    assert np.unique(made["B02"]).tolist() == [0]


def test_a_product_comes_before_other_versions_and_its_other_half_fills_it(sentinel_hub: Any, tmp_path: Path) -> None:
    ids = [
        sentinel_hub_kit.NAME.format(level="L2A", time="20230815T095031", tile="33TWM")[:-6] + end
        for end in ("111111", "222222")
    ]
    left = np.zeros((1024, 1024), int)
    left[:, :600] = 1
    for name, value, mask in ((ids[0], 100, left), (ids[1], 200, 1)):
        path = f"s3://eodata/Sentinel-2/MSI/L2A/2023/08/15/{name}.SAFE"
        sentinel_hub.scenes.append(sentinel_hub_kit.scene(name=name, bands={"B02": value}, mask=mask, path=path))
    first = next(product for product in sentinel_hub_kit.found(sentinel_hub) if product.id == ids[0])
    made = sentinel_hub_kit.downloaded(sentinel_hub, first, tmp_path)
    assert np.unique(made["B02"][:, :600]).tolist() == [100]
    assert np.unique(made["B02"][:, 600:]).tolist() == [200]


def test_an_archive_whose_paths_name_no_tile_gives_the_datatake(sentinel_hub: Any, tmp_path: Path) -> None:
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(bands={"B02": 200}, path="gs://flat/4711"))
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    assert np.unique(sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)["B02"]).tolist() == [200]


def test_another_datatake_of_the_same_tile_is_never_taken(sentinel_hub: Any, tmp_path: Path) -> None:
    sentinel_hub.scenes += [
        sentinel_hub_kit.scene(bands={"B02": 100}),
        sentinel_hub_kit.scene(time="2023-08-15T10:07:31", bands={"B02": 999}),
    ]
    product = sentinel_hub_kit.found(sentinel_hub)[1]
    assert np.unique(sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)["B02"]).tolist() == [100]


def test_a_product_of_another_zone_is_asked_for_at_10_m_and_says_so(sentinel_hub: Any, tmp_path: Path) -> None:
    from catalog.grid import to_zone, window_around

    there = window_around(to_zone(to_lonlat(box(*sentinel_hub_kit.CELL.window.bounds), 32633), 32632), 32632)
    there = Window(32632, there.left // 6 * 6, there.top // 6 * 6 + 6, 1200, 1200)
    rows, columns = np.mgrid[:1200, :1200]
    sentinel_hub.scenes.append(
        sentinel_hub_kit.scene(tile="32TQS", window=there, bands={"B02": 1000 + columns, "B11": 1000 + rows})
    )
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    (body,) = sentinel_hub.requests("/process")
    assert (body["output"]["width"], body["input"]["bounds"]["bbox"]) == (
        1024,
        list(sentinel_hub_kit.CELL.window.bounds),
    )
    from pyproj import Transformer

    x = sentinel_hub_kit.CELL.window.left * 10 + 5 + 10 * 500
    y = sentinel_hub_kit.CELL.window.top * 10 - 5 - 10 * 300
    east, north = Transformer.from_crs(32633, 32632, always_xy=True).transform(x, y)
    assert made["B02"][300, 500] == 1000 + int(east // 10) - there.left
    assert made["B11"][300, 500] == 1000 + there.top - int(np.ceil(north / 10))
    source = open_source("sentinelhub:", sentinel_hub.credentials)
    assets = source.download(product, [sentinel_hub_kit.CELL.window], tmp_path / "again")  # type: ignore[attr-defined]
    assert {asset.warped for asset in assets.values()} == {"EPSG:32632, nearest, by Sentinel Hub"}
    assert assets["B02"].offset_from == "Sentinel Hub, harmonizeValues: true"


@given(
    st.integers(-300, 300), st.integers(-300, 300), st.integers(1, 900), st.integers(1, 900), st.sampled_from([10, 20])
)
def test_parts_cover_a_window_and_are_whole_pixels(left: int, top: int, width: int, height: int, metres: int) -> None:
    window = Window(32633, 40000 + left, 500000 + top, width, height)
    around = mapping(to_lonlat(box(*window.bounds), window.epsg))
    product = Product(id="S2A_X", href="x", level="L2A", time=datetime(2023, 8, 15, tzinfo=UTC), footprint=around)
    layer = Layer(metres, ("B02",))
    whole = layer.whole(window)
    assert whole.intersection(window) == window
    assert max(whole.width - width, whole.height - height) < 2 * layer.step
    made = parts(product, layer, [window])
    assert sum(part.width * part.height for part in made) == whole.width * whole.height
    assert all(number % layer.step == 0 for part in made for number in (part.left, part.top, part.width, part.height))


def test_a_footprint_the_long_way_round_the_earth_cuts_nothing_off() -> None:
    around = mapping(box(-179.5, 51, 179.5, 52))
    product = Product(id="S2A_X", href="x", level="L2A", time=datetime(2023, 8, 15, tzinfo=UTC), footprint=around)
    window = Window(32601, 30000, 570000, 1024, 1024)
    assert parts(product, Layer(10, ("B02",)), [window]) == [window]


def test_nothing_is_asked_for_far_outside_a_product(sentinel_hub: Any, tmp_path: Path) -> None:
    half = Window(32633, sentinel_hub_kit.CELL.window.left, sentinel_hub_kit.CELL.window.top, 512, 1024)
    sentinel_hub.scenes.append(sentinel_hub_kit.scene(window=half, bands={"B02": 700, "B11": 900}))
    (product,) = sentinel_hub_kit.found(sentinel_hub)
    made = sentinel_hub_kit.downloaded(
        sentinel_hub, product, tmp_path, sentinel_hub_kit.CELL.window, sentinel_hub_kit.FAR.window
    )
    assert np.unique(made["B02"][:, :512]).tolist() == [700]
    assert np.unique(made["B11"][:, :256]).tolist() == [900]
    assert np.unique(made["B02"][:, 512:]).tolist() == np.unique(made["B11"][:, 256:]).tolist() == [0]
    for body in sentinel_hub.requests("/process"):
        west, south, east, north = body["input"]["bounds"]["bbox"]
        assert (west, south, north) == (half.bounds[0], half.bounds[1], half.bounds[3])
        assert 500 < east - half.bounds[2] < 1200


def test_the_script_is_one_that_a_plain_engine_reads() -> None:
    product = Product(
        id="S2A_X", href="x", level="L2A", time=sentinel_hub_kit.utc("2023-08-15"), tile="05KKB",
        footprint={"type": "Polygon", "coordinates": []},
    )  # fmt: skip
    layer = layers(product, 32705)[1]
    script = evalscript(product, layer)
    assert script.splitlines()[0] == "//VERSION=3"
    assert "tiles/5/K/KB/" in script
    engine = dukpy.JSInterpreter()
    engine.evaljs(script)
    assert engine.evaljs("setup().input[0].bands") == [*layer.names, "dataMask"]
    assert engine.evaljs("evaluatePixel([])") == [0] * (len(layer.names) + 1)
