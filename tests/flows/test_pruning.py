"""Pruning removes what can be made anew and nothing uses, the least recently used first; nothing else."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import cube_kit
import pytest
from shapely.geometry import box, mapping
from typer.testing import CliRunner

from catalog import subscriptions
from catalog.area import parse_area
from catalog.area_file import settled
from catalog.errors import RequestError
from catalog.grid import to_lonlat
from catalog.storage.bucket_path import BucketPath
from catalog.storage.scratch import scratch_folder
from catalog.storage.store import CellPath, Store, open_store
from flows.commands.main import app
from flows.pruning import Kind, Prunable, prune
from flows.request import MapRequest
from flows.run import open_run
from flows.run_folder import RunFolder
from flows.settings import Settings

DAY = 24 * 3600
MONTH = timedelta(days=30)
AREA = mapping(to_lonlat(box(*cube_kit.square(100, 100).bounds), cube_kit.CELL.epsg))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def _own_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def request_of(year: int) -> MapRequest:
    return MapRequest(area=AREA, year=year, source="mission:seed=1")


def ran(store: Store, year: int, days_ago: float, size: int = 1000) -> RunFolder:
    """What a run leaves, the last of it so many days ago."""
    folder = RunFolder.of(store, request_of(year).digest)
    (folder.results / "c").mkdir(parents=True)
    (folder.results / "c" / "0").write_bytes(b"x" * size)
    folder.request.write_text(request_of(year).model_dump_json())
    folder.delivered.write_text("{}")
    folder.lock.touch()
    aged(folder.request, days_ago)
    return folder


def aged(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    for file in (*path.rglob("*"), path) if path.is_dir() else (path,):
        os.utime(file, (then, then))


def names(shown: list[Prunable]) -> list[str]:
    return [Path(item.name).name for item in shown]


def test_runs_go_by_age(store: Store) -> None:
    old, new = ran(store, 2018, 40), ran(store, 2019, 20)
    (store.root / "models" / "mine").mkdir(parents=True)
    shown, _ = prune(store, [Kind.RUNS], MONTH, None, dry_run=True)
    assert names(shown) == [old.path.name]
    assert old.results.is_dir()
    removed, used = prune(store, [Kind.RUNS], MONTH, None)
    assert removed == shown
    assert used == []
    assert not old.path.exists()
    assert new.results.is_dir()
    assert (store.root / "models" / "mine").is_dir()


def test_runs_go_until_little_enough_is_left(store: Store) -> None:
    folders = [ran(store, 2017 + index, 10 - index, size=100_000) for index in range(4)]
    removed, _ = prune(store, [Kind.RUNS], None, 250_000)
    assert names(removed) == [folder.path.name for folder in folders[:2]]
    assert [folder.results.exists() for folder in folders] == [False, False, True, True]


def test_without_a_limit_no_run_goes(store: Store) -> None:
    ran(store, 2018, 400)
    assert prune(store, [Kind.RUNS], None, None) == ([], [])


def test_the_record_that_a_subscription_needs_stays(store: Store) -> None:
    folder = ran(store, 2018, 40)
    subscriptions.add(store, request_of(2018).model_dump(mode="json"))
    removed, _ = prune(store, [Kind.RUNS], MONTH, None)
    assert names(removed) == [folder.path.name]
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "delivered.json"]
    assert prune(store, [Kind.RUNS], timedelta(0), None) == ([], [])


def test_a_long_area_goes_with_the_last_run_that_names_it(store: Store) -> None:
    ring = [[3 + math.cos(turn / 1500) / 50, 51 + math.sin(turn / 1500) / 50] for turn in range(9000)]
    long = settled(store, parse_area({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}), None)
    assert isinstance(long, str)
    old, new = ran(store, 2018, 40), ran(store, 2019, 20)
    for folder, year, days in ((old, 2018, 40), (new, 2019, 20)):
        folder.request.write_text(json.dumps(request_of(year).model_dump(mode="json") | {"area": long}))
        aged(folder.request, days)
    aged(Path(long), 40)
    assert names(prune(store, [Kind.RUNS], MONTH, None)[0]) == [old.path.name]
    aged(new.request, 40)
    removed, used = prune(store, [Kind.RUNS], MONTH, None)
    assert (names(removed), used) == ([new.path.name, Path(long).name], [])
    assert not Path(long).exists()


@pytest.mark.parametrize("needed_by", ["a subscription", "a request of today"])
def test_an_area_that_is_still_asked_for_stays(store: Store, needed_by: str) -> None:
    ring = [[3 + math.cos(turn / 1500) / 50, 51 + math.sin(turn / 1500) / 50] for turn in range(9000)]
    area = parse_area({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    long = settled(store, area, None)
    aged(Path(str(long)), 40)
    if needed_by == "a subscription":
        subscriptions.add(store, {"area": long, "year": 2018})
    else:
        assert settled(store, area, long) == long
    assert prune(store, [Kind.RUNS], MONTH, None) == ([], [])
    assert Path(str(long)).is_file()


def test_a_run_that_goes_on_is_left(store: Store) -> None:
    request = request_of(2019)
    with open_run(request, Settings(store=str(store.root))) as run:
        aged(run.folder.request, 40)
        removed, used = prune(store, [Kind.RUNS], MONTH, None)
        assert (names(removed), names(used)) == ([], [run.folder.path.name])
        assert prune(store, [Kind.RUNS], MONTH, None, dry_run=True) == (removed, used)
        assert run.folder.request.is_file()
    assert names(prune(store, [Kind.RUNS], MONTH, None)[0]) == [request.digest]


def cubes_at(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, CellPath]:
    """A store with one cell, on disk or in a bucket."""
    if kind == "bucket":
        bucket: BucketPath = request.getfixturevalue("bucket")
        store = Store(tmp_path / "store", bucket)
    else:
        store = open_store(str(tmp_path / "store"))
    return store, cube_kit.new_cell(store.cubes / "source" / "L2A")


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_cells_go_unless_a_run_needs_them(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    store, path = cubes_at(kind, request, tmp_path)
    assert prune(store, [Kind.CUBES], MONTH, None) == ([], [])
    with open_run(request_of(2019), Settings(store=str(store.root))):
        removed, used = prune(store, [Kind.CUBES], None, 0)
        assert (names(removed), names(used)) == ([], [path.name])
    assert path.exists()
    if isinstance(path, Path):
        path.with_name(f"{path.name}.claims").mkdir()
    removed, used = prune(store, [Kind.CUBES], None, 0)
    assert (names(removed), names(used)) == ([path.name], [])
    assert not path.exists()
    if isinstance(path, Path):
        assert [left.name for left in path.parent.iterdir()] == [f"{path.name}.lock"]
    assert prune(store, [Kind.CUBES], None, 0) == ([], [])


def test_a_cell_that_a_run_read_lately_is_not_old(store: Store) -> None:
    path = cube_kit.new_cell(store.cubes / "source" / "L2A")
    assert isinstance(path, Path)
    aged(path, 400)
    folder = ran(store, 2019, 3)
    assert prune(store, [Kind.CUBES], MONTH, None) == ([], [])
    aged(folder.request, 50)
    assert names(prune(store, [Kind.CUBES], MONTH, None)[0]) == [path.name]


def test_scratch_of_killed_processes_goes(store: Store, tmp_path: Path) -> None:
    left, elsewhere = tmp_path / "tmp" / "cropline-scratch-dead0123", tmp_path / "precious"
    for folder in (
        left,
        elsewhere,
        tmp_path / "tmp" / "cropline-scratch-new01234",
        store.root / "models" / ".mine-0123abcd",
    ):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 10)
    (tmp_path / "tmp" / "cropline-scratch-link0123").symlink_to(elsewhere)
    aged(left, 2)
    aged(store.root / "models" / ".mine-0123abcd", 2)
    damaged = store.root / "cubes" / "source" / "L2A" / "32631_0056_0549.zarr.damaged-0123abcd"
    damaged.mkdir(parents=True)
    aged(damaged, 2)
    with scratch_folder() as held:
        aged(held, 2)
        removed, used = prune(store, [Kind.SCRATCH], None, None)
        assert held.is_dir()
    assert not held.exists()
    assert sorted(names(removed)) == [".mine-0123abcd", damaged.name, "cropline-scratch-dead0123"]
    assert used == []
    assert not left.exists()
    assert (elsewhere / "file").is_file()
    assert (tmp_path / "tmp" / "cropline-scratch-new01234").is_dir()


def test_the_command_says_what_went(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(store.root))
    folder = ran(store, 2018, 40, size=2_500_000)
    trial = CliRunner().invoke(app, ["prune", "--older-than", "30", "--dry-run"])
    assert f"2.5 MB  last used {time.strftime('%Y-%m-%d', time.gmtime(time.time() - 40 * DAY))}" in trial.stdout
    assert "Would free 2.5 MB in 1 places." in trial.stdout
    assert folder.results.is_dir()
    done = CliRunner().invoke(app, ["prune", "runs", "--older-than", "30", "--json"])
    assert [item["name"] for item in json.loads(done.stdout)["removed"]] == [str(folder.path)]
    assert not folder.path.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cubes"], "cubes: say which cells may go: --older-than DAYS, --keep GB"),
        (["models"], "'models' is not a valid Kind. What can be removed is runs, cubes and scratch"),
    ],
)
def test_what_is_not_clear_is_refused(
    words: list[str], said: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(store.root))
    outcome = CliRunner().invoke(app, ["prune", *words])
    assert isinstance(outcome.exception, RequestError)
    assert said in str(outcome.exception)
