"""Every model is listed with its scores, decisions and maps; damaged and removed ones hide nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from thematic_kit import write_model

from catalog.generations import list_generations
from catalog.promotions import RECORD, Decision, decided
from catalog.registry import Registry
from catalog.storage.store import Store, open_store

GROUND = {"type": "Polygon", "coordinates": [[[4, 50], [5, 50], [5, 51], [4, 51], [4, 50]]]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def added(store: Store, tmp_path: Path, number: int, **changes: Any) -> str:
    values = {"footprint": GROUND, "min_acquisitions": number, **changes}
    return Registry(store).add_model(write_model(tmp_path / f"trained-{number}", ("B04", "B08"), **values)).name


def map_made(store: Store, folder: Path, model: str | None) -> None:
    folder.mkdir(parents=True)
    properties = {"datetime": "2019-07-31T00:00:00Z", **({} if model is None else {"cropline:model": {"name": model}})}
    item = {"type": "Feature", "id": folder.name, "properties": properties, "links": [], "assets": {}}
    (folder / "item.json").write_text(json.dumps(item))
    Registry(store).add_map(folder / "item.json")


def test_models_are_listed_with_what_is_known_of_them(store: Store, tmp_path: Path) -> None:
    score = {"split": "hold-out", "oa": 0.9, "miou": 0.7, "dice": 0.8, "n_pixels": 10}
    first = added(store, tmp_path, 1, scores=(score,), evidence="hold-out")
    second = added(store, tmp_path, 2)
    elsewhere = added(store, tmp_path, 3, months=(2, 8))
    registry = Registry(store)
    registry.decide(decided(first, Decision.FIRST, "the first"))
    registry.decide(decided(second, Decision.UNPROVEN, "unproven", first))
    map_made(store, tmp_path / "map", first)
    map_made(store, tmp_path / "ndvi", None)
    map_made(store, tmp_path / "gone", first)
    shutil.rmtree(tmp_path / "gone")
    listed = {generation.name: generation for generation in list_generations(store).models}
    assert set(listed) == {first, second, elsewhere}
    one = listed[first]
    assert (one.in_use, one.proven, one.scores[0].miou) == (True, True, 0.7)
    assert one.maps == (str(tmp_path / "map"),)
    assert [entry.reason for entry in one.decisions] == ["the first"]
    assert (listed[second].in_use, listed[second].proven, listed[second].maps) == (False, False, ())
    assert listed[elsewhere].in_use, "nothing was decided about it, and no other serves there"
    assert listed[first].classes == ("Wheat", "Maize")


def test_damaged_and_removed_models_hide_nothing(store: Store, tmp_path: Path) -> None:
    names = [added(store, tmp_path, number) for number in (1, 2, 3)]
    for name in names:
        map_made(store, tmp_path / f"map-{name}", name)
    Registry(store).decide(decided(names[0], Decision.FIRST, "the first"))
    (store.models / names[0] / "config.json").write_text("{")
    shutil.rmtree(store.models / names[1])
    with (store.models / RECORD).open("a") as file:
        file.write("torn")
    (store.maps / "odd").mkdir()
    (store.maps / "odd" / "odd.json").write_text("[]")
    found = list_generations(store)
    listed = {generation.name: generation for generation in found.models}
    assert set(listed) == {names[0], names[2]}
    assert "can't be understood" in listed[names[0]].problem
    assert [entry.reason for entry in listed[names[0]].decisions] == ["the first"]
    assert listed[names[0]].maps == (str(tmp_path / f"map-{names[0]}"),)
    assert listed[names[2]].in_use
    assert found.removed == {names[1]: (str(tmp_path / f"map-{names[1]}"),)}
    assert found.damaged_decisions == 1


def test_an_empty_store_has_no_generation(tmp_path: Path) -> None:
    assert list_generations(Store(tmp_path / "nothing")).models == ()
