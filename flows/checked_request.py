"""Check of a request: everything that needs no pixel, all that is wrong said at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from catalog.area import Area, area_km2, check_size
from catalog.area_file import settled
from catalog.area_tile import is_tile, part_of
from catalog.errors import DeliveryError, ModelError, RequestError
from catalog.grid import PIXEL, holds_pixel
from catalog.guards.json_text import check_value
from catalog.legend import read_legend
from catalog.quoting import shown
from catalog.registry import Registry
from catalog.season_state import SeasonState
from catalog.storage.bucket_path import BucketPath
from catalog.zone import Zone
from flows.checks import (
    check_deadline,
    check_disk,
    check_labels,
    check_model,
    check_output,
    check_season,
    check_simulable,
    check_simulated,
    check_teachable,
    listed,
)
from flows.credentials import load_credentials
from flows.request import MODEL_PROCESSOR, REPLAY, SIMULATED_HERE, TRAINING_PARAMETERS, MapRequest, worded
from flows.request_paths import PATH_LIKE, path_of
from flows.settings import Settings, load_settings
from flows.shared_store import exchange_models, share_area, take_area
from flows.work_places import check_places
from processors.delivery.folder_swap import check_target

if TYPE_CHECKING:
    from processors.views.declared import Declared

WITHOUT_MODEL = "vegetation"
"""The processor of a request that makes no map: it needs no model."""

RASTER_SUFFIXES = (".tif", ".tiff", ".jp2")

SURE_TO_HOLD_PIXELS = 1.0
"""Area in km² above which nobody looks whether a pixel's centre lies in it."""

_AREA_OF_LABELS = "area: missing. Where the labels are points or parcels, their file may be it: the squares around points are ordered then."
_DELIVERIES = "deliveries"
_USUAL_OUTPUT = re.compile(r".+-\d{4}-[0-9a-f]{12}")
"""The folder of a delivery for which the user names none, and its name there."""


def check_request(
    parameters: dict[str, Any],
    base: Path,
    settings: Settings | None = None,
    *,
    delivers: bool = True,
    waits: bool = False,
    extracts: bool = False,
    routes: bool = False,
) -> MapRequest:
    """The request that parameters make: complete, its paths absolute, everything checked that needs no pixel of a product.

    ``base`` is the folder that relative paths start from. ``delivers``: whether what is asked for makes a delivery, whose folder is
    checked then. ``waits``: whether it may wait for its season, which need not have begun then. ``extracts``: whether its labels are
    places whose series are wanted, with classes or without. ``routes``: whether it may be handed on to a place where its data may be
    processed; else that is here. Raises `RequestError` with what is wrong, one problem a line, and `DeliveryError` where the folder of the
    delivery holds something else.
    """
    settings = settings or load_settings()
    check_value(parameters, lambda why: RequestError(f"request: {why}. Correct it and send the request again."))
    known = {name: value for name, value in parameters.items() if value is not None or name in ("area", "year")}
    problems: list[str] = []
    wrong: set[str] = set()
    try:
        request = MapRequest.model_validate(known)
    except ValidationError as error:
        # Of an area, its own check says more than two lines about a dict and a list.
        errors = [item for item in error.errors() if item["loc"][:1] != ("area",) or item["type"] == "missing"]
        labelled = isinstance(known.get("labels"), str)
        problems = [
            _AREA_OF_LABELS if problem["loc"] == ("area",) and labelled else worded(problem) for problem in errors
        ]
        wrong = {str(problem["loc"][0]) for problem in errors}
        # Bad fields fall back, so that the others are checked as well and the user hears of everything at once.
        rest = {name: value for name, value in known.items() if name not in wrong}
        request = MapRequest.model_construct(**{"area": None, "year": 2019, **rest})
    paths: dict[str, Any] = {}
    for name in PATH_LIKE:
        try:
            paths[name] = path_of(request, name, base, settings)
        except RequestError as error:
            problems.append(str(error))
            wrong.add(name)
    request = _from_elsewhere(request.model_copy(update=paths), base, settings)
    problems += _problems(request, base, settings, skip=wrong, waits=waits, extracts=extracts, routes=routes)
    if problems:
        raise RequestError(listed(list(dict.fromkeys(problems))))
    store = settings.open_store()
    request = request.model_copy(update={"area": settled(store, request.polygon, request.area)})
    share_area(store, request.area)
    if request.output is None:
        name = f"{request.processor}-{request.year}-{request.digest}"
        request = request.model_copy(update={"output": str(base / _DELIVERIES / name)})
        if delivers:
            _check_output(request, base, settings)
    if delivers:
        check_target(request.delivery_folder, request.digest, replace=request.replace)
    return request


