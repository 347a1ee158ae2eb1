"""Facts about a run: those in the delivery's own files, and those handed to whoever asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from catalog.candidates import Choice
from catalog.checkpoints import CONFIG, WEIGHTS
from catalog.confidence import confidence_worth
from catalog.errors import ModelError, Reason
from catalog.guards.json_text import parse_object
from catalog.products import LeftOut, Order
from catalog.scores import checkpoint_scores, early_curve
from catalog.storage.store import sha256
from flows.rates import UNITS, RunRecord, millions_of_pixels, remember, source_kind
from flows.reporting.delivery import AcquisitionShown, Delivery, write_delivered
from flows.request_ground import request_crop_mask, request_labels
from flows.run import Run
from flows.stages import Patches
from flows.totals import count_delivery
from processors.conformity.judge import Conformity
from processors.delivery.coming_passes import coming_passes
from processors.delivery.provenance import DeliveryFacts, ModelUsed, status_notes
from processors.delivery.timelines import timelines_of
from processors.season import Season
from processors.thematic.domain import Domain
from processors.views.views import Views

SHOWN_OF_MODEL = (
    "years", "months", "bands", "cloud_input", "min_acquisitions", "evidence", "hold_out", "code_version", "synthetic",
)  # fmt: skip
"""Fields of a checkpoint's configuration that the report shows."""


def describe(
    run: Run,
    order: Order,
    unusable: Sequence[LeftOut],
    season: Season,
    patches: Patches,
    views: Views,
    conformity: Conformity | None = None,
    domain: Domain | None = None,
) -> DeliveryFacts:
    """Describe a delivery beside its pixels: what was asked, what it is made from, with what, how good it is."""
    request, processor, now = run.request, patches.processor, datetime.now(UTC)
    config = _model_config(patches.job.model)
    model = _model_used(patches.choice, config)
    return DeliveryFacts(
        request=request.model_dump(mode="json"),
        request_digest=request.digest,
        processor=processor.name,
        processor_title=processor.title,
        processor_version=processor.version,
        software_version=version("cropline"),
        source=order.source,
        source_id=order.source_id,
        source_holds=order.holds,
        level=order.level,
        synthetic=order.synthetic,
        year=request.year,
        period=(order.start, order.end),
        state=run.season,
        season=season,
        left_out=_left_out(order, unusable, season),
        model=model,
        candidates=patches.choice.candidates,
        scores=checkpoint_scores(config),
        notes=(
            *status_notes(run.season, season, model),
            *season.notes,
            *_processed_otherwise(season),
            *_older_versions(unusable, season),
            *processor.notes,
            *(() if domain is None or domain.note is None else (domain.note,)),
            *_notes_on_ground(run, processor.needs_model),
            *views.notes,
            *(() if conformity is None else conformity.summary.notes),
        ),
        conformity=None if conformity is None else conformity.summary,
        domain=domain,
        confidence=None if model is None else confidence_worth(config, synthetic=order.synthetic),
        epsg=run.zone.epsg,
        area=request.geometry,
        timelines=timelines_of(order, season, run.reached, now),
        coming=None if run.season.final else coming_passes(request.polygon, run.season),
        seconds=run.seconds,
        created=now,
    )


def _notes_on_ground(run: Run, learns: bool) -> tuple[str, ...]:
    """Sentences about what isn't used of the labels and the crop mask that the request gives."""
    windows = run.zone.groups
    given = (request_labels(run.request, windows) if learns else None, request_crop_mask(run.request))
    return tuple(note for codes in given if codes is not None for note in codes.notes(windows))


def _left_out(order: Order, unusable: Sequence[LeftOut], season: Season) -> tuple[LeftOut, ...]:
    """All that was left out: an older version that was read in place of the newest isn't."""
    read = {product for acquisition in season.acquisitions for product in acquisition.products}
    older = (left for left in order.left_out if not (left.kind is Reason.DUPLICATE and left.product in read))
    return (*older, *unusable)


def _processed_otherwise(season: Season) -> tuple[str, ...]:
    """A sentence where acquisitions of other years, which the season is compared with, were processed otherwise than its own."""
    own, others = ({used.baseline for used in part} for part in (season.own, season.compared_with))
    if others <= own:
        return ()
    return (
        f"Other years were processed with baselines {', '.join(sorted(others))}, this season with {', '.join(sorted(own))}: "
        "part of what differs may come from that.",
    )


def _older_versions(unusable: Sequence[LeftOut], season: Season) -> tuple[str, ...]:
    """A sentence where an acquisition used is read from an older version of a product."""
    names = {left.product for left in unusable if left.kind is Reason.OLDER_TAKEN}
    if not names or not season.used:
        return ()
    first = min(names)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"{len(names)} product{'s' * (len(names) > 1)} read in an older version, since the newest can't be read: {first}{more}.",
    )


def hand_over(run: Run, order: Order, facts: DeliveryFacts, files: Sequence[Path]) -> Delivery:
    """Build the answer to the request. It is remembered in the run's folder, where `reprocess` compares it with what is new."""
    record = run_record(run, order, facts)
    delivery = Delivery(
        delivery=str(run.request.delivery_folder),
        files=tuple(str(file) for file in files),
        scores=facts.scores,
        acquisitions=tuple(AcquisitionShown.model_validate(item) for item in facts.used),
        seconds=dict(run.seconds),
        work=record.work,
        processor=facts.processor,
        model=None if facts.model is None else facts.model.name,
        candidates=facts.candidates,
        domain=None if facts.domain is None else facts.domain.verdict,
        confidence=None if facts.confidence is None else facts.confidence.kind,
        synthetic=facts.synthetic,
        notes=facts.notes,
        status=facts.status,
    )
    write_delivered(run.folder, delivery, order, run.settings.mask.record(order.level))
    remember(run.store, record)
    count_delivery(run.store, facts.processor)
    return delivery


def run_record(run: Run, order: Order, facts: DeliveryFacts) -> RunRecord:
    """What a run did in which time: rates, from which others are foreseen."""
    pixels = millions_of_pixels(run.zone.area)
    dates = len(order.acquisitions)
    work = {"run": 1.0, "pixels": pixels, "pixel_dates": pixels * dates, "trained": float("promote" in run.seconds)}
    return RunRecord(
        source=source_kind(order.source),
        processor=facts.processor,
        model=None if facts.model is None else facts.model.name,
        place=run.settings.place,
        work={**work, **run.work},
        seconds={stage: seconds for stage, seconds in run.seconds.items() if stage in UNITS},
    )


def _model_config(model: Path | None) -> dict[str, Any]:
    if model is None:
        return {}
    path = model / CONFIG
    return parse_object(path.read_bytes(), lambda why: ModelError(f"{path} {why}. Train the model again."))


def _model_used(choice: Choice, config: dict[str, Any]) -> ModelUsed | None:
    if choice.folder is None:
        return None
    return ModelUsed(
        name=choice.folder.name,
        checksum=sha256(choice.folder / WEIGHTS),
        summary={name: config[name] for name in SHOWN_OF_MODEL if name in config},
        early=early_curve(config),
        decision=choice.decision,
    )
