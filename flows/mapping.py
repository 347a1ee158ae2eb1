"""From a season to a delivery: the model, the patches, the processor, the mosaic, the files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from catalog.errors import ModelError
from catalog.grid import Window
from catalog.products import LeftOut, Order
from catalog.registry import Registry
from catalog.storage.store import CellPath, Store, sha256, write_json
from flows.credentials import load_credentials
from flows.reporting.delivery import AcquisitionShown, Delivery, ScoreShown, write_delivered
from flows.request import MapRequest
from flows.run import ADVANCE, ENGINE, Run, Zone
from flows.settings import store_at
from flows.stages import prepare, read_order, read_season
from flows.training import request_labels, train_model
from processors.delivery.files import DeliveryFacts, ModelUsed, Score, check_target, deliver
from processors.delivery.timelines import timelines_of
from processors.engine import gpus
from processors.mosaic import mosaic
from processors.patches.cube_patches import CubePatches, cover
from processors.patches.labels import open_crop_mask
from processors.season import Season
from processors.thematic.protocol import Job, Processor
from processors.thematic.registry import load_processor, make_processor
from processors.thematic.run_results import forget_shared, results_path
from processors.thematic.runner import run_processor


@dataclass(frozen=True)
class Work:
    """What the later stages read of a run's folder."""

    store: Store
    folder: Path

    @cached_property
    def request(self) -> MapRequest:
        return MapRequest.model_validate_json((self.folder / "request.json").read_text(encoding="utf-8"))

    @cached_property
    def order(self) -> Order:
        return read_order(self.folder / "order.json")

    @cached_property
    def season(self) -> Season:
        return read_season(self.folder / "season.json")

    @cached_property
    def job(self) -> Job:
        return Job.model_validate_json((self.folder / "job.json").read_text(encoding="utf-8"))

    @cached_property
    def zone(self) -> Zone:
        return Zone.of(self.request.polygon)

    @cached_property
    def processor(self) -> Processor:
        return make_processor(self.request.processor, self.job)

    @cached_property
    def windows(self) -> list[Window]:
        return cover(self.zone.window, self.processor.grid)

    @property
    def results(self) -> CellPath:
        return results_path(self.store, self.folder, ENGINE.get())

    @property
    def patches(self) -> CubePatches:
        order = self.order
        return CubePatches(self.store, order.source_id, order.level, self.season, self.windows, self.processor.bands)


def map_area(run: Run) -> tuple[Delivery, DeliveryFacts]:
    """All stages of one request. Returns what was delivered, and all that is told of it."""
    output = Path(str(run.request.output))
    check_target(output, run.request.digest)
    order, season, dropped = prepare(run)
    model = find_model(run, order, season) if load_processor(run.request.processor).needs_model else None
    store = str(run.store.root)
    with run.stage("patch", "windows over the area") as stage:
        count = patch(run.folder, store, model)
        stage.outcome = f"{count} patches"
    with run.stage("thematic", f"the processor {run.request.processor}", total=count) as stage:
        thematic(run.folder, store, run.settings.processes)
        stage.outcome = f"{count} patches"
    with run.stage("mosaic", "blended blocks"):
        rasters = blend(run.folder, store)
    with run.stage("deliver", "files"):
        facts = _facts(Work(run.store, run.folder), run, dropped)
        files = hand_over(run.folder, store, rasters, facts.model_dump(mode="json"))
        forget_shared(run.store, run.folder)
    delivery = _delivery(output, files, facts, run.seconds)
    write_delivered(run.folder, delivery, order, run.settings.mask.record(order.level))
    return delivery, facts


def find_model(run: Run, order: Order, season: Season) -> Path:
    """The model that the request gets: the one that fits, else one trained from its labels. Raises `ModelError`."""
    request = run.request
    with run.stage("model", "a model that fits") as stage:
        labels = request_labels(request, run.zone.window)
        try:
            chosen = Registry(run.store).choose(
                request.level,
                season.bands,
                order.synthetic,
                request.polygon,
                None if labels is None else labels.legend,
                request.model,
                months=request.season,
            )
        except ModelError:
            if labels is None or request.model is not None:
                raise
            stage.outcome = "none fits; one is trained from the labels"
        else:
            stage.outcome = chosen.name
            return chosen
    return train_model(run, order, season, processes=max(1, len(gpus())))


@task(name="patch", cache_policy=NO_CACHE, persist_result=False)
def patch(folder: Path, store: str, model: Path | None) -> int:
    """Write the processor's job down and check that it can be done. Returns the number of patches."""
    work = Work(store_at(store), folder)
    request, order, season = work.request, work.order, work.season
    job = Job(
        level=request.level,
        year=request.year,
        months=request.season,
        days=season.days(order.start),
        bands=season.bands,
        synthetic=order.synthetic,
        parameters=request.parameters,
        model=model,
        crop_mask=request.crop_mask is not None,
    )
    write_json(folder / "job.json", job.model_dump(mode="json"))
    return len(work.windows)


