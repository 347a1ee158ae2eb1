"""A model of no label: grown, for one request, on series simulated at its place and on its dates."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from agrunet.data.series_table import SeriesTable, write_series
from catalog.checkpoints import ITEM
from catalog.promotions import Decision, decided
from catalog.registry import Registry
from catalog.storage.store import digest
from catalog.storage.whole import write_json, written_whole
from flows.agrunet_process import run_apart
from flows.replay import seen_from
from flows.run import Run
from flows.run_folder import TrainingFolder
from flows.stage import stage
from flows.training import taken_over
from processors.season import Season
from processors.simulation.mission.mission import VERSION
from processors.simulation.place_series import FOREST, crops_named, place_series


@stage(
    "model",
    task_name="simulated model",
    waits_for="a model simulated for the place",
    outcome=lambda chosen: (
        f"{chosen.name}, of series simulated for the place and its dates: no real field is behind it"
    ),
)
def simulated_model(run: Run, season: Season) -> Path:
    """Folder of the model of the request's own place and dates: made before, else now. Raises `ModelError`."""
    registry, sight, crops = Registry(run.store), seen_from(run, season), crops_named(run.request.crop_weights)
    name = digest([sight.days, sight.clear, sight.bands, [crop.value for crop in crops], dict(FOREST), VERSION])
    folder, made = run.folder.training(name), run.folder.simulated_model(name)
    if made.is_file() and (known := run.store.models / made.read_text(encoding="utf-8")).is_dir():
        return known
    model = taken_over(folder.checkpoint, registry) or _grown(run, folder, place_series(sight, crops))
    if registry.promotions().of(model.name) is None:
        reason = "simulated for one request, which names it; no other gets it by itself"
        registry.decide(decided(model.name, Decision.NAMED, reason))
    with written_whole(made) as temporary:
        temporary.write_text(model.name, encoding="utf-8")
    shutil.rmtree(folder.path, ignore_errors=True)  # the model is in the store
    return model


def _grown(run: Run, folder: TrainingFolder, series: SeriesTable) -> Path:
    """Grow a model on series, in a process of its own, and add it to the store."""
    folder.path.mkdir(parents=True, exist_ok=True)
    table, settings = folder.path / "series.parquet", folder.path / "settings.json"
    write_series(table, series)
    write_json(settings, dict(FOREST))
    options = [
        "--data",
        f"series:{table}",
        "--output",
        str(folder.checkpoint),
        "--kind",
        "forest",
        "--config",
        str(settings),
    ]
    command = [sys.executable, "-m", "agrunet", "train", *options, "--end-with-input"]
    run_apart(command, folder.checkpoint / ITEM, run.reporter.advance)
    return Registry(run.store).add_model(folder.checkpoint)
