"""Verdicts on the parcels that a request declares: a stage of those processors that judge them."""

from __future__ import annotations

from catalog.errors import RequestError
from catalog.storage.store import CellPath
from flows.run import Run
from flows.stage import stage
from flows.stages import Patches
from processors.conformity.judge import Conformity, judge_parcels
from processors.conformity.probabilities import parcel_probabilities
from processors.thematic.registry import judgement_of
from processors.views.views import Views


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
        run.request.processor,
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
