"""What machines share through the bucket of their cubes: models, which of them are in use, long areas, and the turn of a request."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from catalog.area import Area, parse_area
from catalog.area_file import settled
from catalog.errors import StoreUnreachableError
from catalog.promotions import RECORD, Decision, Promotion, read_promotions
from catalog.registry import SHIPPED, Registry
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import Store
from flows import shared_store
from flows.checked_request import check_request
from flows.reporting.progress import Several
from flows.settings import Settings
from flows.shared_store import (
    exchange_models,
    hand_over_models,
    share_area,
    take_area,
    turn_among_machines,
)
from processors.cube.lock import Lease

LONG = {
    "type": "Polygon",
    "coordinates": [[[4 + i / 1e5, 50.0] for i in range(9000)] + [[4.05, 50.05], [4.0, 50.05], [4.0, 50.0]]],
}


@pytest.fixture
def machine(bucket: BucketPath, tmp_path: Path) -> Callable[[str], Store]:
    """Makes a store of its own for each name; all have their cubes in one bucket."""

    def make(name: str) -> Store:
        (tmp_path / name).mkdir(exist_ok=True)
        return Store(tmp_path / name, bucket)

    return make


def _trained(store: Store) -> Path:
    return Registry(store).add_model(next(SHIPPED.iterdir()))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_of_one_machine_is_a_model_of_all(machine: Callable[[str], Store]) -> None:
    one, two = machine("one"), machine("two")
    model = _trained(one)
    exchange_models(two)
    assert Registry(two).models() == []
    exchange_models(one)
    exchange_models(two)
    assert _files(two.models / model.name) == _files(model)
    exchange_models(two)
    assert [entry.name for entry in Registry(two).models()] == [model.name]


def test_a_model_that_is_not_whole_or_not_its_own_is_left_alone(
    machine: Callable[[str], Store], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = machine("one"), machine("two")
    model = _trained(one)
    exchange_models(one)
    shared = one.cubes / "models" / model.name
    assert isinstance(shared, BucketPath)
    weights = (shared / "weights.safetensors").read()
    assert weights is not None
    (shared / "weights.safetensors").put(weights[0][:-1] + b"x")
    (one.cubes / "models" / "half" / "config.json").put(b"{}")  # type: ignore[union-attr]
    (one.cubes / "models" / ".." / ".." / "outside" / "item.json").put(b"{}")  # type: ignore[union-attr]
    exchange_models(two)
    assert Registry(two).models() == []
    assert "is left out" in caplog.text
    assert {path.name for path in two.root.parent.iterdir()} == {"one", "two"}


def test_decisions_of_all_machines_come_together_by_their_time(machine: Callable[[str], Store]) -> None:
    one, two = machine("one"), machine("two")
    lines = [
        Promotion(
            time=datetime(2026, 11, day, tzinfo=UTC), model=f"model-{day}", decision=Decision.FIRST, reason="the first"
        ).model_dump_json(exclude_none=True)
        for day in range(1, 5)
    ]
    for store, own in ((one, lines[::2]), (two, lines[1::2])):
        store.models.mkdir()
        (store.models / RECORD).write_text("".join(f"{line}\n" for line in own))
    for store in (one, two, one, two):
        exchange_models(store)
    for store in (one, two):
        assert (store.models / RECORD).read_text().splitlines() == lines
        assert [entry.model for entry in read_promotions(store.models).entries] == [
            f"model-{day}" for day in range(1, 5)
        ]


def test_a_long_area_goes_along(machine: Callable[[str], Store]) -> None:
    one, two = machine("one"), machine("two")
    area: Area = parse_area(LONG)
    path = settled(one, area, LONG)
    assert isinstance(path, str)
    assert take_area(two, path.replace("one", "gone")) == path.replace("one", "gone"), "nobody has shared it"
    share_area(one, path)
    taken = take_area(two, path.replace("one", "gone"))
    assert Path(taken).parent == two.areas
    assert Path(taken).read_bytes() == Path(path).read_bytes()
    assert settled(two, parse_area(json.loads(Path(taken).read_text())), taken) == taken
    assert take_area(two, "/nowhere/areas/boundary.geojson") == "/nowhere/areas/boundary.geojson"


def test_nothing_is_shared_where_cubes_are_in_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _trained(store)
    before = _files(tmp_path)
    exchange_models(store)
    share_area(store, str(store.areas / "0123456789ab.geojson"))
    with turn_among_machines(store, "digest", Several()):
        pass
    assert _files(tmp_path) == before


def test_the_same_request_waits_for_the_other_machine(machine: Callable[[str], Store]) -> None:
    release, inside = Event(), Event()
    order: list[str] = []

    class Waiting:
        lines: list[str] = []

        def stage(self, name: str, total: int, waits_for: str) -> None:  # noqa: ARG002
            self.lines.append(f"{name}: waiting for {waits_for}")
            release.set()

        def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None: ...

        def finish(self, seconds: float, outcome: str) -> None:  # noqa: ARG002
            self.lines.append(outcome)

    def first() -> None:
        with turn_among_machines(machine("one"), "digest", Several()):
            inside.set()
            assert release.wait(20)
            order.append("first")

    thread = Thread(target=first)
    thread.start()
    assert inside.wait(20)
    with turn_among_machines(machine("two"), "another", Several()):
        order.append("another does not wait")
    with turn_among_machines(machine("two"), "digest", Waiting()):
        order.append("second")
    thread.join()
    assert order == ["another does not wait", "first", "second"]
    assert Waiting.lines == [
        "queue: waiting for the same request, which is running on another machine",
        "the same request has ended",
    ]


def test_a_usual_folder_below_one_that_is_not_here_is_made_here(tmp_path: Path) -> None:
    """As where another machine completed the request; a folder that the user chose stays."""
    settings = Settings(store=str(tmp_path / "store"))
    request = {"area": [3.0, 51.0, 3.02, 51.02], "year": 2019, "source": "mission:seed=1", "processor": "vegetation"}
    usual = check_request(request, tmp_path, settings)
    assert usual.delivery_folder.parent == tmp_path / "deliveries"
    there = {**request, "output": f"/another/machine/deliveries/{usual.delivery_folder.name}"}
    assert check_request(there, tmp_path, settings).delivery_folder == usual.delivery_folder
    chosen = {**request, "output": str(tmp_path / "new" / "map")}
    assert check_request(chosen, tmp_path, settings).delivery_folder == tmp_path / "new" / "map"


def _away(times: int) -> Callable[..., bool]:
    """A function that finds the bucket away so many times."""
    left = [times]

    def call(*_: object, **__: object) -> bool:
        if left[0]:
            left[0] -= 1
            raise StoreUnreachableError("s3://bucket/lock: can't be reached.")
        return True

    return call


def test_a_bucket_that_stays_away_takes_nothing_from_what_was_made(
    machine: Callable[[str], Store],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Lease, "release", _away(99))
    with turn_among_machines(machine("one"), "digest", Several()):
        pass
    assert "the same request waits elsewhere" in caplog.text
    monkeypatch.setattr(shared_store, "exchange_models", _away(99))
    hand_over_models(machine("one"))
    assert "Models are shared by the next run." in caplog.text
