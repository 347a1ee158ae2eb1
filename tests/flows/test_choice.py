"""A request's candidates: checkpoints, other processors of the same product and other places, in one list with one choice."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import plug_kit
import pytest
from checkpoint_kit import checkpoint, scored

from catalog.candidates import Choice
from catalog.errors import ModelError, RequestError
from catalog.products import LEVEL_BANDS
from catalog.promotions import Decision, decided
from catalog.registry import Registry
from catalog.storage.store import Store
from catalog.zone import Zone
from flows.choice import TOO_LATE, TRAINED, Known, choose_maker
from flows.rates import RunRecord, remember
from flows.request import MapRequest
from flows.settings import Settings

SOURCE = "stac:/archive/catalog.json"
WORK = {"pixels": 1.0, "pixel_dates": 20.0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Settings(store=str(tmp_path / "store")).open_store()


def added(store: Store, day: int, **fields: Any) -> str:
    folder = checkpoint(store.root / f"trained-{day}", day, weights=b"%d" % day, **fields)
    return Registry(store).add_model(folder).name


def request(**fields: Any) -> MapRequest:
    return MapRequest(**{"area": [4.2, 50.2, 4.21, 50.21], "year": 2019, "source": SOURCE, **fields})


def chosen(store: Store, asked: MapRequest, **how: Any) -> Choice:
    known = Known(frozenset(LEVEL_BANDS[asked.level]), False, SOURCE, WORK)
    return choose_maker(asked, Settings(store=str(store.root)), store, Zone.of(asked.polygon), known, **how)


def ran(store: Store, processor: str, model: str | None, seconds: float, place: str = "cropline") -> None:
    """A run of this much work was measured."""
    record = RunRecord(
        source="stac:file", processor=processor, model=model, place=place, work=WORK, seconds={"thematic": seconds}
    )
    remember(store, record)


def rows(choice: Choice) -> list[tuple[str, str | None, str, bool]]:
    return [(one.processor, one.model, one.place, one.taken) for one in choice.candidates]


def test_without_a_wish_the_model_in_use_is_taken_by_the_processor_that_is_named(store: Store) -> None:
    old = added(store, 1, scores=scored(0.6, (0.5, 0.7)))
    new = added(store, 2, scores=scored(0.8, (0.75, 0.85)))
    Registry(store).decide(decided(old, Decision.FIRST, "the first"))
    Registry(store).decide(decided(new, Decision.UNPROVEN, "unproven"))
    far = added(store, 3, level="L1C")
    choice = chosen(store, request())
    assert (choice.processor, choice.folder) == ("crop-map", store.models / old)
    assert rows(choice)[:4] == [
        ("crop-map", old, "cropline", True),
        ("crop-map", new, "cropline", False),
        ("crop-map", far, "", False),
        ("crop-map", "simulated-18-crops", "", False),
    ]
    reasons = {(one.processor, one.model): one for one in choice.candidates}
    assert reasons["crop-map", new].reason == "unproven", "the gate decides, whatever else is better"
    assert reasons["crop-map", far].reason == "trained on L1C, not L2A"
    fast = reasons["crop-map-fast", old]
    assert fast.reason.startswith(f"not clearly better than crop-map, {old}")
    assert fast.accuracy is not None
    assert "was not measured on its fields" in fast.accuracy.evidence
    assert (fast.level, fast.bands) == ("L2A", ("B02", "B03", "B04", "B08"))
    assert not fast.measured


def test_time_is_told_by_runs_of_the_same_processor_model_and_place(store: Store) -> None:
    used, forest = added(store, 1), added(store, 2)
    Registry(store).decide(decided(used, Decision.USER, "by the user"))
    ran(store, "crop-map", used, 300)
    assert chosen(store, request(prefer="time")).processor == "crop-map", "nothing else was measured"
    ran(store, "crop-map-fast", used, 90, place="elsewhere")
    assert chosen(store, request(prefer="time")).processor == "crop-map", "that was measured elsewhere"
    ran(store, "crop-map-fast", used, 90)
    choice = chosen(store, request(prefer="time"))
    assert (choice.processor, choice.taken.model, choice.taken.measured) == ("crop-map-fast", used, True)
    ran(store, "crop-map", forest, 3)
    choice = chosen(store, request(prefer="time"))
    assert (choice.processor, choice.folder) == ("crop-map", store.models / forest)
    assert chosen(store, request(prefer="time", model=used)).taken.model == used, "a name leaves no other model"
    assert chosen(store, request()).taken.model == used


def test_a_deadline_that_nothing_keeps_is_refused_before_and_said_after(store: Store) -> None:
    used = added(store, 1)
    ran(store, "crop-map", used, 300)
    ran(store, "crop-map-fast", used, 90)

    def within(seconds: float) -> MapRequest:
        return request(deadline=datetime.now(UTC) + timedelta(seconds=seconds))

    assert chosen(store, within(10_000)).processor == "crop-map"
    both = {one.processor: one.seconds or 0 for one in chosen(store, request()).candidates if one.model == used}
    assert chosen(store, within((both["crop-map"] + both["crop-map-fast"]) / 2)).processor == "crop-map-fast"
    with pytest.raises(RequestError, match=r"^deadline: nothing makes this map by .* UTC. Nothing was") as refused:
        chosen(store, within(20))
    assert f"crop-map-fast, {used}, in cropline: too late: about" in str(refused.value)
    late = chosen(store, within(20), begun=True)
    assert late.processor == "crop-map-fast"
    assert late.taken.reason.startswith(TOO_LATE)


def test_other_places_are_listed_and_taken_only_where_the_run_may_go(store: Store) -> None:
    used = added(store, 1)
    places = {"cropline": {}, "gpu": {"gpu": True}, "partner": {"processors": ["vegetation"]}, "far": {}}
    rules = [{"name": "Belgium", "area": [2.5, 49.4, 6.5, 51.6], "places": ["cropline", "gpu", "partner"]}]
    (store.root / "places.json").write_text(json.dumps({"places": places, "rules": rules}))
    ran(store, "crop-map", used, 300)
    ran(store, "crop-map", used, 10, place="gpu")
    assert chosen(store, request(prefer="time"), stays=False).taken.place == "gpu"
    assert chosen(store, request(), stays=False).taken.place == "cropline", "what is here comes first"
    assert chosen(store, request(places=["gpu"]), stays=False).taken.place == "gpu"
    choice = chosen(store, request(prefer="time"))
    assert choice.taken.place == "cropline"
    reasons = {one.place: one.reason for one in choice.candidates if one.processor == "crop-map" and not one.taken}
    assert reasons["gpu"] == "the run is in cropline"
    assert reasons["partner"] == "partner doesn't have it"
    assert reasons["far"] == "the rule 'Belgium' keeps data of the area in cropline or gpu or partner"


def test_a_processor_of_another_package_stands_in_where_it_is_clearly_better(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(store, 1, scores=scored(0.6, (0.5, 0.7)))
    monkeypatch.syspath_prepend(tmp_path)
    plug_kit.install(tmp_path, "one", **{"stand-in": "plug_kit:StandIn", "needs-gpu": "plug_kit:NeedsGpu"})
    monkeypatch.setattr("flows.choice.gpus", lambda: ())
    choice = chosen(store, request())
    assert (choice.processor, choice.folder) == ("stand-in", None)
    assert choice.taken.reason.startswith("clearly better than crop-map, ")
    assert choice.taken.accuracy is not None
    assert choice.taken.accuracy.evidence == "of 300 fields"
    gpu = next(one for one in choice.candidates if one.processor == "needs-gpu")
    assert gpu.reason == "it needs a GPU, and cropline has none"
    for fields, why in (
        ({"crops": ["wheat"]}, "names none"),
        ({"parameters": {"overlap": 8}}, "doesn't take the request's parameters"),
    ):
        choice = chosen(store, request(**fields))
        assert choice.processor == "crop-map"
        assert why in next(one.reason for one in choice.candidates if one.processor == "stand-in")


def test_without_a_model_the_labels_are_learnt_from_or_all_is_refused(store: Store, tmp_path: Path) -> None:
    added(store, 1, level="L1C")
    with pytest.raises(ModelError, match=r"no model fits the request .*\n  .*: trained on L1C, not L2A"):
        chosen(store, request())
    labels = tmp_path / "labels.geojson"
    square = [[[4.2, 50.2], [4.205, 50.2], [4.205, 50.205], [4.2, 50.205], [4.2, 50.2]]]
    feature = {"type": "Feature", "properties": {"crop": 1}, "geometry": {"type": "Polygon", "coordinates": square}}
    labels.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    choice = chosen(store, request(labels=str(labels)))
    assert (choice.processor, choice.folder, choice.taken.seconds) == ("crop-map", None, None)
    assert choice.candidates[0].taken
    assert choice.taken.reason == TRAINED
    with pytest.raises(ModelError, match="no model fits"):
        chosen(store, request(labels=str(labels)), trains=False)
    late = request(labels=str(labels), deadline=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(RequestError, match="nobody can say yet how long it takes"):
        chosen(store, late)


def test_a_model_that_cannot_name_the_crops_is_not_taken(store: Store) -> None:
    old = added(store, 1, scores=scored(0.6, (0.5, 0.7)))
    Registry(store).decide(decided(old, Decision.FIRST, "the first"))
    with pytest.raises(RequestError, match=r"the model names no 'quinoa'\. It has"):
        chosen(store, request(crops=["quinoa"]))


def test_a_processor_without_a_model_has_a_list_of_its_own(store: Store) -> None:
    choice = chosen(store, request(processor="vegetation"))
    assert rows(choice) == [("vegetation", None, "cropline", True)]
    assert choice.taken.reason == "the only one that can serve"
    ran(store, "vegetation", None, 5)
    assert chosen(store, request(processor="vegetation")).taken.measured