def with_area(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of what makes no map: without an area, that of the labels is it, squares around points or parcels themselves."""
    labels = parameters.get("labels")
    if parameters.get("area") is not None or not isinstance(labels, str):
        return parameters
    if Path(labels).suffix.lower() in RASTER_SUFFIXES:
        raise RequestError(
            "area: missing. Labels that are a raster don't say it: give a file, a bbox, or a place on a tile."
        )
    return {**parameters, "area": labels}


def check_extraction(parameters: dict[str, Any], base: Path, settings: Settings) -> MapRequest:
    """The request for series that the parameters of a map make: what belongs to its processor alone is left out. Raises `RequestError`."""
    kept = {name: value for name, value in parameters.items() if name in (*TRAINING_PARAMETERS, "limits", "places")}
    if unknown := sorted(parameters.keys() - MapRequest.model_fields.keys()):
        kept |= {name: parameters[name] for name in unknown}  # which are refused as those of a map are
    # Each row says by itself where it is clear, so that by default no date is left out.
    asked = {"min_clear": 0} | with_area(kept) | {"processor": WITHOUT_MODEL}
    return check_request(asked, base, settings, delivers=False, extracts=True)


def _from_elsewhere(request: MapRequest, base: Path, settings: Settings) -> MapRequest:
    """A request that another machine completed, with what lay in its store or below its folders taken from the bucket or made here."""
    update: dict[str, Any] = {}
    store = settings.open_store(create=False)
    if isinstance(store.cubes, BucketPath):
        if isinstance(request.area, str):
            update["area"] = take_area(store, request.area)
        if request.model is not None:
            exchange_models(store)
    if request.output is not None and "://" not in request.output:
        output = Path(request.output)
        # A folder that nobody chose, below one that isn't here.
        if (
            _USUAL_OUTPUT.fullmatch(output.name)
            and output.parent.name == _DELIVERIES
            and not output.parents[1].is_dir()
        ):
            update["output"] = str(base / _DELIVERIES / output.name)
    return request.model_copy(update=update)


def _problems(
    request: MapRequest, base: Path, settings: Settings, skip: set[str], *, waits: bool, extracts: bool, routes: bool
) -> list[str]:
    """Problems that the model can't see by itself, for each field that is not in ``skip``.

    Everything that needs no pixel of a product stands in this list: what fails here has cost no download.
    """
    problems: list[str] = []
    failed: set[str] = set()

    @cache
    def parcels() -> Declared | None:
        """Read once, for both checks of them."""
        from flows.request_ground import request_parcels

        return request_parcels(request, Zone.of(request.polygon))

    checks: dict[str, Callable[[], None]] = {
        "area": lambda: check_area(request.polygon, request.area, settings),
        "year": lambda: None if waits else _check_season(request, skip, settings),
        "places": lambda: (
            None if "area" in skip | failed else check_places(request.polygon, request.places, settings, routes=routes)
        ),
        "deadline": lambda: check_deadline(request.deadline),
        "source": lambda: _check_source(request),
        "processor": lambda: _check_processor(request),
        "parameters": lambda: _check_parameters(request, skip),
        "legend": lambda: _check_legend(request),
        "labels": lambda: (
            _check_places(request, skip | failed)
            if extracts
            else _check_labels(request, settings, skip | failed, waits=waits)
        ),
        "crop_mask": lambda: _check_crop_mask(request, skip | failed),
        "parcels": lambda: _check_parcels(request, skip | failed, parcels),
        "judged": lambda: _check_judged(request, skip | failed, parcels),
        "model": lambda: _check_model(request, settings, skip),
        "start_from": lambda: _check_start(request, settings, skip),
        "crops": lambda: _check_crops(request, settings, skip | failed),
        "output": lambda: _check_output(request, base, settings),
        "disk": lambda: _check_disk(request, settings, skip | failed),
    }
    for name, check in checks.items():
        if name in skip:
            continue
        try:
            check()
        except (RequestError, ModelError, DeliveryError) as error:
            problems.append(str(error))
            failed.add(name)
    return problems


def _check_season(request: MapRequest, skip: set[str], settings: Settings) -> None:
    check_season(request.year, None if "months" in skip else request.season, settings.now)


def check_area(area: Area, given: Any, settings: Settings) -> None:
    """See that an area isn't too large, and holds a pixel; ``given``: what the request calls it. Raises `RequestError`."""
    check_size(area, settings.max_area_km2, part_of(given) if is_tile(given) else None)
    size = area_km2(area)
    zone = Zone.of(area)
    zone.check_work(settings.max_area_km2)
    if size < SURE_TO_HOLD_PIXELS and not holds_pixel(area, zone.epsg):
        raise RequestError(
            f"area: no pixel's centre lies in it: it has {1e6 * size:,.0f} m², and a pixel of {PIXEL} m belongs to an area where its "
            f"centre does. Ask for a larger one, such as the same with {PIXEL} m around it."
        )


def _check_source(request: MapRequest) -> None:
    if request.source is None:
        raise RequestError(
            "source: the request names none and CROPLINE_SOURCE is not set. Give one, such as stac:path/to/catalog.json."
        )
    from catalog.sources.registry import open_source  # pulls in STAC and HTTP libraries, which --help doesn't need

    open_source(request.source, load_credentials())


def processor_names() -> list[str]:
    """Names of the installed processors, without importing them."""
    return sorted({entry.name for entry in entry_points(group="cropline.processors")})


def _check_processor(request: MapRequest) -> None:
    names = processor_names()
    if request.processor not in names:
        raise RequestError(f"processor: there is no {shown(request.processor)}. Installed are {', '.join(names)}.")


def _check_parameters(request: MapRequest, skip: set[str]) -> None:
    if not request.parameters or "processor" in skip or request.processor not in processor_names():
        return
    from processors.thematic.registry import check_parameters, load_processor, other_years  # may import torch

    processor = load_processor(request.processor)
    check_parameters(processor, request.parameters)
    if "year" not in skip:
        other_years(processor, request.parameters, request.year)


def _check_crops(request: MapRequest, settings: Settings, failed: set[str]) -> None:
    """Crops are those of a legend; where the model isn't chosen yet and none is trained, its own legend says it later."""
    if not request.crops or failed & {"processor", "labels", "legend", "model"}:
        return
    from processors.thematic.crop_weights import weights_of
    from processors.thematic.registry import load_processor  # may import torch

    if request.processor in processor_names() and not getattr(load_processor(request.processor), "names_crops", False):
        raise RequestError(f"crops: {request.processor} names no crops. Drop them, or ask for {MODEL_PROCESSOR}.")
    if request.model == SIMULATED_HERE:
        return  # they are looked at with the model
    if request.model is not None:
        weights_of(Registry(settings.open_store(create=False)).named(request.model).legend, request.crop_weights)
    elif request.labels is not None and request.legend is not None:
        weights_of(read_legend(Path(request.legend)), request.crop_weights)


def _check_legend(request: MapRequest) -> None:
    if request.legend is None:
        return
    if request.labels is None:
        raise RequestError("legend: given without labels. Give the labels whose codes it explains, or drop it.")
    read_legend(Path(request.legend))


def _check_labels(request: MapRequest, settings: Settings, failed: set[str], *, waits: bool) -> None:
    if request.labels is None:
        for name in ("labels_layer", "labels_column", "labels_radius"):
            if getattr(request, name):
                raise RequestError(f"{name}: given without labels. Give the file that it belongs to, or drop it.")
        return
    _check_file("labels", request.labels)
    if not failed & {"area", "level", "legend"}:
        from flows.request_ground import request_labels  # imports the raster libraries

        zone = Zone.of(request.polygon)
        if labels := request_labels(request, zone.groups):
            store = settings.open_store(create=False)
            check_labels(labels, zone, request.level, store)
            if not waits and request.model is None and not failed & {"year", "months"}:
                season = SeasonState.of(request.year, request.season, settings.now)
                check_teachable(labels, request.level, season, request.season, store)


def _check_places(request: MapRequest, failed: set[str]) -> None:
    if request.labels is None:
        raise RequestError("labels: missing. Give the file of the points or parcels whose series are wanted.")
    if not failed & {"area", "legend"}:
        from flows.request_ground import request_places

        request_places(request, Zone.of(request.polygon))


def _check_crop_mask(request: MapRequest, failed: set[str]) -> None:
    if request.crop_mask is None:
        return
    _check_file("crop_mask", request.crop_mask)
    if "area" not in failed:
        from flows.request_ground import request_crop_mask

        zone = Zone.of(request.polygon)
        if crop_mask := request_crop_mask(request):
            crop_mask.check(zone.geometry, zone.epsg)


def _check_parcels(request: MapRequest, failed: set[str], read: Callable[[], Declared | None]) -> None:
    if request.parcels is None:
        if request.parcels_layer is not None:
            raise RequestError("parcels_layer: given without parcels. Give the file that it is a layer of, or drop it.")
        return
    _check_file("parcels", request.parcels)
    if "area" not in failed:
        read()


def _check_judged(request: MapRequest, failed: set[str], read: Callable[[], Declared | None]) -> None:
    """A processor that judges parcels needs some, with the columns that its parameters name."""
    if failed & {"area", "processor", "parcels", "parameters"} or request.processor not in processor_names():
        return
    from processors.thematic.registry import judged_columns, load_processor  # may import torch

    columns = judged_columns(load_processor(request.processor), request.parameters)
    if columns is None:
        return
    if request.parcels is None:
        raise RequestError(
            f"parcels: {request.processor} judges declared parcels, and the request names none. Give their file: parcels."
        )
    from processors.conformity.declarations import find_columns

    declared = read()
    if declared is not None:
        find_columns(declared, *columns)


def _check_file(name: str, path: str) -> None:
    if "://" in path or not Path(path).exists():  # a geodatabase is a folder
        raise RequestError(f"{name}: no file {path}. Relative paths start from where the command runs.")


def _check_model(request: MapRequest, settings: Settings, failed: set[str]) -> None:
    if request.model == SIMULATED_HERE:
        if not failed & {"level", "crops", "processor"}:
            if request.processor != MODEL_PROCESSOR:
                raise RequestError(
                    f"model: {SIMULATED_HERE} is for {MODEL_PROCESSOR}, not for {request.processor}. Drop it."
                )
            idle = [name for name in ("labels", "start_from") if getattr(request, name) is not None]
            check_simulated(request.level, request.crop_weights, idle)
    elif request.model is not None and not failed & {"level", "months"}:
        check_model(request.model, request.level, request.season, settings.open_store(create=False))


def _check_start(request: MapRequest, settings: Settings, failed: set[str]) -> None:
    if request.classifier == REPLAY and "level" not in failed:
        check_simulable("classifier", request.level)
    if request.start_from is not None:
        Registry(settings.open_store(create=False)).named(request.start_from)


def _check_output(request: MapRequest, base: Path, settings: Settings) -> None:
    if request.output is None:
        return
    if "://" in request.output:
        raise RequestError(f"output: {request.output} is no folder of this machine. Give a path.")
    check_output(Path(request.output), base.resolve(), settings.open_store(create=False).root)


def _check_disk(request: MapRequest, settings: Settings, failed: set[str]) -> None:
    if not failed & {"area", "level", "min_acquisitions"}:
        check_disk(settings.open_store(create=False), request.polygon, request.level, request.min_acquisitions)
