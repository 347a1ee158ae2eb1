"""From labels and a season to a model of this installation. Torch stays in processes of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from catalog.errors import ModelError
from catalog.grid import Window
from catalog.products import CROP_BANDS, Order
from catalog.registry import Registry
from catalog.storage.store import digest
from flows.request import MapRequest, Training
from flows.run import ADVANCE, Run, Zone
from flows.settings import store_at
from flows.stages import read_order, read_season
from processors.patches.cube_patches import CubePatches, training_windows
from processors.patches.labels import Labels, open_labels
from processors.patches.training_set import TrainingSeason, write_training_patches
from processors.season import Season

PATCH = 128
"""Edge of training patches, pixels, where the area is at least as large."""

SMALLEST_PATCH = 32

_STEP = re.compile(r"step (\d+) of (\d+)")


def train_model(run: Run, order: Order, season: Season, processes: int) -> Path:
    """Train a model from the request's labels and add it to the store. Returns its folder there.

    Raises `RequestError` where the labels don't serve, `ModelError` with the end of its output where training fails.
    """
    kept = [acquisition.products for acquisition in season.used]
    folder = run.folder / "training" / digest([kept, run.request.training, order.source_id, season.masks])
    with run.stage("patches", "training patches") as stage:
        count = write_patches(run.folder, str(run.store.root), folder / "patches")
        stage.outcome = f"{count} training patches"
    with run.stage("model", "training") as stage:
        model = train(str(run.store.root), folder, run.request.training, processes)
        stage.outcome = f"trained {model.name}"
    shutil.rmtree(folder)  # the model is in the store; a later training writes its patches anew
    return model


@task(name="training patches", cache_policy=NO_CACHE, persist_result=False)
def write_patches(run_folder: Path, store: str, folder: Path) -> int:
    """Write the patches that hold labels. Returns how many."""
    request = MapRequest.model_validate_json((run_folder / "request.json").read_text(encoding="utf-8"))
    order, season = read_order(run_folder / "order.json"), read_season(run_folder / "season.json")
    zone = Zone.of(request.polygon)
    windows = training_windows(zone.window, patch_size(zone.window))
    patches = CubePatches(store_at(store), order.source_id, order.level, season, windows, learnt_bands(season))
    labels = request_labels(request, zone.window)
    if labels is None:
        raise ModelError("no labels to train from. Give `labels`, or a model that fits.")
    learnt = TrainingSeason.of(
        order,
        season,
        year=request.year,
        months=request.season,
        bands=learnt_bands(season),
        min_clear=request.min_clear,
        min_acquisitions=request.min_acquisitions,
    )
    return write_training_patches(folder, patches, windows, labels, zone.geometry, learnt).summary.patches


@task(name="train", cache_policy=NO_CACHE, persist_result=False)
def train(store: str, folder: Path, training: Training, processes: int) -> Path:
    """Train on the patches in ``folder`` in one process, or in several through torchrun. Returns the model in the store."""
    checkpoint = folder / "checkpoint"
    if not (checkpoint / "item.json").is_file():
        _run(training_command(folder / "patches", checkpoint, training, processes), checkpoint)
    return Registry(store_at(store)).add_model(checkpoint)


def training_command(patches: Path, checkpoint: Path, training: Training, processes: int) -> list[str]:
    """The command line that trains."""
    launcher = ["-m", "agrunet", "train"]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *launcher]
    return [sys.executable, *launcher, "--data", str(patches), "--output", str(checkpoint), "--preset", training]


def request_labels(request: MapRequest, window: Window) -> Labels | None:
    """The request's labels, or None. Raises `RequestError` where they can't be read."""
    if request.labels is None:
        return None
    return open_labels(Path(request.labels), None if request.legend is None else Path(request.legend), window)


def patch_size(window: Window) -> int:
    """Edge of training patches for an area: the usual one, or what is enough for a smaller area."""
    edge = max(window.width, window.height)
    return min(PATCH, -(-edge // SMALLEST_PATCH) * SMALLEST_PATCH)


def learnt_bands(season: Season) -> tuple[str, ...]:
    """What a model learns from: the bands made for the land that every acquisition holds."""
    return tuple(band for band in CROP_BANDS if band in season.bands)


def _run(command: list[str], checkpoint: Path) -> None:
    """Run a training; its lines of progress are passed on. A checkpoint that is whole counts, whatever came after it."""
    advance, last = ADVANCE.get(), deque[str](maxlen=12)
    with subprocess.Popen(  # noqa: S603 - this interpreter, words of this module
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            for line in process.stdout or ():
                last.append(line.rstrip())
                if step := _STEP.search(line):
                    advance(int(step[1]), int(step[2]))
        except BaseException:
            process.terminate()
            raise
    if process.returncode and not (checkpoint / "item.json").is_file():
        raise ModelError("\n".join([f"training ended with exit code {process.returncode}; it said last:", *last]))
