"""Training of a model of this installation from labels and a season. Torch stays in processes of its own."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from catalog.checkpoints import ITEM
from catalog.errors import ModelError
from catalog.grid import Window
from catalog.model_choice import ModelEntry
from catalog.products import Order
from catalog.promotions import Promotion
from catalog.registry import Registry
from catalog.storage.store import digest
from flows.agrunet_process import run_apart
from flows.checks import still_open
from flows.promotion import decide
from flows.request import Classifier, MapRequest, Promote, Training
from flows.request_ground import request_labels
from flows.run import Run
from flows.run_folder import TrainingFolder
from flows.stage import stage
from processors.patches.cube_patches import CubePatches, training_windows
from processors.patches.training_set import TrainingSeason, write_training_patches
from processors.season import Season

PATCH = 128
"""Edge of training patches, pixels, where the area is at least as large."""

SMALLEST_PATCH = 32


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that was trained, in the store, and what was decided about it."""

    model: ModelEntry
    decision: Promotion


@dataclass(frozen=True, slots=True)
class WrittenPatches:
    """Number of patches that hold labels, and sentences on what of the labels isn't used."""

    count: int
    notes: tuple[str, ...]


def train_model(run: Run, order: Order, season: Season, processes: int, promote: Promote = "evidence") -> Trained:
    """Train a model from the request's labels, add it to the store, and decide whether it is in use from then on.

    Raises `RequestError` where the labels don't serve, `ModelError` with the end of its output where training fails, and where the
    season isn't over: a model says which months it learnt from, and this one would not have seen all of them.
    """
    if not run.season.final:
        raise ModelError(still_open(run.season))
    kept = [acquisition.products for acquisition in season.used]
    folder = run.folder.training(
        digest(
            [kept, run.request.training, run.request.classifier, run.request.start_from, order.source_id, season.masks]
        )
    )
    write_patches(run, order, season, folder.patches)
    try:
        model = train(run, season, folder, processes)
        decision = decide(run, model, folder, len(season.used), promote)
    except ModelError:
        shutil.rmtree(
            folder.path, ignore_errors=True
        )  # it may have failed since they are damaged: the next run writes them anew
        raise
    shutil.rmtree(folder.path)  # the model is in the store; a later training writes its patches anew
    return Trained(Registry(run.store).named(model.name), decision)


@stage(
    "patches",
    task_name="training patches",
    waits_for="training patches",
    outcome=lambda written: " ".join([f"{written.count} training patches.", *written.notes]).removesuffix("."),
)
def write_patches(run: Run, order: Order, season: Season, folder: Path) -> WrittenPatches:
    """Write the patches that hold labels."""
    request, zone = run.request, run.zone
    labels = request_labels(request, zone.groups)
    if labels is None:
        raise ModelError("no labels to train from. Give `labels`, or a model that fits.")
    windows = training_windows(zone.window, patch_size(zone.window), zone.geometry)
    bands = season.crop_bands
    patches = CubePatches(run.store, order.source_id, order.level, season, windows, bands)
    learnt = TrainingSeason.of(
        order,
        season,
        year=request.year,
        months=request.season,
        bands=bands,
        min_clear=request.min_clear,
        min_acquisitions=request.min_acquisitions,
    )
    written = write_training_patches(
        folder, patches, windows, labels, zone.geometry, learnt, engine=run.engine, progress=run.reporter.advance
    )
    return WrittenPatches(written.summary.patches, labels.notes(zone.groups))


@stage("model", task_name="train", waits_for="training", outcome=lambda model: f"trained {model.name}")
def train(run: Run, season: Season, folder: TrainingFolder, processes: int) -> Path:
    """Train on the patches in one process, or in several through torchrun. Returns the model in the store."""
    from flows.replay import replay_series  # the simulated land comes with it

    registry = Registry(run.store)
    if left := taken_over(folder.checkpoint, registry):
        return left
    request = run.request
    command = training_command(
        folder.patches,
        folder.checkpoint,
        request.training,
        processes,
        request.classifier,
        start_of(request, registry),
        replay_series(run, season, folder),
    )
    run_apart(command, folder.checkpoint / ITEM, run.reporter.advance)
    return registry.add_model(folder.checkpoint)


def taken_over(checkpoint: Path, registry: Registry) -> Path | None:
    """The model in the store that an earlier run trained and had no time to add; None where there is none, or it was damaged since."""
    if not (checkpoint / ITEM).is_file():
        return None
    try:
        return registry.add_model(checkpoint)
    except ModelError:
        shutil.rmtree(checkpoint)
        return None


def start_of(request: MapRequest, registry: Registry) -> Path | None:
    """The checkpoint that a fine-tuned model goes on from: the one named, else one of the software, made for such images.

    None where a kind is asked for that begins with nothing, or all are tried and there is no such checkpoint. Raises `ModelError` where
    the one named is none, or nothing else is asked for.
    """
    if request.classifier not in ("auto", "fine-tuned"):
        return None
    if request.start_from is not None:
        return registry.named(request.start_from).folder
    shipped = registry.shipped_models()
    fitting = (entry for entry in shipped if (entry.level, tuple(entry.months)) == (request.level, request.season))
    found = next((entry.folder for entry in fitting), None)
    if found is None and request.classifier == "fine-tuned":
        first, last = request.season
        raise ModelError(
            f"no model that comes with the software was made for {request.level}, months {first} to {last}, so none can be fine-tuned. "
            "Name one in `start_from`, or take another `classifier`."
        )
    return found


def training_command(
    patches: Path,
    checkpoint: Path,
    training: Training,
    processes: int,
    classifier: Classifier = "auto",
    start_from: Path | None = None,
    replay: Path | None = None,
) -> list[str]:
    """The command line that trains."""
    launcher = ["-m", "agrunet", "train"]
    if processes > 1:
        launcher = [
            *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)),
            # None of its own restarts: its processes find each other where those before them were, and give up. It is begun anew itself.
            *("--max-restarts", "0"),
            *("--log-dir", str(checkpoint.with_name("torchrun"))),  # else it leaves a folder in /tmp
            *launcher,
        ]
    options = ["--data", str(patches), "--output", str(checkpoint), "--end-with-input"]
    options += ["--preset", training, "--kind", classifier]
    if start_from is not None:
        options += ["--start-from", str(start_from)]
    if replay is not None:
        options += ["--replay", str(replay)]
    return [sys.executable, *launcher, *options]


def patch_size(window: Window) -> int:
    """Edge of training patches for an area: the usual one, or what is enough for a smaller area."""
    edge = max(window.width, window.height)
    return min(PATCH, -(-edge // SMALLEST_PATCH) * SMALLEST_PATCH)
