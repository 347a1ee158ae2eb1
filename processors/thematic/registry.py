"""Registry of processors: entry points of the group `cropline.processors`, in this distribution or any other."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError

from catalog.errors import RequestError
from catalog.guards.refusal import plain_message
from catalog.plugins import Offer, check_made, load_offer, offered
from catalog.products import Frozen
from catalog.quoting import shortened, shown
from processors.thematic.declaration import Declaration
from processors.thematic.judgement import Judgement
from processors.thematic.protocol import Job, Processor

GROUP = "cropline.processors"

_CLASS_ATTRIBUTES = ("name", "title", "version", "needs_model", "Parameters", "run", "summarise", "finish")
_OWN_ATTRIBUTES = ("grid", "bands", "fields", "variables", "notes")
"""What a processor may set when it is made: asked for before a run has spent hours."""
_CONTRACT = "processors/thematic/protocol.py"


class ProcessorDescription(Frozen):
    """One line of `cropline processors`."""

    name: str
    package: Annotated[str, Field(description="distribution and version that offers it")]
    title: str = ""
    version: str = ""
    needs_model: bool = False
    declares: Annotated[Declaration | None, Field(description="what it delivers, from what, how well, and where")] = (
        None
    )
    parameters: Annotated[dict[str, Any], Field(description="JSON Schema of the request's `parameters`")] = {}
    error: Annotated[str | None, Field(description="why it can't be used, where it can't")] = None


def find_processors() -> dict[str, type[Processor]]:
    """The processors that can be used, by name. One that can't be imported is left out; `describe_processors` says why."""
    usable = {}
    for name, offers in offered(GROUP).items():
        try:
            usable[name] = _load(name, offers)
        except RequestError:
            continue
    return usable


def make_processor(name: str, job: Job) -> Processor:
    """Make the processor of that name for a job. Only its own module is imported.

    Raises `RequestError` for an unknown name (listing the known ones), a plug-in that can't be imported and parameters that
    aren't valid, and what the processor itself raises when it can't do the job.
    """
    processor = load_processor(name)
    made = processor(job.model_copy(update={"parameters": check_parameters(processor, job.parameters)}))
    check_made("processor", name, made, _OWN_ATTRIBUTES, _CONTRACT)
    return made


def load_processor(name: str) -> type[Processor]:
    """Load the class of that name. Raises `RequestError` as `make_processor` does."""
    offers = offered(GROUP)
    if name not in offers:
        known = ", ".join(offers) or f"none (no installed package has entry points of the group {GROUP})"
        raise RequestError(f"processor: {name!r} is unknown. There are: {known}.")
    return _load(name, offers[name])


def check_parameters(processor: type[Processor], parameters: dict[str, Any]) -> dict[str, Any]:
    """Check a request's `parameters`. Returns them with defaults filled in, as JSON values. Raises `RequestError` naming the field."""
    try:
        return processor.Parameters.model_validate(parameters).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        field = shortened(".".join(["parameters", *(str(part) for part in first["loc"])]), 80)
        known = ", ".join(processor.Parameters.model_fields) or "no parameters"
        raise RequestError(
            f"{field}: {plain_message(first)} (got {shown(first['input'])}). Processor {processor.name} takes: {known}."
        ) from error


def other_years(processor: type[Processor], parameters: dict[str, Any], year: int) -> tuple[int, ...]:
    """The years whose same months a processor compares a season with, by its parameters; most compare with none.

    ``year``: the season's own. Raises `RequestError` where the parameters make no sense.
    """
    years = getattr(processor, "other_years", None)
    if years is None:
        return ()
    return tuple(years(processor.Parameters.model_validate(check_parameters(processor, parameters)), year))


def judgement_of(processor: Processor) -> Judgement | None:
    """How a processor judges declared parcels; None for one that doesn't."""
    judgement = getattr(processor, "judgement", None)
    return None if judgement is None else judgement()


def judged_columns(processor: type[Processor], parameters: dict[str, Any]) -> tuple[str | None, str | None] | None:
    """Columns of declared crops and of parcels' own ids that a request's parameters name; None for a processor that judges no parcels.

    Raises `RequestError` where the parameters aren't valid.
    """
    if not hasattr(processor, "judgement"):
        return None
    checked = check_parameters(processor, parameters)
    return checked.get("column"), checked.get("id")


def declaration_of(processor: type[Processor]) -> Declaration:
    """What a processor declares; one that declares nothing itself delivers a product of its own. Raises `RequestError`."""
    declared = vars(processor).get(
        "declares"
    )  # not that of a class that it goes on from: that one's product is another
    if declared is None:
        return Declaration(product=processor.name)
    if not isinstance(declared, Declaration):
        raise RequestError(f"processor {processor.name}: its `declares` is no Declaration. See {_CONTRACT}.")
    return declared


def stand_ins(processor: type[Processor]) -> list[type[Processor]]:
    """The other processors that deliver the same product, by name; those that can't be used are left out."""
    product, others = declaration_of(processor).product, []
    for name, found in find_processors().items():
        try:
            if name != processor.name and declaration_of(found).product == product:
                others.append(found)
        except RequestError:
            continue
    return others


def describe_processors() -> list[ProcessorDescription]:
    """All processors by name, those that can't be used with their reason."""
    descriptions = []
    for name, offers in offered(GROUP).items():
        package = ", ".join(offer.package for offer in offers)
        try:
            processor = _load(name, offers)
        except RequestError as error:
            descriptions.append(ProcessorDescription(name=name, package=package, error=str(error)))
            continue
        descriptions.append(
            ProcessorDescription(
                name=name,
                package=package,
                title=processor.title,
                version=processor.version,
                needs_model=processor.needs_model,
                declares=declaration_of(processor),
                parameters=processor.Parameters.model_json_schema(),
            )
        )
    return descriptions


def _load(name: str, offers: list[Offer]) -> type[Processor]:
    processor: type[Processor] = load_offer("processor", name, offers, _CLASS_ATTRIBUTES, _CONTRACT)
    if processor.name != name:
        where = f"processor {name} of {offers[0].package} ({offers[0].value})"
        raise RequestError(f"{where} calls itself {processor.name!r}. Its entry point must have the same name.")
    return processor
