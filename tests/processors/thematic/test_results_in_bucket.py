"""Results of patches in a bucket: as in a folder, and of two writers of one patch the first counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from thematic_kit import write_model

from catalog.errors import StoreError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import Store
from processors.engine.opening import open_engine
from processors.thematic.protocol import Job
from processors.thematic.results import open_results, remove
from processors.thematic.run_results import forget_shared, results_path
from processors.thematic.sent_job import sent_job, share_model

SHAPE = (3, 1, 4, 4)


def fields(value: float) -> np.ndarray:
    return np.full(SHAPE[1:], value, np.float32)


def test_the_first_of_two_writers_counts(bucket: BucketPath) -> None:
    results = open_results(bucket, SHAPE, "a run")
    assert results.todo() == [0, 1, 2]
    first, second = results.writer(), results.writer()
    first(1, fields(5))
    second(1, fields(6))
    assert results.todo() == [0, 2]
    assert results.todo([1, 2]) == [2]
    np.testing.assert_array_equal(results.read(1), fields(5))
    with pytest.raises(StoreError, match="patch 0 has no result yet"):
        results.read(0)


def test_the_same_run_finds_its_results_and_another_one_replaces_them(bucket: BucketPath) -> None:
    open_results(bucket, SHAPE, "a run").writer()(1, fields(5))
    assert open_results(bucket, SHAPE, "a run").todo() == [0, 2]
    assert open_results(bucket, SHAPE, "another").todo() == [0, 1, 2]
    remove(bucket)
    assert bucket.sizes() == {}


def test_a_damaged_result_is_taken_back_and_written_again(bucket: BucketPath) -> None:
    results = open_results(bucket, SHAPE, "a run")
    write = results.writer()
    for index in range(3):
        write(index, fields(index + 1))
    chunk = bucket / "fields/c/1/0/0/0"
    whole = chunk.read()
    assert whole is not None
    chunk.put(whole[0][:-5])
    (bucket / "done/c/2").put(b"")
    assert results.forget_damaged() == [1, 2]
    assert results.todo() == [1, 2]
    results.writer()(1, fields(7))
    np.testing.assert_array_equal(results.read(1), fields(7))
    np.testing.assert_array_equal(results.read(0), fields(1))


def test_a_model_beside_them_is_fetched_once_and_another_one_is_another(bucket: BucketPath, tmp_path: Path) -> None:
    job = Job(level="L2A", year=2019, months=(1, 7), days=(0,), bands=("B04",), synthetic=True)
    model = write_model(tmp_path / "a model", ("B04",))
    job = job.model_copy(update={"model": model})
    share_model(job, bucket)
    sent = sent_job("crop-map", job, bucket)
    assert sent_job("crop-map", job, tmp_path).model is None  # whoever sees the folder sees the model
    assert sent.model is not None
    assert set(sent.model.sizes()) == {file.name for file in model.iterdir()}
    processor = sent.make()
    assert sent.make() is processor
    (model / "config.json").write_text((model / "config.json").read_text() + " ")
    assert sent_job("crop-map", job, bucket).model != sent.model
    with pytest.raises(StoreError, match="no model is there"):
        sent_job("crop-map", job, bucket).make()


def test_two_installations_that_run_the_same_request_have_results_of_their_own(
    bucket: BucketPath, tmp_path: Path
) -> None:
    store, elsewhere = Store(tmp_path, bucket), _Elsewhere()
    folders = [tmp_path / name / "abc123" for name in ("one", "other")]
    for folder in folders:
        folder.mkdir(parents=True)
    paths = [results_path(folder / "results.zarr", folder / "name.txt", store.cubes, elsewhere) for folder in folders]
    assert len(set(map(str, paths))) == 2
    assert str(paths[0]).startswith(f"{bucket}/runs/abc123-")
    open_results(paths[0], SHAPE, "a run")
    open_results(paths[1], SHAPE, "a run")
    forget_shared(folders[0] / "name.txt", store.cubes)
    assert not paths[0].exists()
    assert paths[1].exists()
    with open_engine("threads", 1) as here:
        assert (
            results_path(folders[0] / "results.zarr", folders[0] / "name.txt", store.cubes, here)
            == folders[0] / "results.zarr"
        )


class _Elsewhere:
    shares_files = False
