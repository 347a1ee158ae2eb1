"""Places and rules are read before anything else, and a rule is kept for all ground that would be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box

from catalog.errors import RequestError
from catalog.grid import Cell, to_lonlat
from flows.checked_request import check_request
from flows.settings import Settings
from flows.work_places import check_places, load_places

ITALY = [6.6, 36.6, 18.6, 47.1]
ROME, GHENT = box(12.4, 41.8, 12.42, 41.82), box(3.7, 51.0, 3.72, 51.02)


def written(store: Path, **changed: Any) -> Path:
    rules = {
        "places": {
            "cropline": {"title": "the server"},
            "italy": {"gpu": True},
            "spare": {"processors": ["vegetation"]},
        },
        "rules": [{"name": "Italy", "area": ITALY, "places": ["italy"]}],
    }
    store.mkdir(parents=True, exist_ok=True)
    (store / "places.json").write_text(json.dumps({**rules, **changed}))
    return store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=str(written(tmp_path / "store")))


def test_without_a_file_there_is_one_place_and_no_rule(tmp_path: Path) -> None:
    known = load_places(Settings(store=str(tmp_path / "store")))
    assert list(known.places) == [known.here] == ["cropline"]
    assert known.refusals(ROME, []) == {"cropline": ""}
    assert known.refusals(ROME, ["gpu"]) == {"cropline": "the request names only gpu"}
    assert not (tmp_path / "store").exists()


def test_a_rule_keeps_the_data_of_a_country_in_one_place(settings: Settings) -> None:
    known = load_places(settings)
    against = "the rule 'Italy' keeps data of the area in italy"
    assert known.refusals(ROME, []) == {"cropline": against, "italy": "", "spare": against}
    assert known.refusals(GHENT, []) == {"cropline": "", "italy": "", "spare": ""}
    assert known.refusals(ROME, ["cropline"]) == {
        "cropline": against,
        "italy": "the request names only cropline",
        "spare": f"{against}; the request names only cropline",
    }


def test_all_ground_that_is_read_counts_and_not_the_area_alone(tmp_path: Path) -> None:
    cell = to_lonlat(box(*Cell(32631, 56, 549).window.bounds), 32631)
    west, south, east, north = cell.bounds
    area = box(west + 0.01, south + 0.02, west + 0.02, south + 0.03)
    corner = [east - 0.02, north - 0.02, east - 0.01, north - 0.01]
    beyond = [east + 0.02, south, east + 0.03, north]
    for ground, kept in ((corner, True), (beyond, False)):
        assert not area.intersects(box(*ground))
        store = written(tmp_path / str(kept), rules=[{"name": "corner", "area": ground, "places": ["italy"]}])
        assert bool(load_places(Settings(store=str(store))).refusals(area, [])["cropline"]) == kept


def test_the_ground_of_a_rule_may_be_a_file_beside_it(tmp_path: Path) -> None:
    feature = {"type": "Feature", "properties": {}, "geometry": box(*ITALY).__geo_interface__}
    collection = {"type": "FeatureCollection", "features": [feature]}
    store = written(tmp_path / "store", rules=[{"name": "Italy", "area": "italy.geojson", "places": ["italy"]}])
    (store / "italy.geojson").write_text(json.dumps(collection))
    assert load_places(Settings(store=str(store))).refusals(ROME, [])["cropline"]
    elsewhere = store.rename(tmp_path / "rules")
    named = Settings(store=str(tmp_path / "other"), places=elsewhere / "places.json")
    assert load_places(named).refusals(ROME, [])["cropline"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"places": {}}, r"places: dictionary should have at least 1 item"),
        ({"places": {"GPU pool": {}}}, r"GPU pool"),
        ({"places": {"cropline": {"gpus": 2}}}, r"gpus"),
        ({"rules": [{"name": "x", "area": ITALY, "places": ["rome"]}]}, r"the rule 'x' names a place 'rome' that is none"),
        ({"rules": [{"name": "x", "area": ITALY, "places": []}]}, r"rules\.0\.places"),
        ({"rules": [{"name": "x", "area": [19, 36, 6, 47, 3], "places": ["italy"]}]}, r"the rule 'x': area: a bbox has four numbers"),
        ({"rules": [{"name": "x", "area": "none.geojson", "places": ["italy"]}]}, r"the rule 'x': area: there is no file: .*none.geojson"),
        ({"places": {"italy": {}}, "rules": []}, r"this installation's place 'cropline' \(CROPLINE_PLACE\) is none of its places, italy"),
        ({"rule": []}, r"rule"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_stops_everything_and_says_where(
    changed: dict[str, Any], says: str, tmp_path: Path
) -> None:
    settings = Settings(store=str(written(tmp_path / "store", **changed)))
    with pytest.raises(RequestError, match=rf"(?i)^places: .*places\.json: .*{says}") as refused:
        check_places(GHENT, [], settings, routes=True)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_named_has_to_be_there_and_be_json(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"^places: .*rules\.json: it can't be read"):
        load_places(Settings(store=str(tmp_path), places=tmp_path / "rules.json"))
    (tmp_path / "rules.json").write_text("places = 1")
    with pytest.raises(RequestError, match=r"^places: .*rules\.json: it is not JSON"):
        load_places(Settings(store=str(tmp_path), places=tmp_path / "rules.json"))


def test_no_rule_is_passed_over(tmp_path: Path) -> None:
    store = written(tmp_path / "store")
    file = store / "places.json"
    file.write_text(file.read_text().rstrip("}") + ', "rules": []}')
    with pytest.raises(RequestError, match="rules"):
        load_places(Settings(store=str(store)))
    file.unlink()
    file.symlink_to(tmp_path / "not-mounted.json")
    with pytest.raises(RequestError, match="can't be read"):
        load_places(Settings(store=str(store)))


def test_where_a_request_can_go_is_checked_before_it_is_sent(settings: Settings) -> None:
    check_places(ROME, [], settings, routes=True)
    check_places(GHENT, ["spare"], settings, routes=True)
    check_places(ROME, ["italy", "cropline"], settings, routes=True)
    with pytest.raises(RequestError, match=r"^places: there is no 'itlay'. There are: cropline, italy, spare\.$"):
        check_places(ROME, ["itlay"], settings, routes=True)
    with pytest.raises(RequestError, match=r"no place that the request allows: in cropline the rule 'Italy' keeps"):
        check_places(ROME, ["cropline"], settings, routes=True)


def test_what_cannot_be_handed_on_is_refused_where_it_may_not_be(settings: Settings) -> None:
    check_places(GHENT, [], settings, routes=False)
    with pytest.raises(
        RequestError, match=r"not be processed here, in cropline: the rule 'Italy'.* It may be in italy"
    ):
        check_places(ROME, [], settings, routes=False)
    check_places(ROME, ["italy", "unheard of"], settings.model_copy(update={"place": "italy"}), routes=False)


def test_a_request_is_refused_before_its_source_is_asked(settings: Settings, tmp_path: Path) -> None:
    asked = {"area": list(ROME.bounds), "year": 2019, "source": "mission:", "processor": "vegetation"}
    check_request(asked, tmp_path, settings, routes=True)
    for changed, routes in (({}, False), ({"places": ["cropline"]}, True)):
        with pytest.raises(RequestError, match=r"^places: .*rule 'Italy'"):
            check_request({**asked, **changed}, tmp_path, settings, routes=routes)
    assert not (tmp_path / "store" / "cubes").exists()
