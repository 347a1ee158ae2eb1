"""From order to raster on a scheduler whose workers share the cubes' bucket and nothing else: the same bits as one process.

Scheduler and workers are processes of their own, talk TLS, and enter the bucket with a key that is theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cube_kit
import dask
import engine_kit
import numpy as np
import plug_kit
import pytest
import torch
from pydantic import SecretStr
from shapely.geometry import box
from thematic_kit import write_model

from catalog.errors import StoreError, WorkerError
from catalog.grid import cells_meeting, to_lonlat, to_zone, window_around
from catalog.products import BANDS, CROP_BANDS, Order
from catalog.storage.bucket_path import BucketPath
from catalog.storage.credentials import S3Access
from catalog.storage.store import CellPath, Store
from processors.engine.opening import open_engine
from processors.engine.protocol import Engine
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.mosaic import mosaic
from processors.patches.cube_patches import CubePatches, PatchGrid, cover
from processors.season import Season, choose_season
from processors.thematic.protocol import Job
from processors.thematic.results import Results
from processors.thematic.run_results import forget_shared, results_path
from processors.thematic.runner import run_processor

MONTHS = (4, 7)
WINDOW = cube_kit.square(row=994, column=500, size=60)

NAME = "shared-results.txt"
"""File of a run that remembers what its results are called in the bucket."""


@pytest.fixture(scope="module")
def engine(s3_server: S3Access, tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Engine]:
    """Two workers that see no file of this process, as far as it knows."""
    folder = tmp_path_factory.mktemp("cluster")
    plugs = plug_kit.install(folder / "packages", "bright", brightness="cropline_brightness:Brightness")
    plug_kit.install(plugs, "source", group="cropline.sources", kit="cube_kit:FolderSource")
    plug_kit.install(plugs, "kit", dying="plug_kit:Dying", deadly="plug_kit:Deadly")
    access = s3_server.model_copy(update={"key": SecretStr("key-of-the-workers")})
    environment = {
        **engine_kit.environment_with(access),
        "PLUG_KIT_DIED": str(folder / "died"),
        "PYTHONPATH": os.pathsep.join(
            [str(plugs), str(Path(plug_kit.__file__).parent), str(repository / "tests" / "plugin_package")]
        ),
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        engine_kit.cluster(folder, 2, environment) as cluster,
        dask.config.set(engine_kit.client_settings(folder / "tls")),
    ):
        patch.syspath_prepend(plugs)
        patch.syspath_prepend(repository / "tests" / "plugin_package")
        with open_engine(cluster.address, resolve=engine_kit.resolved, in_bucket=True, shared_files=False) as opened:
            engine_kit.wait_for_workers(opened, 2)
            yield opened


@pytest.fixture(scope="module")
def order(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Order:
    """Three dates over a square in two cells, each with a cloud of its own."""
    rng = np.random.default_rng(7)
    archive = cube_kit.Archive(tmp_path_factory.mktemp("archive"))
    for number in range(1, 4):
        shapes = {band: (60, 60) if BANDS[band].resolution == 10 else (30, 30) for band in CROP_BANDS}
        bands = {band: rng.integers(1, 6000, shape) for band, shape in shapes.items()}
        scl = np.full((30, 30), 4)
        scl[number : number + 4, 2 * number : 2 * number + 5] = 9
        archive.add(f"p{number}", {**bands, "SCL": scl}, window=WINDOW, time=cube_kit.day(number))
    made: Order = archive.order()
    return made


@pytest.fixture(scope="module")
def area() -> Any:
    return to_lonlat(box(*WINDOW.bounds).buffer(-1), WINDOW.epsg)


@pytest.fixture(scope="module")
def stores(cubes_bucket: BucketPath, order: Order, area: Any, engine: Engine) -> dict[str, Store]:
    """The cubes of the order, by who made them."""
    cells = cells_meeting(to_zone(area, WINDOW.epsg), WINDOW.epsg)
    assert len(cells) == 2
    made = {}
    with open_engine("threads", 2) as threads:
        for name, by in (("threads", threads), ("scheduler", engine)):
            store = Store(Path("/nobody/has/this"), cubes_bucket / name)
            touched = by.run(extend_cells, store, order, cells)
            names = [one.id for one in order.acquisitions]
            for work in (
                partial(ingest_acquisition, store, order, cells=touched, source_address=order.source),
                partial(mask_acquisition, store, order, cells=touched),
            ):
                assert len(list(by.map(work, names))) == len(names)
            made[name] = store
    return made


@pytest.fixture(scope="module")
def season(stores: dict[str, Store], order: Order, area: Any, engine: Engine) -> Season:
    return engine.run(choose_season, stores["scheduler"], order, area, WINDOW.epsg, 0.3, 2)


def test_ingest_and_mask_write_the_same_objects(stores: dict[str, Store], order: Order) -> None:
    one, several = (cube_kit.files_of(stores[name].cubes) for name in ("threads", "scheduler"))
    assert len(order.acquisitions) == 3
    assert len(one) > 50
    assert one == several


def shared(store: Store, run: Path, engine: Engine) -> CellPath:
    """Where a run in that folder keeps its results."""
    return results_path(run / "results.zarr", run / NAME, store.cubes, engine)


def run_both(
    engine: Engine, store: Store, order: Order, season: Season, area: Any, folder: Path, name: str, model: Path | None
) -> list[dict[str, bytes]]:
    """Inference and mosaic in this process and on the scheduler: the rasters' bytes of each."""
    job = Job(
        level="L2A", year=2019, months=MONTHS, days=season.days(order.start), bands=season.bands, synthetic=True,
        model=model, crop_mask=False,
    )  # fmt: skip
    window = window_around(to_zone(area, WINDOW.epsg), WINDOW.epsg)
    windows = cover(window, PatchGrid(16, 4) if model else PatchGrid(8, 2))
    patches = CubePatches(store, order.source_id, "L2A", season, windows, CROP_BANDS if model else season.bands)
    made = []
    with open_engine("threads", 2) as threads:
        for by, run in ((threads, folder / "one"), (engine, folder / "several")):
            (run / "mosaic").mkdir(parents=True)
            results = shared(store, run, by)
            told: list[int] = []
            run_processor(
                name, job, patches, results, 1, lambda done, _, told=told: told.append(done), engine=by,
                resolve=engine_kit.resolved,
            )  # fmt: skip
            assert told == list(range(len(windows) + 1))
            rasters = mosaic(name, job, windows, results, area, window, run / "mosaic", by)
            made.append({variable: path.read_bytes() for variable, path in rasters.items()})
    assert isinstance(results, BucketPath)
    assert shared(store, folder / "several", engine) == results
    assert results.exists()
    forget_shared(folder / "several" / NAME, store.cubes)
    assert (store.cubes / "runs").folders() == []
    return made