@task(name="thematic", cache_policy=NO_CACHE, persist_result=False)
def thematic(folder: Path, store: str, processes: int | None) -> str:
    """Run the processor over the patches. Returns their results."""
    work = Work(store_at(store), folder)
    advance = ADVANCE.get()
    run_processor(
        work.request.processor,
        work.job,
        work.patches,
        work.results,
        processes,
        lambda done, total: advance(done, total),
        engine=ENGINE.get(),
        resolve=load_credentials,
    )
    return str(work.results)


@task(name="mosaic", cache_policy=NO_CACHE, persist_result=False)
def blend(folder: Path, store: str) -> dict[str, Path]:
    """Blend the patches. Returns the raster of each variable."""
    work = Work(store_at(store), folder)
    mask = None if work.request.crop_mask is None else open_crop_mask(Path(work.request.crop_mask))
    if mask is not None:
        mask.check(work.zone.geometry, work.zone.epsg)
    advance = ADVANCE.get()
    output = folder / "mosaic"
    output.mkdir(exist_ok=True)
    return mosaic(
        work.request.processor,
        work.job,
        work.windows,
        work.results,
        work.zone.area,
        work.zone.window,
        output,
        ENGINE.get(),
        crop_mask=mask,
        progress=lambda done, total: advance(done, total),
    )


@task(name="deliver", cache_policy=NO_CACHE, persist_result=False)
def hand_over(folder: Path, store: str, rasters: dict[str, Path], facts: dict[str, Any]) -> list[Path]:
    """Write the delivery and list it in the store. Returns its files."""
    work = Work(store_at(store), folder)
    told = DeliveryFacts.model_validate(facts)
    files = deliver(Path(str(work.request.output)), rasters, work.processor.variables, told)
    Registry(work.store).add_map(next(file for file in files if file.name == "item.json"))
    return files


def _facts(work: Work, run: Run, dropped: list[LeftOut]) -> DeliveryFacts:
    request, order = work.request, work.order
    config, now = _model_config(work.job.model), datetime.now(UTC)
    return DeliveryFacts(
        request=request.model_dump(mode="json"),
        request_digest=request.digest,
        processor=request.processor,
        processor_title=work.processor.title,
        processor_version=work.processor.version,
        software_version=version("cropline"),
        source=order.source,
        source_id=order.source_id,
        level=order.level,
        synthetic=order.synthetic,
        year=request.year,
        period=(order.start, order.end),
        season=work.season,
        left_out=(*order.left_out, *dropped),
        model=_model_used(work.job.model, config),
        scores=_scores(config),
        notes=work.processor.notes,
        epsg=work.zone.epsg,
        area=dict(request.area),  # type: ignore[arg-type]  # check_request made a geometry of it
        timelines=timelines_of(order, work.season, run.reached, now),
        seconds=run.seconds,
        created=now,
    )


def _model_config(model: Path | None) -> dict[str, Any]:
    if model is None:
        return {}
    found: dict[str, Any] = json.loads((model / "config.json").read_text(encoding="utf-8"))
    return found


def _model_used(model: Path | None, config: dict[str, Any]) -> ModelUsed | None:
    if model is None:
        return None
    shown = ("years", "months", "bands", "cloud_input", "min_acquisitions", "hold_out", "code_version", "synthetic")
    return ModelUsed(
        name=model.name,
        checksum=sha256(model / "weights.safetensors"),
        summary={name: config[name] for name in shown if name in config},
    )


def _scores(config: dict[str, Any]) -> tuple[Score, ...]:
    """The model's own scores, on what it didn't learn from."""
    return tuple(
        Score(
            split=score["split"],
            oa=score["oa"],
            miou=score["miou"],
            dice=score["dice"],
            n_pixels=score["n_pixels"],
            note=config.get("hold_out", ""),
        )
        for score in config.get("scores", ())
    )


def _delivery(output: Path, files: list[Path], facts: DeliveryFacts, seconds: dict[str, float]) -> Delivery:
    return Delivery(
        delivery=str(output),
        files=tuple(str(file) for file in files),
        scores=tuple(ScoreShown.model_validate(score) for score in facts.scores),
        acquisitions=tuple(AcquisitionShown.model_validate(item) for item in facts.used),
        seconds=dict(seconds),
        model=None if facts.model is None else facts.model.name,
        synthetic=facts.synthetic,
        notes=facts.notes,
    )
