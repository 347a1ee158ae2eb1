"""Running a processor over patches: the same with any number of processes, resumed, and clear when a worker dies."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import plug_kit
import pytest
import zarr

from agrunet.data.patches import Patch
from catalog.errors import CroplineError, RequestError, StoreError, WorkerError
from catalog.grid import Window
from catalog.storage.store import Store
from processors.patches.cube_patches import CubePatches
from processors.season import Season, SeasonAcquisition
from processors.thematic.protocol import Job
from processors.thematic.runner import Results, run_processor
from processors.thematic.shard import cut_shards

JOB = Job(level="L2A", year=2019, months=(4, 5), days=(0, 5), bands=("B04",), synthetic=True)
START = datetime(2019, 4, 1, tzinfo=UTC)
PROCESSORS = ("sum", "environment", "dying", "deadly", "refusing", "broken", "misshapen", "lazy")


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = plug_kit
    packages = tmp_path / "packages"
    module.install(packages, "kit", **{name: f"plug_kit:{name.capitalize()}" for name in PROCESSORS})
    monkeypatch.syspath_prepend(packages)
    return module


def expected(index: int, factor: float = 1.0) -> np.ndarray:
    # Two dates of 10 * index + 1, the second with the column number added.
    total = np.float32(factor) * (20 * index + 2 + np.arange(4, dtype=np.float32))
    return np.stack([np.tile(total, (4, 1)), np.full((4, 4), factor, np.float32)])


def bytes_of(results: Path) -> dict[str, bytes]:
    return {str(path.relative_to(results)): path.read_bytes() for path in sorted(results.rglob("*")) if path.is_file()}


def test_each_patch_is_written_as_one_chunk_and_told(kit: ModuleType, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run_processor("sum", JOB, kit.Made(5), tmp_path / "r", progress=lambda done, of: told.append((done, of)))
    assert told == [(number, 5) for number in range(6)]
    stored = Results(tmp_path / "r")
    assert stored.todo() == []
    for index in range(5):
        np.testing.assert_array_equal(stored.read(index), expected(index))
    group = zarr.open_group(tmp_path / "r", mode="r")
    assert (group["fields"].shape, group["fields"].chunks) == ((5, 2, 4, 4), (1, 2, 4, 4))
    assert group["fields"].dtype == np.float32
    assert (group["done"].chunks, group["done"][:].tolist()) == ((1,), [1] * 5)


def test_two_processes_write_the_same_bytes_as_one(kit: ModuleType, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    told: list[tuple[int, int]] = []
    run_processor("sum", JOB, kit.Made(9), tmp_path / "one")
    run_processor(
        "sum", JOB, kit.Made(9, notes), tmp_path / "two", processes=2, progress=lambda done, of: told.append((done, of))
    )
    assert bytes_of(tmp_path / "two") == bytes_of(tmp_path / "one")
    assert told == [(number, 9) for number in range(10)]
    read = Counter(int(note.name.split("-")[0]) for note in notes.iterdir())
    assert read == Counter(range(9))  # each by one process, once
    assert str(os.getpid()) not in {note.name.split("-")[1] for note in notes.iterdir()}


def test_only_what_is_not_done_is_done_again(kit: ModuleType, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    run_processor("sum", JOB, kit.Made(6), tmp_path / "r")
    zarr.open_group(tmp_path / "r", mode="r+")["done"][[1, 4]] = 0
    assert Results(tmp_path / "r").todo() == [1, 4]
    with pytest.raises(StoreError, match="patch 4 has no result yet"):
        Results(tmp_path / "r").read(4)
    told: list[tuple[int, int]] = []
    run_processor("sum", JOB, kit.Made(6, notes), tmp_path / "r", progress=lambda done, of: told.append((done, of)))
    assert sorted(int(note.name.split("-")[0]) for note in notes.iterdir()) == [1, 4]
    assert told == [(4, 6), (5, 6), (6, 6)]


@pytest.mark.parametrize("change", ["parameters", "patches", "model", "nothing"])
def test_results_of_another_job_are_replaced(kit: ModuleType, tmp_path: Path, change: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    job = JOB.model_copy(update={"model": model})
    run_processor("sum", job, kit.Made(3), tmp_path / "r")
    notes = tmp_path / "notes"
    notes.mkdir()
    if change == "parameters":
        job = job.model_copy(update={"parameters": {"factor": 3.0}})
    if change == "model":
        (model / "weights").write_text("other")
    count = 4 if change == "patches" else 3
    run_processor("sum", job, kit.Made(count, notes), tmp_path / "r")
    assert len(list(notes.iterdir())) == (0 if change == "nothing" else count)
    np.testing.assert_array_equal(Results(tmp_path / "r").read(2), expected(2, job.parameters.get("factor", 1.0)))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_same_windows_of_other_products_or_masks_are_done_again(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def patches(product: str, left: int = 0, dilation: int = 60) -> CubePatches:
        acquisition = SeasonAcquisition(
            id="a", time=START, platform="S2A", baseline="05.09", cloud_cover=None, valid_fraction=1, clear_fraction=1,
            sun_zenith=40, products=(product,), used=True, reason="",
        )  # fmt: skip
        masks = ({"version": 1, "dilation": dilation},)
        season = Season(level="L2A", start=START, acquisitions=(acquisition,), bands=("B04",), masks=masks)
        return CubePatches(Store(tmp_path), "source", "L2A", season, [Window(32631, left, 9, 4, 4)], ["B04"])

    def made(self: CubePatches, index: int) -> Patch:
        read.append(index)
        patch: Patch = kit.Made(1).read(index)
        return patch

    monkeypatch.setattr(CubePatches, "read", made)
    for source in (
        patches("old"),
        patches("old"),
        patches("new"),
        patches("new", left=1),
        patches("new", 1, dilation=80),
    ):
        run_processor("sum", JOB, source, tmp_path / "r")
    assert read == [0, 0, 0, 0]


def test_the_shard_of_a_killed_worker_is_taken_over(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUG_KIT_DIED", str(tmp_path / "died"))
    told: list[tuple[int, int]] = []
    run_processor(
        "dying", JOB, kit.Made(8), tmp_path / "r", processes=2, progress=lambda done, of: told.append((done, of))
    )
    assert (tmp_path / "died").exists()
    assert told == [(number, 8) for number in range(9)]
    for index in range(8):
        np.testing.assert_array_equal(Results(tmp_path / "r").read(index), expected(index))


def test_a_patch_that_kills_every_worker_is_told_and_what_was_done_is_kept(kit: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(
        WorkerError,
        match=r"3 workers died, .* at patches 3(, \d)* \(killed: .* of 8 patches are done and kept; run again",
    ):
        run_processor("deadly", JOB, kit.Made(8), tmp_path / "r", processes=2)
    left = Results(tmp_path / "r").todo()
    assert 3 in left
    assert len(left) < 8
    notes = tmp_path / "notes"
    notes.mkdir()
    with pytest.raises(WorkerError, match=r"at patches 3(, \d)* "):
        run_processor("deadly", JOB, kit.Made(8, notes), tmp_path / "r", processes=2)
    read = {int(note.name.split("-")[0]) for note in notes.iterdir()}
    assert read <= set(left)
    for index in set(range(8)) - set(left):
        np.testing.assert_array_equal(Results(tmp_path / "r").read(index), expected(index))


def test_shards_hold_each_patch_once_in_order_and_end_small() -> None:
    todo = [3, 4, 8, 9, *range(20, 60)]
    shards = list(cut_shards(todo, 2))
    assert [index for shard in shards for index in shard] == todo
    assert [len(shard) for shard in shards] == [11, 9, 6, 5, 4, 3, 2, 1, 1, 1, 1]


def test_an_error_for_the_user_comes_through_from_a_worker(kit: ModuleType, tmp_path: Path) -> None:
    for processes in (1, 2):
        with pytest.raises(RequestError, match="patch 2 is not to my taste"):
            run_processor("refusing", JOB, kit.Made(4), tmp_path / f"r{processes}", processes=processes)
        assert 2 in Results(tmp_path / f"r{processes}").todo()


def test_a_bug_in_a_worker_comes_with_its_traceback(
    kit: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkerError, match=r"(?s)processor broken failed in a worker.*ZeroDivisionError: in patch"):
        run_processor("broken", JOB, kit.Made(4), tmp_path / "r", processes=2)


def test_a_processor_that_breaks_its_promise_is_named(kit: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(CroplineError, match=r"misshapen 1 gave patch 0 with shape \(4, 4\).* with \(2, 4, 4\)"):
        run_processor("misshapen", JOB, kit.Made(2), tmp_path / "a")
    with pytest.raises(CroplineError, match=r"lazy 1 gave no result for patch 1 and 1 more"):
        run_processor("lazy", JOB, kit.Made(3), tmp_path / "b")


def test_workers_share_the_cores_and_are_given_their_device(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("PLUG_KIT_HERE", str(here))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    run_processor("environment", JOB, kit.Made(4), tmp_path / "r", processes=2, devices=("4", "5"))
    assert os.environ["OMP_NUM_THREADS"] == "77"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    fields = np.stack([Results(tmp_path / "r").read(index)[:, 0, 0] for index in range(4)])
    assert set(fields[:, 0]) == {3.0}
    assert set(fields[:, 1]) == {4.0, 5.0}


def test_all_gpus_of_the_machine_are_used_without_being_asked(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("PLUG_KIT_HERE", str(here))
    run_processor("environment", JOB, kit.Made(4), tmp_path / "r", processes=None)
    assert {float(Results(tmp_path / "r").read(index)[1, 0, 0]) for index in range(4)} == {6.0, 7.0}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6")
    notes = tmp_path / "notes"
    notes.mkdir()
    run_processor("sum", JOB, kit.Made(2, notes), tmp_path / "one", processes=None)
    assert {note.name.split("-")[1] for note in notes.iterdir()} == {str(os.getpid())}


def test_a_folder_that_cannot_be_written_is_told(kit: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"can't write .*file/r"):
        run_processor("sum", JOB, kit.Made(1), tmp_path / "file" / "r")


def damaged(data: bytes, how: str, position: int) -> bytes:
    """A file's content after a fault of the disk."""
    if how == "cut":
        return data[: len(data) // 2]
    if how == "empty":
        return b""
    at = position % len(data)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("how", ["cut", "empty", "flip"])
def test_whatever_file_is_damaged_the_next_run_ends_with_the_same_results(
    kit: ModuleType, tmp_path: Path, how: str
) -> None:
    results = tmp_path / "r"
    run_processor("sum", JOB, kit.Made(2), results)
    whole = bytes_of(results)
    assert sorted(whole) == [
        "done/c/0", "done/c/1", "done/zarr.json", "fields/c/0/0/0/0", "fields/c/1/0/0/0", "fields/zarr.json", "zarr.json",
    ]  # fmt: skip
    for name, data in whole.items():
        for position in range(0, len(data), max(1, len(data) // 12)) if how == "flip" else (0,):
            (results / name).write_bytes(damaged(data, how, position))
            run_processor("sum", JOB, kit.Made(2), results)
            stored = Results(results)
            for index in range(2):
                np.testing.assert_array_equal(
                    stored.read(index), expected(index), err_msg=f"{name} {how} at {position}"
                )
            for other, content in whole.items():
                (results / other).write_bytes(content)
