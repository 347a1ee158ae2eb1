"""Series simulated at a training's place and on its dates: what a forest learns from beside the labels."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from agrunet.data.series_table import write_series
from catalog.errors import ModelError, RequestError
from flows.request import REPLAY
from flows.run import Run
from flows.run_folder import TrainingFolder
from processors.season import Season
from processors.simulation.place_series import LEVEL, Sight, crops_meant, place_series, sight_of


def replay_series(run: Run, season: Season, folder: TrainingFolder) -> Path | None:
    """Simulate the crops that the labels name, and write them as a table below the training's folder.

    None where another kind of model is asked for, or, where all that suit are tried, where this one doesn't: for a try, for images that
    are simulated themselves, and where none of the crops can be simulated. Raises `ModelError` where it is asked for and can't be made.
    """
    from agrunet.data.folder import PatchFolder

    request, header = run.request, PatchFolder(folder.patches).header
    asked = request.classifier == REPLAY
    tried = request.classifier == "auto" and request.training == "standard" and request.level == LEVEL
    if not asked and (not tried or header.synthetic or find_spec("sklearn") is None):
        return None
    crops = crops_meant(header)
    if not crops:
        if asked:
            raise ModelError(
                f"classifier {REPLAY}: none of the classes {', '.join(header.classes)} can be simulated by itself. "
                "Name them as the simulated land does or give the legend HCAT codes, merge "
                "those that mean the same crop, or take another classifier."
            )
        return None
    table = folder.path / "simulated.parquet"
    try:
        write_series(table, place_series(seen_from(run, season), crops))
    except RequestError as error:  # bands that can't be simulated
        if asked:
            raise ModelError(f"classifier {REPLAY}: {error}") from error
        return None
    return table


def seen_from(run: Run, season: Season) -> Sight:
    """A request's area as its season sees it."""
    request = run.request
    looks = [(one.time.date(), one.clear_fraction) for one in season.own]
    sight = sight_of(request.polygon, request.year, request.season, looks, season.crop_bands)
    return replace(sight, min_clear=request.min_clear, min_acquisitions=request.min_acquisitions)
