"""A crop map of the simulated mission's land: trained on labels of part of it, mapped, and mapped again in other ways."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import zarr
from rasterio.features import rasterize
from shapely import box, to_geojson

from catalog.area import parse_area
from catalog.grid import Window, inside, to_zone, utm_zone, window_around
from catalog.products import Order
from catalog.storage.store import Store
from processors.engine.opening import open_engine
from processors.mosaic import blend, mosaic
from processors.patches.cube_patches import CubePatches, cover
from processors.season import Season
from processors.thematic.protocol import Job
from processors.thematic.registry import make_processor
from processors.thematic.runner import FIELDS, run_processor

STAGES = Path(__file__).with_name("stage_process.py")


@dataclass(frozen=True)
class Mapped:
    """A finished run: where it lies, what the command said, and what the stages were told."""

    folder: Path
    told: dict[str, Any]
    parameters: dict[str, Any]

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    @property
    def run(self) -> Path:
        return next(self.store.runs.iterdir())

    @property
    def order(self) -> Order:
        return Order.model_validate_json((self.run / "order.json").read_text())

    @property
    def season(self) -> Season:
        return Season.model_validate_json((self.run / "season.json").read_text())

    @property
    def job(self) -> Job:
        return Job.model_validate_json((self.run / "job.json").read_text())

    @property
    def window(self) -> Window:
        area = parse_area(self.parameters["area"])
        epsg = utm_zone(area.centroid.x, area.centroid.y)
        return window_around(to_zone(area, epsg), epsg)

    def patches(self, windows: list[Window]) -> CubePatches:
        order = self.order
        bands = make_processor("crop-map", self.job).bands
        return CubePatches(self.store, order.source_id, order.level, self.season, windows, bands)

    def rasters(self, name: str) -> npt.NDArray[Any]:
        with rasterio.open(self.folder / "map" / f"{name}.tif") as file:
            values: npt.NDArray[Any] = file.read(1)
        return values


@pytest.fixture(scope="module")
def mapped(
    tmp_path_factory: pytest.TempPathFactory,
    run_command: Any,
    environment_of: Callable[..., dict[str, str]],
    write_mission_archive: Callable[..., Any],
) -> Mapped:
    """192 x 192 pixels: four patches of 128 pixels that overlap."""
    folder = tmp_path_factory.mktemp("mapped")
    window = Window(32631, 57_804, 562_500, 192, 192)
    archive = write_mission_archive(folder / "archive", window, seed=8, farming="flanders")
    parameters = {
        "area": archive.area,
        "year": 2019,
        "months": [1, 7],
        "source": archive.source,
        "labels": str(_declared(archive, folder / "declared.tif")),
        "legend": str(archive.legend),
        "training": "quick",
        "output": str(folder / "map"),
    }
    (folder / "aoi.json").write_text(json.dumps(parameters))
    env = environment_of(folder / "store")
    done = run_command("cropline", "run", "aoi.json", "--json", cwd=folder, env=env, timeout=540)
    assert done.returncode == 0, done.stderr
    return Mapped(folder, json.loads(done.stdout.splitlines()[-1]), parameters)


def _declared(archive: Any, path: Path) -> Path:
    """The crops of most parcels, as farmers declare them: every twelfth parcel and a strip right across stay unknown."""
    with rasterio.open(archive.labels) as file:
        codes, profile = file.read(1), file.profile
    parcels = geopandas.read_parquet(archive.parcels)
    undeclared = rasterize(parcels.geometry[parcels["field"] % 12 == 0], codes.shape, transform=profile["transform"])
    rows, columns = np.indices(codes.shape)
    strip = np.abs(rows + 0.6 * columns - 0.55 * len(codes)) < 0.025 * len(codes)
    codes[(undeclared == 1) | strip] = 0
    with rasterio.open(path, "w", **profile) as file:
        file.write(codes, 1)
    return path


def test_the_map_agrees_with_the_truth_of_the_land(mapped: Mapped) -> None:
    """Truth and map on the same grid; what the labels left out counts as well."""
    with rasterio.open(mapped.folder / "archive" / "truth" / "crops_2019.tif") as file:
        truth, transform = file.read(1), file.transform
    made = mapped.rasters("crop_map")
    window = mapped.window
    assert (transform.c, transform.f) == (window.left * 10, window.top * 10)
    legend = make_processor("crop-map", mapped.job).variables[0].legend
    assert legend is not None
    value_of = {code: entry.value for entry in legend.mapped for code in entry.source_codes}
    expected = np.vectorize(lambda code: value_of.get(code, 255))(truth)
    compared = (expected != 255) & (made != 255)
    assert compared.mean() > 0.95
    majority = np.bincount(expected[compared]).max() / compared.sum()
    agreement = (made == expected)[compared].mean()
    assert agreement > max(0.8, majority + 0.3), (
        f"{agreement:.3f} agree, the commonest class alone makes {majority:.3f}"
    )


def test_scores_name_their_splits_and_synthetic_is_said(mapped: Mapped) -> None:
    assert [score["split"] for score in mapped.told["scores"]] == ["grouped k-fold"], "no ground is held out here"
    for score in mapped.told["scores"]:
        assert score["n_pixels"] > 0
        assert 0 < score["miou"] <= score["dice"] <= 1
    item = json.loads((mapped.folder / "map" / "item.json").read_text())
    assert item["properties"]["cropline:synthetic"] is True
    assert "SYNTHETIC" in (mapped.folder / "map" / "report.html").read_text()
    with rasterio.open(mapped.folder / "map" / "crop_map.tif") as file:
        assert file.tags()["CROPLINE_SYNTHETIC"] == "yes"


def test_land_that_was_learnt_from_is_known_and_the_card_says_how_early_it_can_be_mapped(mapped: Mapped) -> None:
    item = json.loads((mapped.folder / "map" / "item.json").read_text())["properties"]
    domain = item["cropline:domain"]
    assert (domain["verdict"], mapped.told["domain"]) == ("inside", "inside"), domain
    assert domain["pixels"] > 4000
    assert not any(note.startswith("Domain") for note in mapped.told["notes"])
    curve = item["cropline:model"]["early"]
    assert (curve["split"], [point["month"] for point in curve["points"]]) == ("grouped k-fold", [3, 4, 5, 6, 7])
    assert curve["points"][-1]["oa"] == pytest.approx(mapped.told["scores"][0]["oa"])


def test_the_next_request_finds_the_model_and_two_processes_map_the_cropland_alone(
    mapped: Mapped, tmp_path: Path, run_command: Any, environment_of: Callable[..., dict[str, str]]
) -> None:
    west, south, east, north = parse_area(mapped.parameters["area"]).bounds
    cropland = box(west, south, (west + east) / 2, north)
    (tmp_path / "cropland.geojson").write_text(to_geojson(cropland))
    request = {
        **mapped.parameters,
        "labels": None,
        "legend": None,
        "crop_mask": "cropland.geojson",
        "output": str(tmp_path / "again"),
    }
    (tmp_path / "aoi.json").write_text(json.dumps(request))
    env = environment_of(mapped.folder / "store", CROPLINE_PROCESSES="2", OMP_NUM_THREADS="1")
    models = sorted(mapped.store.models.iterdir())
    done = run_command("cropline", "run", "aoi.json", "--json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert sorted(mapped.store.models.iterdir()) == models, "nothing was trained"
    within = inside(to_zone(cropland, mapped.window.epsg), mapped.window)
    assert 0.4 < within.mean() < 0.6
    with rasterio.open(tmp_path / "again" / "crop_map.tif") as file:
        made = file.read(1)
    # Two processes may tell a near draw otherwise (confidence within 1e-5); more than one such pixel would be no draw.
    assert (made != mapped.rasters("crop_map"))[within].sum() <= 1
    assert (made[~within & (mapped.rasters("crop_map") != 255)] == 0).all(), "what is no cropland is background"
    assert "Not masked to cropland" not in (tmp_path / "again" / "report.html").read_text()


def test_several_processes_make_the_same_map(mapped: Mapped, tmp_path: Path) -> None:
    """Confidence within 1e-5; the class equal where the margin is larger."""
    windows = cover(mapped.window, make_processor("crop-map", mapped.job).grid)
    assert len(windows) == 4
    run_processor("crop-map", mapped.job, mapped.patches(windows), tmp_path / "results.zarr", processes=2)
    maps = _mosaic(mapped, windows, tmp_path)
    confidence, known = mapped.rasters("confidence"), mapped.rasters("crop_map") != 255
    np.testing.assert_allclose(maps["confidence"][known], confidence[known], atol=1e-5)
    differ = maps["crop_map"] != mapped.rasters("crop_map")
    margin = _margin(mapped, windows, tmp_path / "results.zarr")
    assert (margin[differ] <= 2e-5).all()


def test_a_shifted_patch_grid_leaves_the_map_as_it_is(mapped: Mapped, tmp_path: Path) -> None:
    """At least 99 % of the classes, and what differs was a near draw: no seams."""
    windows = cover(mapped.window, make_processor("crop-map", mapped.job).grid, shift=(40, 24))
    assert windows != cover(mapped.window, make_processor("crop-map", mapped.job).grid)
    run_processor("crop-map", mapped.job, mapped.patches(windows), tmp_path / "results.zarr")
    maps = _mosaic(mapped, windows, tmp_path)
    differ = maps["crop_map"] != mapped.rasters("crop_map")
    assert differ.mean() <= 0.01, f"{differ.mean():.4f} of the pixels changed their class"
    assert (_margin(mapped, windows, tmp_path / "results.zarr")[differ] < 0.2).all()


def test_stages_that_were_killed_end_with_the_same_map(mapped: Mapped, tmp_path: Path) -> None:
    """Each stage is a process of its own, without Prefect; each gets SIGKILL in its middle and is started again."""
    for stage in ("ingest", "mask", "thematic", "mosaic", "deliver"):
        finished = _kill(stage, mapped.run, tmp_path)
        assert not (tmp_path / "map").exists(), "nothing half-delivered"
        _stage(stage, mapped.run, tmp_path)
        redone = [shard for shard, written in finished.items() if shard.stat().st_mtime_ns != written]
        assert not redone, f"{stage}: finished acquisitions are not done again"
    with rasterio.open(tmp_path / "map" / "crop_map.tif") as file:
        assert file.read(1).tobytes() == mapped.rasters("crop_map").tobytes()


def test_two_processes_train_together_through_torchrun(
    mapped: Mapped, tmp_path: Path, run_command: Any, environment_of: Callable[..., dict[str, str]]
) -> None:
    """On the cube that is there. The model is a new one, trained otherwise, and compared with the first on the same fields."""
    names = ("area", "year", "months", "source", "labels", "legend", "training")
    (tmp_path / "train.json").write_text(json.dumps({name: mapped.parameters[name] for name in names}))
    env = environment_of(mapped.folder / "store", OMP_NUM_THREADS="1")
    before = set(mapped.store.models.iterdir())
    words = ("retrain", "train.json", "--processes", "2", "--json")
    done = run_command("cropline", *words, cwd=tmp_path, env=env, timeout=540)
    assert done.returncode == 0, done.stderr
    decision = json.loads(done.stdout.splitlines()[-1])["decision"]
    assert (decision["in_use"], decision["evidence"]) == (mapped.told["model"], "grouped k-fold")
    compared = decision["compared"]
    assert compared["learnt"] == sum(compared["fields"].values()) > 50, "both learnt from all fields"
    assert compared["oa"]["in_use"] > 0.8, "which flatters the one in use"
    assert decision["decision"] in ("not better", "too few fields")
    (model,) = {folder for folder in set(mapped.store.models.iterdir()) - before if folder.is_dir()}
    scores = json.loads((model / "config.json").read_text())["scores"]
    assert {score["split"] for score in scores} == {score["split"] for score in mapped.told["scores"]}
    assert all(score["oa"] > 0 for score in scores)
    assert model.name == decision["model"]


def _mosaic(mapped: Mapped, windows: list[Window], folder: Path) -> dict[str, npt.NDArray[Any]]:
    area = parse_area(mapped.parameters["area"])
    (folder / "mosaic").mkdir()
    with open_engine("threads", 2) as engine:
        paths = mosaic(
            "crop-map", mapped.job, windows, folder / "results.zarr", area, mapped.window, folder / "mosaic", engine
        )
    made = {}
    for name, path in paths.items():
        with rasterio.open(path) as file:
            made[name] = file.read(1)
    return made


def _margin(mapped: Mapped, windows: list[Window], results: Path) -> npt.NDArray[np.float32]:
    """Difference of the two highest probabilities (H, W)."""
    processor = make_processor("crop-map", mapped.job)
    fields = zarr.open_group(results, mode="r")[FIELDS]
    patches = ((window, np.asarray(fields[number])) for number, window in enumerate(windows))  # type: ignore[index]
    blended = blend(mapped.window, patches, len(processor.fields), processor.grid.overlap)
    highest = np.sort(blended, axis=0)
    margin: npt.NDArray[np.float32] = highest[-1] - highest[-2]
    return margin


def _command(stage: str, run: Path, folder: Path) -> list[str]:
    return [sys.executable, str(STAGES), stage, str(run), str(folder)]


def _stage(stage: str, run: Path, folder: Path) -> None:
    done = subprocess.run(_command(stage, run, folder), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


def _kill(stage: str, run: Path, folder: Path) -> dict[Path, int]:
    """SIGKILL a stage once it has begun to write. Returns what was finished: its file and when it was written."""
    begun = {
        "ingest": lambda: _flagged(folder, "ingested") >= 3,
        "mask": lambda: _flagged(folder, "masked") >= 3,
        "thematic": lambda: len(list(folder.glob("results.zarr/done/c/*"))) >= 1,
        "mosaic": lambda: len(list(folder.glob("mosaic/*"))) >= 1,
        "deliver": lambda: len(list(folder.glob(".map-*/*"))) >= 1,
    }[stage]
    process = subprocess.Popen(_command(stage, run, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not begun():
            assert process.poll() is None, "the stage ended before it could be killed"
            assert time.monotonic() < deadline, "the stage wrote nothing in two minutes"
            time.sleep(0.002)
    finally:
        process.kill()
    assert process.wait() == -9, "it was killed in its middle"
    flag = {"ingest": "ingested", "mask": "masked"}.get(stage)
    slab = {"ingest": "reflectance", "mask": "clear"}.get(stage, "")
    shards = {}
    for cell in folder.glob("store/cubes/*/*/*.zarr"):
        for chunk in (cell / flag / "c").glob("*") if flag else ():
            for shard in (cell / slab / "c" / chunk.name).rglob("*"):
                if shard.is_file():
                    shards[shard] = shard.stat().st_mtime_ns
    return shards


def _flagged(folder: Path, flag: str) -> int:
    """Dates whose flag was ever written; only those that are whole get one."""
    return len(list(folder.glob(f"store/cubes/*/*/*.zarr/{flag}/c/*")))
