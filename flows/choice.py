"""The choice of what makes a request's map: the list of processors, checkpoints and places that could, and what speaks against each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from catalog.candidates import Accuracy, Against, Candidate, Choice, Wish, choose, taken_of
from catalog.errors import CroplineError, RequestError
from catalog.legend import Legend
from catalog.model_choice import ModelEntry, WeighedModel
from catalog.model_fit import Need
from catalog.registry import Registry, no_model
from catalog.storage.store import Store
from catalog.zone import Zone
from flows.rates import RunRecord, recorded, seconds_of
from flows.request import SIMULATED_HERE, MapRequest
from flows.request_ground import request_labels
from flows.settings import Settings
from flows.work_places import Place, WorkPlaces, load_places
from processors.engine.machine import gpus
from processors.thematic.crop_weights import weights_of
from processors.thematic.protocol import Processor
from processors.thematic.registry import check_parameters, declaration_of, load_processor, other_years, stand_ins

TRAINED = "none is there yet: it is trained from the labels first"
SIMULATED = "the request asks for it: it is made for its place and dates first"
"""Evidence of models that don't exist."""

TOO_LATE = "the deadline can't be kept any more; "


@dataclass(frozen=True)
class Known:
    """What is known of a season when the choice is made."""

    bands: frozenset[str]
    synthetic: bool
    source: str
    """Address, as its speed is told by."""
    work: Mapping[str, float]
    """Amounts that are still to be done, by `flows.rates.Unit`, without a training."""
    dates: int | None = None
    """Length of the series; None where it isn't known yet."""


@dataclass(frozen=True)
class _Asked:
    """A request with all that its candidates are made of."""

    request: MapRequest
    need: Need
    known: Known
    places: WorkPlaces
    refusals: Mapping[str, str]
    """Why its area may not be processed in a place, by place; empty where it may."""
    stays: bool
    """Whether the run is where it is: other places are listed and not taken."""
    trains: bool
    """Whether a model may be trained from its labels."""
    records: Sequence[RunRecord]
    """Runs that tell speeds."""


def choose_maker(
    request: MapRequest,
    settings: Settings,
    store: Store,
    zone: Zone,
    known: Known,
    *,
    stays: bool = True,
    begun: bool = False,
    trains: bool = True,
    records: Sequence[RunRecord] | None = None,
) -> Choice:
    """The processor, the checkpoint and the place that a request gets, with all others and why not.

    ``stays``: only what runs in this place is taken, and other places are listed. ``begun``: a deadline that nothing keeps any more is said
    and not insisted on. ``trains``: whether a model may be trained from the request's labels. ``records``: runs that tell speeds; else
    the store's own. Raises `ModelError` where no checkpoint fits and none can be trained, and `RequestError` where nothing else serves, or
    nothing by the deadline.
    """
    named = load_processor(request.processor)
    labels = request_labels(request, zone.groups) if named.needs_model else None
    legend: Legend | None = None if labels is None else labels.legend
    places = load_places(settings)
    need = Need(
        request.level,
        known.bands,
        known.synthetic,
        months=request.season,
        dates=known.dates,
        legend=legend,
        area=request.polygon,
    )
    asked = _Asked(
        request=request,
        need=need,
        known=known,
        places=places,
        refusals=places.refusals(request.polygon, request.places),
        stays=stays,
        trains=trains,
        records=recorded(store) if records is None else records,
    )
    weighed = Registry(store).weigh(need, request.model) if named.needs_model and not _simulates(request) else []
    listed = [*_candidates(asked, named, weighed), *_stand_ins(asked, named, weighed), *_refused_places(asked, named)]
    seconds = None if request.deadline is None else (request.deadline - datetime.now(UTC)).total_seconds()
    decided = choose(listed, Wish(request.prefer, seconds))
    if (taken := taken_of(decided)) is None and begun and seconds is not None:
        decided = _said_late(choose(listed, Wish("time")))
        taken = taken_of(decided)
    if taken is None:
        raise _nothing(asked, named, weighed, decided, seconds)
    folders = {model.name: model.entry.folder for model in weighed if model.entry is not None}
    return Choice(taken.processor, None if taken.model is None else folders[taken.model], decided)


def _candidates(asked: _Asked, processor: type[Processor], weighed: Sequence[WeighedModel]) -> Iterator[Candidate]:
    """What the processor that the request names can map with, and where: what it gets without a wish first."""
    against = declaration_of(processor).unfit(asked.request.level, asked.known.bands)
    if not processor.needs_model:
        yield from _placed(asked, processor, None, against)
        return
    used = any(not model.refusal and not model.unused for model in weighed)
    if not used and asked.trains and (asked.request.labels is not None or _simulates(asked.request)):
        yield from _placed(asked, processor, None, against, trained=True)
    for model in weighed:
        if model.refusal:
            yield Candidate(processor=processor.name, model=model.name, against=Against.UNFIT, reason=model.refusal)
        else:
            yield from _placed(asked, processor, model, against)


