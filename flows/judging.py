"""What is said of a map as it stands: whether its model knows such a season, and verdicts on the parcels that a request declares."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from catalog.errors import RequestError
from catalog.products import season_months
from catalog.storage.store import CellPath
from flows.request_ground import request_crop_mask
from flows.run import Run
from flows.stage import stage
from flows.stages import Patches
from processors.conformity.judge import Conformity, judge_parcels
from processors.conformity.probabilities import parcel_probabilities
from processors.thematic.domain import Domain, draw_samples, judge_domain, model_hull
from processors.thematic.registry import judgement_of
from processors.views.views import Views


def domain(run: Run, patches: Patches) -> Domain | None:
    """Say whether the season is like those that the model learnt from; None for a processor that needs no model."""
    return None if patches.choice.folder is None else compare(run, patches, patches.choice.folder)


@stage("domain", waits_for="a comparison with the model's training", outcome=lambda made: made.words)
def compare(run: Run, patches: Patches, model: Path) -> Domain:
    """Compare some of the season's series, spread over the area, with those that the model learnt from."""
    hull, source = model_hull(model), patches.source
    mask = request_crop_mask(run.request)
    samples = [] if hull is None else draw_samples(source.windows, run.zone.geometry, mask)
    months = season_months(run.request.year, run.request.season)
    over = len(months) - len(run.season.open_months)
    judge_them = partial(judge_domain, masked=mask is not None)
    judged: Domain = run.engine.run(judge_them, source, samples, hull, over, source.bands)
    return judged


def conformity(run: Run, patches: Patches, results: CellPath, views: Views) -> Conformity | None:
    """Judge the parcels that the request declares; None for a processor that judges none."""
    return judge(run, patches, results, views) if judgement_of(patches.processor) is not None else None


@stage("conformity", waits_for="verdicts on the parcels", outcome=lambda made: _counted(made))
def judge(run: Run, patches: Patches, results: CellPath, views: Views) -> Conformity:
    """Judge the parcels that the request declares, by the results of the patches."""
    zone, judgement, declared = run.zone, judgement_of(patches.processor), run.parcels
    if judgement is None or declared is None:
        raise RequestError("parcels: the request declares none. Give the file of the declared parcels.")
    seen = parcel_probabilities(
        patches.processor.name,
        patches.job,
        len(patches.processor.fields),
        patches.source.windows,
        results,
        zone.area,
        zone.window,
        declared.polygons,
        run.engine,
        run.reporter.advance,
    )
    return judge_parcels(declared, judgement, seen, views, zone.epsg)


def _counted(conformity: Conformity) -> str:
    """Parcels by verdict; nothing of a single one goes where runs are watched."""
    return ", ".join(f"{count} {verdict}" for verdict, count in conformity.summary.verdicts.items() if count)
