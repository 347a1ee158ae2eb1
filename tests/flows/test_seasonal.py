"""A subscription through its season: waiting, preliminary, final; only what is new is read, and maps are compared with the one before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from catalog import subscriptions
from catalog.storage.store import open_store

SCRIPT = """
import json, os, pathlib
from flows.prefect_process.isolation import isolated_prefect
from flows.prefect_process.temporary_server import temporary_server

def forget(before):
    "Remove the pixels of what is in the cube: whoever opened them again would leave them out."
    for file in pathlib.Path("archive/products/sentinel-2-l2a").glob("*/*.tif"):
        if file.parent.name.split("_")[2] < before:
            file.unlink()

def shown():
    item = pathlib.Path("map/item.json")
    return json.loads(item.read_text())["properties"] if item.is_file() else None

with temporary_server() as server, isolated_prefect(server):
    from prefect.client.orchestration import get_client
    from flows.reprocess import reprocess

    from catalog import subscriptions
    from catalog.storage.store import open_store

    store, (name, request) = open_store("store"), *subscriptions.subscribed(open_store("store")).items()
    crops = {**request, "processor": "crop-map", "labels": "archive/truth/crops_2019.tif", "legend": "two.csv", "output": "crops"}
    told = []
    for day in ("2018-12-01", "2019-01-20", "2019-04-20", "2019-04-20", "2019-06-15", "2019-08-05", "2019-08-10", "2020-03-01"):
        os.environ["CROPLINE_TODAY"] = day
        without_model = subscriptions.add(store, crops).stem if day == "2019-06-15" else ""
        state = reprocess(return_state=True)
        outcomes = state.result(raise_on_failure=False) if state.is_completed() else {name: state.message}
        told.append([day, outcomes.pop(name), shown()])
        if without_model:
            lacks_model = outcomes.pop(without_model)
            subscriptions.remove(store, without_model)
        forget(day.replace("-", ""))
    with get_client(sync_client=True) as client:
        artifacts = [[artifact.key, artifact.type, artifact.data, artifact.description] for artifact in client.read_artifacts()]
    print(json.dumps([told, artifacts, lacks_model]))
"""


@pytest.fixture(scope="module")
def season(
    tmp_path_factory: pytest.TempPathFactory,
    mission_archive: Any,
    parameters: dict[str, Any],
    run_script: Callable[..., Any],
) -> tuple[list[Any], list[Any], str]:
    """What each night told of one subscription, with the properties of its delivery then, all artifacts, and what became of one more, of
    which labels are there and no model."""
    folder = tmp_path_factory.mktemp("season")
    shutil.copytree(mission_archive.folder, folder / "archive")
    source = mission_archive.source.replace(str(mission_archive.folder), str(folder / "archive"))
    (folder / "two.csv").write_text(
        "source_code,value,name,colour,role\n1,1,grass,#00aa00,class\n2,2,wheat,#aaaa00,class\n"
    )
    store = open_store(str(folder / "store"))
    subscriptions.add(store, {**parameters, "source": source, "output": str(folder / "map")})
    done = run_script(SCRIPT, folder)
    told, artifacts, lacks_model = json.loads(done.stdout.splitlines()[-1])
    return told, artifacts, lacks_model


def test_a_subscription_waits_is_mapped_while_the_season_goes_on_and_once_when_it_is_over(season: Any) -> None:
    outcomes = {(number, day): outcome for number, (day, outcome, _) in enumerate(season[0])}
    assert outcomes[0, "2018-12-01"] == "waiting for its season, which begins on 2019-01-01"
    assert outcomes[1, "2019-01-20"] == "waiting for 2 more acquisitions: 3 of 5 can be used so far"
    assert outcomes[2, "2019-04-20"].startswith("delivered to ")
    assert outcomes[3, "2019-04-20"] == "nothing new"
    assert outcomes[4, "2019-06-15"].startswith("delivered to ")
    assert outcomes[5, "2019-08-05"].startswith("delivered to "), "the last acquisitions are there, late ones may come"
    assert outcomes[6, "2019-08-10"].startswith("delivered to "), "nothing is new, and the season is over"
    assert outcomes[7, "2020-03-01"] == "nothing new: the final map is delivered"


def test_maps_say_what_they_are_of(season: Any) -> None:
    by_night = [properties for _, _, properties in season[0]]
    assert by_night[0] is by_night[1] is None
    april, again, june, august, final, later = by_night[2:]
    assert april["cropline:status"] == june["cropline:status"] == august["cropline:status"] == "preliminary"
    assert april == again
    assert april["cropline:season"]["open_months"] == ["2019-04", "2019-05", "2019-06", "2019-07"]
    assert august["cropline:season"]["open_months"] == ["2019-07"]
    assert april["title"].startswith("NDVI per month and its deviation from the area's mean curve, 2019 (preliminary)")
    assert april["cropline:notes"][0].startswith(
        "Preliminary: made of what was there up to 2019-04-16; April, May, June and July 2019 are still open. The season is "
        "complete from 2019-08-08 on."
    )
    assert final["cropline:status"] == "final"
    assert final == later
    assert "(preliminary)" not in final["title"]


def test_an_acquisition_in_the_cube_is_not_opened_again(season: Any) -> None:
    """Their files were removed after each night."""
    used = [properties["cropline:acquisitions"] for _, _, properties in season[0] if properties]
    assert [len(names) for names in used] == sorted(len(names) for names in used)
    assert len(used[0]) < len(used[2]) < len(used[-1])
    assert set(used[0]) < set(used[-1])
    assert not any(
        "left out" in note for _, _, properties in season[0] if properties for note in properties["cropline:notes"]
    )


def test_each_map_is_compared_with_the_one_before(season: Any) -> None:
    april, _, june, august, final, _ = [
        properties.get("cropline:changes") for _, _, properties in season[0] if properties
    ]
    assert april is None
    assert (june["before"]["status"], august["before"]["status"], final["before"]["status"]) == ("preliminary",) * 3
    ndvi = {band["band"]: band for band in june["bands"] if band["variable"] == "ndvi"}
    assert ndvi["2019-03"]["difference"] == 0
    assert ndvi["2019-05"]["before"] is None
    assert ndvi["2019-05"]["pixels"] == 3600
    assert all(band["absolute"] in (0, None) for band in final["bands"])


def test_changes_and_coming_passes_are_shown(season: Any) -> None:
    artifacts = season[1]
    keys = [key for key, *_ in artifacts]
    assert keys.count("coming-passes") == 2, "in April and June: in August nothing of July is to come"
    assert keys.count("changes") == 3
    passes = [json.loads(data) for key, _, data, _ in artifacts if key == "coming-passes"]
    assert {row["orbit"] for rows in passes for row in rows} == {"R051"}
    nights = [json.loads(data) for key, _, data, _ in artifacts if key == "subscriptions"]
    assert len(nights) == len(season[0])
    rows = [row for rows in nights for row in rows]
    first = next(row for row in rows if "its season" in row["outcome"])
    assert first["coming passes"].startswith("2019-01-01 10:56 S2B R051, 2019-01-06 10:56 S2A R051")
    assert sum(row["changes"].startswith("Most different from the map before: ndvi") for row in rows) == 3
    assert {row["map"] for row in rows} == {"", "preliminary", "final"}


def test_no_model_is_learnt_from_a_season_that_goes_on(season: Any) -> None:
    assert season[2] == (
        "waiting for a model: none fits, and one is trained from the labels when the season is complete, on 2019-08-08"
    )