def _stand_ins(asked: _Asked, named: type[Processor], weighed: Sequence[WeighedModel]) -> Iterator[Candidate]:
    """What other processors of the same product can map with."""
    for processor in stand_ins(named):
        against = _unlike(asked, named, processor)
        models: list[WeighedModel | None] = [model for model in weighed if not model.refusal]
        if against:
            yield Candidate(processor=processor.name, against=Against.UNFIT, reason=against)
        else:
            for model in models if processor.needs_model else [None]:
                yield from _placed(asked, processor, model)


def _unlike(asked: _Asked, named: type[Processor], other: type[Processor]) -> str:
    """Reason why a processor can't stand in for the one that a request names; empty where it can."""
    request = asked.request
    if against := declaration_of(other).unfit(request.level, asked.known.bands):
        return against
    if other.needs_model != named.needs_model and (request.model is not None or request.labels is not None):
        return f"the request gives {'a model' if request.model is not None else 'labels'}, and it takes none"
    if request.crops and not getattr(other, "names_crops", False):
        return "the request says which crops may be named, and it names none"
    try:
        if request.parameters:
            check_parameters(other, request.parameters)
        years = [other_years(one, request.parameters, request.year) for one in (named, other)]
    except CroplineError as error:
        return f"it doesn't take the request's parameters: {error}"
    return "" if years[0] == years[1] else "it compares the season with other years than the processor that is named"


def _placed(
    asked: _Asked, processor: type[Processor], model: WeighedModel | None, against: str = "", *, trained: bool = False
) -> Iterator[Candidate]:
    """A processor with a checkpoint in each place where the area may be processed."""
    request, known, declared = asked.request, asked.known, declaration_of(processor)
    entry = None if model is None else model.entry
    accuracy = Accuracy.of(declared.accuracy if entry is None else entry.strictest)
    if accuracy is not None and declared.evidence and entry is not None:
        accuracy = accuracy.model_copy(update={"evidence": f"{accuracy.evidence} {declared.evidence}".strip()})
    work = {**known.work, "trained": float(trained)}
    for name, place in asked.places.places.items():
        if asked.refusals[name]:
            continue
        seconds, measured = seconds_of(
            work, known.source, processor.name, None if entry is None else entry.name, name, asked.records
        )
        unfit = against or _unnamed(request, entry) or _not_there(asked, processor, name, place)
        unused = "" if model is None else model.unused
        yield Candidate(
            processor=processor.name,
            model=None if entry is None else entry.name,
            place=name,
            level=request.level,
            bands=declared.bands if entry is None else entry.bands,
            accuracy=accuracy,
            seconds=seconds,
            measured=measured and not trained,
            against=Against.UNFIT if unfit else Against.NOT_IN_USE if unused else Against.NOTHING,
            reason=unfit or unused or (_to_be_made(request) if trained else ""),
        )


def _unnamed(request: MapRequest, model: ModelEntry | None) -> str:
    """Reason why a model can't name the crops that a request wants named; empty where it can."""
    try:
        if model is not None:
            weights_of(model.legend, request.crop_weights)
    except RequestError as error:
        return str(error).removeprefix("crops: ").rstrip(".")
    return ""


def _simulates(request: MapRequest) -> bool:
    return request.model == SIMULATED_HERE


def _to_be_made(request: MapRequest) -> str:
    return SIMULATED if _simulates(request) else TRAINED


def _not_there(asked: _Asked, processor: type[Processor], name: str, place: Place) -> str:
    """Reason why a processor doesn't run in a place; empty where it does."""
    declared, here = declaration_of(processor), asked.places.here
    if place.processors and processor.name not in place.processors:
        return f"{name} doesn't have it"
    if declared.places and name not in declared.places:
        return f"it runs in {', '.join(declared.places)} only"
    if declared.gpu and not (place.gpu or (name == here and gpus())):
        return f"it needs a GPU, and {name} has none"
    return f"the run is in {here}" if asked.stays and name != here else ""


def _refused_places(asked: _Asked, named: type[Processor]) -> Iterator[Candidate]:
    for place, against in asked.refusals.items():
        if against:
            yield Candidate(processor=named.name, place=place, against=Against.UNFIT, reason=against)


def _said_late(decided: Sequence[Candidate]) -> tuple[Candidate, ...]:
    return tuple(one.model_copy(update={"reason": TOO_LATE + one.reason}) if one.taken else one for one in decided)


def _nothing(
    asked: _Asked,
    named: type[Processor],
    weighed: Sequence[WeighedModel],
    decided: Sequence[Candidate],
    seconds: float | None,
) -> CroplineError:
    """The error of a request that nothing can make: what is wrong, and of each candidate why not."""
    serving = [one for one in decided if one.against is not Against.UNFIT]
    if not serving and named.needs_model and not any(not model.refusal for model in weighed):
        return no_model(weighed, asked.need)
    listed = "\n".join(f"  {one.label}: {one.reason}" for one in decided)
    if serving and seconds is not None:
        return RequestError(
            f"deadline: nothing makes this map by {asked.request.deadline:%Y-%m-%d %H:%M} UTC. Nothing was downloaded. Give it more time, "
            f"or ask for less:\n{listed}"
        )
    return RequestError(f"processor: nothing that is installed can make this map:\n{listed}")