def test_a_crop_map_is_the_same_to_the_bit(
    engine: Engine, stores: dict[str, Store], order: Order, season: Season, area: Any, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "a model", bands=CROP_BANDS, months=MONTHS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers have
    try:
        one, several = run_both(engine, stores["threads"], order, season, area, tmp_path, "crop-map", model)
    finally:
        torch.set_num_threads(threads)
    assert sorted(one) == ["confidence", "crop_map"]
    assert one == several


def test_a_processor_of_another_package_runs_there_as_here(
    engine: Engine, stores: dict[str, Store], order: Order, season: Season, area: Any, tmp_path: Path
) -> None:
    one, several = run_both(engine, stores["scheduler"], order, season, area, tmp_path, "brightness", None)
    assert list(one) == ["brightness"]
    assert one == several


PLUG = Job(level="L2A", year=2019, months=(4, 5), days=(0, 5), bands=("B04",), synthetic=True)


def test_the_shard_of_a_worker_that_is_killed_is_taken_over(engine: Engine, bucket: BucketPath) -> None:
    told: list[int] = []
    run_processor(
        "dying", PLUG, plug_kit.Made(8), bucket, progress=lambda done, _: told.append(done), engine=engine,
        resolve=engine_kit.resolved,
    )  # fmt: skip
    assert told == list(range(9))
    results = Results(bucket)
    for index in range(8):
        total = 20 * index + 2 + np.arange(4, dtype=np.float32)
        np.testing.assert_array_equal(results.read(index)[0], np.tile(total, (4, 1)))


def test_a_patch_that_kills_every_worker_is_told(engine: Engine, bucket: BucketPath) -> None:
    with pytest.raises(WorkerError, match=r"3 workers died.* at patches 3"):
        run_processor("deadly", PLUG, plug_kit.Made(5), bucket, engine=engine, resolve=engine_kit.resolved)
    assert 3 in Results(bucket).todo()


def test_workers_that_see_no_files_need_a_bucket(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Set CROPLINE_CUBES"):
        shared(Store(tmp_path), tmp_path, engine)
