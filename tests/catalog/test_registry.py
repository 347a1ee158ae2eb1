"""Which model a request gets and why the others not; copies that are whole; catalogues that STAC clients open."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pystac
import pytest
from checkpoint_kit import LEGEND, WHEAT, checkpoint, scored
from shapely.geometry import box

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.checkpoint.folder import load_checkpoint, save_checkpoint
from agrunet.data.inputs import Normalisation, channels
from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig
from catalog.area import as_geojson
from catalog.delivered_maps import listed_folder, name_of
from catalog.errors import ModelError, StoreError
from catalog.legend import Legend
from catalog.model_fit import Need
from catalog.products import LEVEL_BANDS
from catalog.promotions import Decision, decided
from catalog.registry import Registry, no_model
from catalog.storage.store import Store, open_store

AREA = box(4.2, 50.2, 4.3, 50.3)
BANDS = LEVEL_BANDS["L2A"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def added(store: Store, tmp_path: Path, day: int = 1, **fields: Any) -> Path:
    return Registry(store).add_model(checkpoint(tmp_path / f"trained-{day}", day, weights=b"%d" % day, **fields))


def choose(store: Store, **changed: Any) -> Path:
    """The model that a request gets which says nothing about how it is chosen."""
    weighed = registry(store).weigh(need := needed(**changed), changed.get("name"))
    used = next((model.entry for model in weighed if not model.refusal), None)
    if used is None:
        raise no_model(weighed, need)
    return used.folder


def needed(**changed: Any) -> Need:
    asked = {"level": "L2A", "bands": BANDS, "synthetic": False, "area": AREA, "legend": LEGEND, **changed}
    asked.pop("name", None)
    return Need(**{**asked, "bands": frozenset(asked["bands"])})


def registry(store: Store) -> Registry:
    """Without what comes with the software: only what a test puts there."""
    return Registry(store, store.models.parent / "shipped")


def test_the_newest_that_fits_is_chosen(store: Store, tmp_path: Path) -> None:
    added(store, tmp_path, 1)
    newest = added(store, tmp_path, 12)
    added(store, tmp_path, 5)
    assert choose(store) == newest
    assert [entry.created.day for entry in Registry(store).models()] == [12, 5, 1]


def test_a_model_that_was_not_promoted_is_not_chosen_but_may_be_named(store: Store, tmp_path: Path) -> None:
    good = added(store, tmp_path, 1, scores=scored(0.6))
    registry(store).decide(decided(good.name, Decision.FIRST, "the first"))
    shuffled = added(store, tmp_path, 2, scores=scored(0.2))
    assert choose(store) == good, "nothing was decided yet"
    registry(store).decide(decided(shuffled.name, Decision.NOT_BETTER, "mIoU 0.200 against 0.600", good.name))
    assert [(model.name, model.refusal, model.unused) for model in registry(store).weigh(needed())] == [
        (good.name, "", ""),
        (shuffled.name, "", "mIoU 0.200 against 0.600"),
    ]
    assert choose(store, name=shuffled.name) == shuffled
    better = added(store, tmp_path, 3, scores=scored(0.7))
    registry(store).decide(decided(better.name, Decision.BETTER, "", good.name))
    assert choose(store) == better
    shutil.rmtree(better)
    shutil.rmtree(good)
    with pytest.raises(ModelError, match=rf"{shuffled.name}: mIoU 0\.200 against 0\.600"):
        choose(store)


def test_the_model_in_use_is_found_where_another_one_serves(store: Store, tmp_path: Path) -> None:
    first = added(store, tmp_path, 1)
    registry(store).decide(decided(first.name, Decision.FIRST, "the first"))
    candidate = registry(store).named(added(store, tmp_path, 2).name)
    found = registry(store).in_use_beside(candidate)
    assert found is not None
    assert found.folder == first
    for number, other in enumerate(
        ({"level": "L1C"}, {"months": [2, 8]}, {"synthetic": True}, {"footprint": as_geojson(box(8, 50, 9, 51))},
         {"legend": Legend(entries=(WHEAT,)).model_dump(mode="json")["entries"]}, {"bands": ["B02", "B04"]}, {"footprint": None})
    ):  # fmt: skip
        named = added(store, tmp_path, 10 + number, **other).name
        assert registry(store).in_use_beside(registry(store).named(named)) is None, other


def test_a_person_promotes_and_rolls_back(store: Store, tmp_path: Path) -> None:
    models = registry(store)
    with pytest.raises(ModelError, match="no model was promoted yet"):
        models.roll_back()
    first, second = added(store, tmp_path, 1), added(store, tmp_path, 2)
    models.decide(decided(first.name, Decision.FIRST, "the first"))
    models.decide(decided(second.name, Decision.NOT_BETTER, "no better", first.name))
    with pytest.raises(ModelError, match="no other model that was promoted serves where it does"):
        models.roll_back()
    with pytest.raises(ModelError, match=f"{second.name}.*it was not promoted"):
        models.roll_back(second.name)
    made = models.promote(second.name)
    assert (made.decision, made.in_use) == (Decision.USER, first.name)
    assert made.reason == f"promoted by the user, in place of {first.name}"
    assert choose(store) == second
    with pytest.raises(ModelError, match="is in use already"):
        models.promote(second.name)
    back = models.roll_back()
    assert (back.model, back.reason) == (second.name, f"rolled back by the user, to {first.name}")
    assert choose(store) == first
    with pytest.raises(ModelError, match=rf"nothing.*no usable model of this installation .*{first.name}"):
        models.promote("nothing")
    assert [entry.decision for entry in models.promotions().entries][2:] == [Decision.USER, Decision.ROLLED_BACK]


def test_scores_that_cannot_be_understood_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json can't be understood: its scores"):
        added(store, tmp_path, 1, scores=[{"split": "hold-out"}])


REFUSALS = [
    ("level", {"level": "L1C"}, {}, "trained on L1C, not L2A"),
    ("bands", {"bands": ["B04", "B8A", "B11"]}, {"bands": ["B04"]}, "needs B8A, B11, which the products don't have"),
    ("synthetic-model", {"synthetic": True}, {}, "trained on synthetic data, the source is real"),
    ("real-model", {}, {"synthetic": True}, "trained on real data, the source is synthetic"),
    ("legend", {}, {"legend": Legend(entries=(WHEAT,))}, "its classes are 1 wheat, 2 maize, the labels' 1 wheat"),
    ("elsewhere", {"footprint": as_geojson(box(6, 50, 7, 51))}, {}, "trained elsewhere"),
    ("beside", {"footprint": as_geojson(box(4.3, 50, 7, 51))}, {}, "trained elsewhere"),
    ("nowhere", {"footprint": None}, {}, "doesn't say where"),
    ("months", {}, {"months": (3, 9)}, "trained on months [1, 7], not [3, 9]"),
]


@pytest.mark.parametrize(
    ("fields", "asked", "said"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_each_reason_to_refuse_is_said(
    store: Store, tmp_path: Path, fields: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    model = added(store, tmp_path, **fields)
    with pytest.raises(ModelError) as refusal:
        choose(store, **asked)
    assert f"{model.name}: " in str(refusal.value)
    assert said in str(refusal.value)
    assert "Give labels" in str(refusal.value)


def test_a_model_of_simulated_land_serves_real_products_where_it_is_named(store: Store, tmp_path: Path) -> None:
    simulated = added(store, tmp_path, 1, synthetic=True)
    assert choose(store, name=simulated.name) == simulated
    real = added(store, tmp_path, 2)
    with pytest.raises(ModelError, match="trained on real data, the source is synthetic"):
        choose(store, name=real.name, synthetic=True)


def test_a_checkpoint_of_the_library_is_understood(store: Store, tmp_path: Path) -> None:
    network = AgrUNetConfig(bands=channels(3, "interpolate"), classes=2, filters=(4, 8))
    config = CheckpointConfig(
        network=network,
        bands=("B02", "B04", "B08"),
        normalisation=Normalisation(mean=(0, 0, 0), std=(1, 1, 1)),
        months=(1, 7),
        min_clear=0.5,
        min_acquisitions=5,
        level="L2A",
        classes=("wheat", "maize"),
        legend=LEGEND.model_dump(mode="json")["entries"],
        patch_size=32,
        footprint=as_geojson(box(4, 50, 5, 51)),
        years=(2019,),
        synthetic=False,
    )
    save_checkpoint(tmp_path / "trained", AgrUNet(network), config)
    model = Registry(store).add_model(tmp_path / "trained")
    assert choose(store, months=(1, 7)) == model
    assert load_checkpoint(model)[1] == config


def test_an_older_one_is_chosen_when_the_newest_does_not_fit(store: Store, tmp_path: Path) -> None:
    older = added(store, tmp_path, 1)
    added(store, tmp_path, 2, level="L1C")
    assert choose(store) == older


def test_every_candidate_is_listed_with_all_its_reasons(store: Store, tmp_path: Path) -> None:
    added(store, tmp_path, 1, level="L1C", synthetic=True)
    added(store, tmp_path, 2, footprint=None)
    (store.models / "half").mkdir()
    with pytest.raises(ModelError) as refusal:
        choose(store)
    lines = str(refusal.value).splitlines()[1:4]
    assert [line.strip().split(":")[0].rsplit("-", 1)[0] for line in lines] == [
        "half",
        "2026-11-02-L2A",
        "2026-11-01-L1C",
    ]
    assert "trained on L1C, not L2A; trained on synthetic data" in lines[2]


def test_without_legend_and_months_any_will_do(store: Store, tmp_path: Path) -> None:
    model = added(store, tmp_path, months=[10, 6])
    assert choose(store, legend=None) == model
    assert choose(store, legend=LEGEND, months=(10, 6)) == model


def test_shipped_models_come_after_the_installations_own(store: Store, tmp_path: Path) -> None:
    shipped = checkpoint(store.models.parent / "shipped" / "simulated", 30, weights=b"shipped")
    assert choose(store) == shipped
    own = added(store, tmp_path, 1)  # older, and still preferred
    assert choose(store) == own
    assert choose(store, name="simulated") == shipped
    assert [entry.name for entry in registry(store).models()] == [own.name]
    assert [entry.name for entry in registry(store).shipped_models()] == ["simulated"]
    with pytest.raises(ModelError, match="simulated: trained on L2A, not L1C"):
        choose(store, level="L1C")
    with pytest.raises(ModelError, match=r"'missing'.*simulated"):
        choose(store, name="missing")


def test_what_comes_with_the_software_is_whole_and_synthetic(store: Store) -> None:
    for entry in Registry(store).shipped_models():
        assert entry.synthetic
        assert Registry(store).add_model(entry.folder).is_dir()  # which verifies the weights
        assert sum(path.stat().st_size for path in entry.folder.iterdir()) < 10e6


def test_an_empty_store_says_that_labels_are_missing(store: Store) -> None:
    with pytest.raises(ModelError, match=r"no model yet.*Give labels"):
        choose(store)


def test_a_named_model_may_come_from_elsewhere_but_has_to_fit(store: Store, tmp_path: Path) -> None:
    elsewhere = added(store, tmp_path, 1, footprint=as_geojson(box(6, 50, 7, 51)))
    added(store, tmp_path, 2)
    assert choose(store, name=elsewhere.name) == elsewhere
    assert choose(store, name=str(tmp_path / "trained-1")) == tmp_path / "trained-1"
    with pytest.raises(ModelError, match=r"doesn't fit the request: trained on L2A, not L1C\. Name another"):
        choose(store, name=elsewhere.name, level="L1C")
    with pytest.raises(ModelError, match=f"'nothing': neither .*{elsewhere.name}"):
        choose(store, name="nothing")
    with pytest.raises(ModelError, match="is not a checkpoint"):
        choose(store, name=str(tmp_path))


def test_a_model_is_copied_whole_under_a_telling_name(store: Store, tmp_path: Path) -> None:
    trained = checkpoint(tmp_path / "trained", 22)
    model = Registry(store).add_model(trained)
    assert model.parent == store.models
    assert model.name.startswith("2026-11-22-L2A-")
    assert {path.name: path.read_bytes() for path in model.iterdir()} == {
        path.name: path.read_bytes() for path in trained.iterdir()
    }
    assert sorted(path.name for path in store.models.iterdir() if not path.name.startswith(".")) == [
        model.name,
        "catalog.json",
    ]


def test_the_same_checkpoint_twice_is_one_model(store: Store, tmp_path: Path) -> None:
    trained = checkpoint(tmp_path / "trained")
    shutil.copytree(trained, tmp_path / "copy")
    registry = Registry(store)
    first = registry.add_model(trained)
    inode = (first / "weights.safetensors").stat().st_ino
    assert registry.add_model(tmp_path / "copy") == first
    assert registry.add_model(first) == first
    assert (first / "weights.safetensors").stat().st_ino == inode
    assert len(registry.models()) == 1


def test_weights_that_were_cut_short_are_refused_and_leave_nothing(store: Store, tmp_path: Path) -> None:
    trained = checkpoint(tmp_path / "trained")
    (trained / "weights.safetensors").write_bytes(b"weig")
    with pytest.raises(ModelError, match=r"not what its item describes.*cut short"):
        Registry(store).add_model(trained)
    assert list(store.models.iterdir()) == []


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "item.json"])
def test_a_folder_with_a_file_missing_is_no_checkpoint(store: Store, tmp_path: Path, name: str) -> None:
    trained = checkpoint(tmp_path / "trained")
    (trained / name).unlink()
    with pytest.raises(ModelError, match=f"is not a checkpoint: no {name}"):
        Registry(store).add_model(trained)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", "{", "config.json can't be understood"),
        ("config.json", '{"level": "L3"}', "config.json can't be understood: level"),
        ("item.json", '{"properties": {}}', "item.json can't be understood: properties.created"),
        ("item.json", '{"properties": {"created": "2026-11-01T00:00:00Z"}}', "file:checksum"),
    ],
)
def test_a_checkpoint_that_cannot_be_understood_is_refused(
    store: Store, tmp_path: Path, name: str, text: str, said: str
) -> None:
    trained = checkpoint(tmp_path / "trained")
    (trained / name).write_text(text)
    with pytest.raises(ModelError) as refusal:
        Registry(store).add_model(trained)
    assert said in str(refusal.value)


def test_a_broken_model_hides_no_other(store: Store, tmp_path: Path) -> None:
    good = added(store, tmp_path, 1)
    bad = added(store, tmp_path, 2)
    (bad / "config.json").write_text("{}")
    assert choose(store) == good
    assert [model.folder for model in Registry(store).models()] == [good]
    with pytest.raises(ModelError, match=rf"\n  {bad.name}: .*config\.json can't be understood"):
        choose(store, level="L1C")


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "models").write_text("in the way")
    with pytest.raises(StoreError, match="can't copy the model"):
        Registry(Store(tmp_path / "store")).add_model(checkpoint(tmp_path / "trained"))


def test_the_models_can_be_browsed(store: Store, tmp_path: Path) -> None:
    added(store, tmp_path, 1)
    added(store, tmp_path, 2)
    catalog = pystac.Catalog.from_file(str(store.models / "catalog.json"))
    items = list(catalog.get_items())
    assert sorted(item.id for item in items) == ["model-1", "model-2"]
    for item in items:
        href = item.assets["weights"].get_absolute_href()
        assert href is not None
        assert Path(href).is_file()


def delivered(folder: Path, name: str = "crop-map-2019-abc") -> Path:
    folder.mkdir(parents=True)
    (folder / "crop_map.tif").write_bytes(b"map")
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "geometry": as_geojson(AREA),
        "bbox": list(AREA.bounds),
        "properties": {"datetime": "2019-07-31T00:00:00Z"},
        "links": [{"rel": "root", "href": "./nowhere.json"}],
        "assets": {"crop_map": {"href": "./crop_map.tif"}, "remote": {"href": "https://host/x.tif"}},
    }
    (folder / "item.json").write_text(json.dumps(item))
    return folder / "item.json"


def test_the_maps_can_be_browsed(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    listed = registry.add_map(delivered(tmp_path / "one", "one"))
    registry.add_map(delivered(tmp_path / "two", "two"))
    registry.add_map(tmp_path / "one" / "item.json")
    items = list(pystac.Catalog.from_file(str(store.maps / "catalog.json")).get_items())
    assert [item.id for item in items] == ["one", "two"]
    assert listed == store.maps / "one" / "one.json"
    assert items[0].assets["crop_map"].get_absolute_href() == str(tmp_path / "one" / "crop_map.tif")
    assert json.loads(listed.read_text())["assets"]["crop_map"]["href"].startswith("../"), "also where both are served"
    assert items[0].assets["remote"].href == "https://host/x.tif"
    original = json.loads((tmp_path / "one" / "item.json").read_text())
    assert original["assets"]["crop_map"]["href"] == "./crop_map.tif"


def test_a_map_that_was_removed_is_no_longer_listed(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    registry.add_map(delivered(tmp_path / "one", "one"))
    shutil.rmtree(tmp_path / "one")
    registry.add_map(delivered(tmp_path / "two", "two"))
    assert [item.id for item in pystac.Catalog.from_file(str(store.maps / "catalog.json")).get_items()] == ["two"]


def test_a_map_that_another_one_replaced_is_no_longer_listed(store: Store, tmp_path: Path) -> None:
    registry = Registry(store)
    registry.add_map(delivered(tmp_path / "here", "one"))
    assert listed_folder(store, "one") == tmp_path / "here"
    shutil.rmtree(tmp_path / "here")
    registry.add_map(delivered(tmp_path / "here", "two"))
    assert [item.id for item in pystac.Catalog.from_file(str(store.maps / "catalog.json")).get_items()] == ["two"]
    assert listed_folder(store, "one") is None, "that name would lead to the other map"
    assert name_of(store, tmp_path / "here") == "two"


def test_a_maps_name_stays_in_the_store(store: Store, tmp_path: Path) -> None:
    listed = Registry(store).add_map(delivered(tmp_path / "one", "../../escaped"))
    assert listed.resolve().is_relative_to(store.maps.resolve())
    assert listed.parent.parent == store.maps


def test_what_is_no_item_is_refused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "item.json"
    for text in ("{", "[]", '{"id": "a", "assets": {"a": {}}}'):
        path.write_text(text)
        with pytest.raises(StoreError, match=r"item\.json is not the STAC item of a map"):
            Registry(store).add_map(path)


def test_many_writers_lose_no_map(store: Store, tmp_path: Path) -> None:
    items = [delivered(tmp_path / f"map-{index}", f"map-{index}") for index in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda item: Registry(store).add_map(item), items))
    listed = json.loads((store.maps / "catalog.json").read_text())["links"]
    assert sum(link["rel"] == "item" for link in listed) == 12


def test_a_model_that_takes_fewer_dates_is_passed_over(store: Store, tmp_path: Path) -> None:
    older = added(store, tmp_path, 1)
    newest = added(store, tmp_path, 12, max_dates=10)
    assert choose(store, dates=10) == newest
    assert choose(store, dates=11) == older
    with pytest.raises(ModelError, match="takes 10 dates at most, the season has 11"):
        choose(store, name=newest.name, dates=11)
