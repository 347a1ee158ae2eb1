"""Request of a user: the parameters of the flow `crop-map`, and every check that needs no pixel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from catalog.area import Area, area_km2, as_geojson, check_size, parse_area
from catalog.area_file import area_value, settled
from catalog.errors import DeliveryError, ModelError, RequestError
from catalog.grid import PIXEL, holds_pixel
from catalog.guards.json_text import check_value, parse_object
from catalog.guards.paths import user_path
from catalog.guards.refusal import plain_message
from catalog.legend import read_legend
from catalog.products import Frozen, Level
from catalog.quoting import shortened, shown
from catalog.storage.store import digest
from catalog.zone import Zone
from flows.checks import check_crop_mask, check_disk, check_labels, check_model, check_output, check_season, listed
from flows.credentials import load_credentials
from flows.settings import Settings, load_settings
from processors.delivery.folder_swap import check_target

# The same annotations stand at the flow's parameters: Prefect takes bounds from here and descriptions from the flow's
# docstring, and a test compares both with this model.
AreaValue = dict[str, Any] | list[float] | str
Year = Annotated[int, Field(ge=2015, le=2100)]
Month = Annotated[int, Field(ge=1, le=12)]
Months = Annotated[list[Month], Field(min_length=2, max_length=2)]
Percent = Annotated[float, Field(ge=0, le=100)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1000)]
Training = Literal["standard", "quick"]
Offsets = dict[str, Annotated[int, Field(ge=-10_000, le=10_000)]]
Text = Annotated[str, Field(min_length=1, max_length=8000)]

PATHS = ("labels", "legend", "crop_mask", "output")
"""Parameters that are paths; they become absolute, relative to where the command runs."""

TRAINING_PARAMETERS = (
    "area", "year", "months", "level", "source", "max_cloud", "min_clear", "min_acquisitions", "offset", "labels",
    "labels_layer", "legend", "training",
)  # fmt: skip
"""Parameters of a request that the flow `retrain` takes."""

_PATH_LIKE = (*PATHS, "model", "source", "area")

SURE_TO_HOLD_PIXELS = 1.0
"""Area in km² above which nobody looks whether a pixel's centre lies in it."""

MODEL_PROCESSOR = "crop-map"
"""The processor that labels train a model for."""


class MapRequest(Frozen):
    """One map of one area and season. Only `area` and `year` are required."""

    area: Annotated[
        AreaValue,
        Field(
            description="GeoJSON or bbox [west, south, east, north] in longitude and latitude, or the path of a GeoJSON or GeoPackage file."
        ),
    ]
    year: Annotated[Year, Field(description="Year that the season ends in; from 2015.")]
    months: Annotated[
        Months, Field(description="First and last month of the season; [10, 7] starts in October of the year before.")
    ] = [1, 7]
    level: Annotated[
        Level, Field(description="Processing level of the products: L2A (surface) or L1C (top of atmosphere).")
    ] = "L2A"
    source: Annotated[
        Text | None,
        Field(
            description="Where products come from, such as stac:path/to/catalog.json or stac:https://…; by default CROPLINE_SOURCE."
        ),
    ] = None
    max_cloud: Annotated[
        Percent, Field(description="Products whose whole tile is cloudier than this are not ordered, percent.")
    ] = 95
    min_clear: Annotated[
        Fraction, Field(description="An acquisition is used when at least this fraction of the area is clear, 0 to 1.")
    ] = 0.5
    min_acquisitions: Annotated[
        Count, Field(description="Fewest acquisitions to make a map from; with less the run fails.")
    ] = 5
    offset: Annotated[
        Offsets,
        Field(
            description="Radiometric offset by acquisition or product, in units of 0.0001 reflectance such as -1000, where the source errs."
        ),
    ] = {}
    processor: Annotated[str, Field(description="Thematic processor; `cropline processors` lists them.")] = (
        MODEL_PROCESSOR
    )
    labels: Annotated[
        Text | None,
        Field(description="GeoTIFF or vector file of known crops; a model is trained from it where none fits."),
    ] = None
    labels_layer: Annotated[
        str | None, Field(description="Layer of the labels' file, where it holds several with polygons.")
    ] = None
    legend: Annotated[
        Text | None,
        Field(description="CSV that says what the labels' codes mean; by default the file beside the labels."),
    ] = None
    crop_mask: Annotated[
        Text | None, Field(description="GeoTIFF or vector file of cropland; what lies outside is mapped as background.")
    ] = None
    crop_mask_layer: Annotated[
        str | None, Field(description="Layer of the crop mask's file, where it holds several with polygons.")
    ] = None
    model: Annotated[
        Text | None,
        Field(
            description="Name of a model of this installation or folder of a checkpoint; by default the best that fits."
        ),
    ] = None
    output: Annotated[
        Text | None,
        Field(description="Folder of the delivery; by default `deliveries/PROCESSOR-YEAR-HASH` of the request."),
    ] = None
    replace: Annotated[
        bool,
        Field(
            description="Replace the delivery of another request that the output folder holds.",
            exclude_if=lambda replace: not replace,  # what was asked for is the same with or without it
        ),
    ] = False
    parameters: Annotated[dict[str, Any], Field(description="Parameters of the processor itself.")] = {}
    training: Annotated[
        Training, Field(description="How a missing model is trained: standard, or quick for a try.")
    ] = "standard"

    @property
    def season(self) -> tuple[int, int]:
        """First and last month."""
        return self.months[0], self.months[1]

    @property
    def polygon(self) -> Area:
        """The area, longitude and latitude. Raises `RequestError` where it is in a file that can't be read any more."""
        return parse_area(area_value(self.area))

    @property
    def geometry(self) -> dict[str, Any]:
        """The area as a GeoJSON geometry, longitude and latitude."""
        return as_geojson(self.polygon)

    @property
    def delivery_folder(self) -> Path:
        """Folder of the delivery; `check_request` names one where the user doesn't."""
        return Path(str(self.output))

    @property
    def digest(self) -> str:
        """Digest that names the request: what is asked for, wherever it is delivered and however its area is given."""
        # A field that a request doesn't use leaves the name of older requests as it was.
        unused = {name for name in ("offset", "labels_layer", "crop_mask_layer") if not getattr(self, name)}
        return digest({**self.model_dump(mode="json", exclude={"output", "replace", *unused}), "area": self.geometry})


def read_parameters(file: Path) -> dict[str, Any]:
    """The parameters in a request's file. Raises `RequestError`: no such file, or no JSON object in it."""
    user_path(file, lambda why: RequestError(f"no request file: {why}. Give the path of a JSON file such as aoi.json."))
    if not file.is_file():
        raise RequestError(f"no request file {file}. Give the path of a JSON file such as aoi.json.")
    try:
        text = file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file} can't be read: {error.strerror}. Check its permissions.") from error
    return parse_parameters(text, str(file))


def parse_parameters(text: str | bytes, where: str) -> dict[str, Any]:
    """The JSON object in a text that came from ``where``. Raises `RequestError`."""
    return parse_object(
        text,
        lambda why: RequestError(f'{where} {why}. A request looks like {{"area": …, "year": 2019}}.'),
        unique=True,
    )


def check_request(
    parameters: dict[str, Any], base: Path, settings: Settings | None = None, *, delivers: bool = True
) -> MapRequest:
    """The request that parameters make: complete, its paths absolute, everything checked that needs no pixel of a product.

    ``base`` is the folder that relative paths start from. ``delivers``: whether what is asked for makes a delivery, whose folder is
    checked then. Raises `RequestError` with what is wrong, one problem a line, and `DeliveryError` where the folder of the delivery
    holds something else.
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
        problems = [_worded(problem) for problem in errors]
        wrong = {str(problem["loc"][0]) for problem in errors}
        # Bad fields fall back, so that the others are checked as well and the user hears of everything at once.
        rest = {name: value for name, value in known.items() if name not in wrong}
        request = MapRequest.model_construct(**{"area": None, "year": 2019, **rest})
    paths: dict[str, Any] = {}
    for name in _PATH_LIKE:
        try:
            paths[name] = _path_of(request, name, base, settings)
        except RequestError as error:
            problems.append(str(error))
            wrong.add(name)
    request = request.model_copy(update=paths)
    problems += _problems(request, base, settings, skip=wrong)
    if problems:
        raise RequestError(listed(list(dict.fromkeys(problems))))
    request = request.model_copy(update={"area": settled(settings.open_store(), request.polygon, request.area)})
    if request.output is None:
        name = f"{request.processor}-{request.year}-{request.digest}"
        request = request.model_copy(update={"output": str(base / "deliveries" / name)})
        if delivers:
            _check_output(request, base, settings)
    if delivers:
        check_target(request.delivery_folder, request.digest, replace=request.replace)
    return request


def with_paths(request: MapRequest, base: Path, settings: Settings) -> MapRequest:
    """The request with its paths made absolute, and the source of the settings where it names none. Raises `RequestError`."""
    return request.model_copy(update={name: _path_of(request, name, base, settings) for name in _PATH_LIKE})


def _path_of(request: MapRequest, name: str, base: Path, settings: Settings) -> Any:
    """The absolute path, address or name that a parameter means; an area that is no path is itself."""
    value = getattr(request, name)
    if name == "source":
        value = value or settings.source
        return None if value is None else absolute_source(value, base)
    if not isinstance(value, str):
        return value
    path = _absolute(name, value, base)
    return path if name != "model" or Path(path).is_dir() else value


def _absolute(name: str, path: str, base: Path) -> str:
    if "://" in path:
        return path
    return str(
        user_path(path, lambda why: RequestError(f"{name}: {why}. Give the path of a file or folder."), base=base)
    )


def absolute_source(address: str, base: Path) -> str:
    """A source's address with its path made absolute; URLs and what is no path stay as they are. Raises `RequestError`."""
    match = re.fullmatch(r"(stac|safe):(?!//)(.+)", address)
    if match is None:
        return address
    scheme, path = match.groups()
    return f"{scheme}:{_absolute('source', path, base)}"


def _problems(request: MapRequest, base: Path, settings: Settings, skip: set[str]) -> list[str]:
    """Problems that the model can't see by itself, for each field that is not in ``skip``.

    Everything that needs no pixel of a product stands in this list: what fails here has cost no download.
    """
    problems: list[str] = []
    failed: set[str] = set()
    checks: dict[str, Callable[[], None]] = {
        "area": lambda: _check_area(parse_area(area_value(request.area)), settings),
        "year": lambda: check_season(request.year, None if "months" in skip else request.season),
        "source": lambda: _check_source(request),
        "processor": lambda: _check_processor(request),
        "parameters": lambda: _check_parameters(request, skip),
        "legend": lambda: _check_legend(request),
        "labels": lambda: _check_labels(request, settings, skip | failed),
        "crop_mask": lambda: _check_crop_mask(request, skip | failed),
        "model": lambda: _check_model(request, settings, skip),
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


def _check_area(area: Area, settings: Settings) -> None:
    check_size(area, settings.max_area_km2)
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
    from catalog.sources.registry import (
        open_source,  # pulls in STAC and HTTP libraries, which commands like --help don't need
    )

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
    from processors.thematic.registry import check_parameters, load_processor  # may import torch

    check_parameters(load_processor(request.processor), request.parameters)


def _check_legend(request: MapRequest) -> None:
    if request.legend is None:
        return
    if request.labels is None:
        raise RequestError("legend: given without labels. Give the labels whose codes it explains, or drop it.")
    read_legend(Path(request.legend))


def _check_labels(request: MapRequest, settings: Settings, failed: set[str]) -> None:
    if request.labels is None:
        return
    labels = _file("labels", request.labels)
    if not failed & {"area", "level", "legend"}:
        legend = None if request.legend is None else Path(request.legend)
        check_labels(labels, legend, request.polygon, request.level, settings.open_store(create=False))


def _check_crop_mask(request: MapRequest, failed: set[str]) -> None:
    if request.crop_mask is None:
        return
    crop_mask = _file("crop_mask", request.crop_mask)
    if "area" not in failed:
        check_crop_mask(crop_mask, request.polygon)


def _file(name: str, path: str) -> Path:
    if "://" in path or not Path(path).exists():  # a geodatabase is a folder
        raise RequestError(f"{name}: no file {path}. Relative paths start from where the command runs.")
    return Path(path)


def _check_model(request: MapRequest, settings: Settings, failed: set[str]) -> None:
    if request.model is not None and not failed & {"level", "months"}:
        check_model(request.model, request.level, request.season, settings.open_store(create=False))


def _check_output(request: MapRequest, base: Path, settings: Settings) -> None:
    if request.output is None:
        return
    if "://" in request.output:
        raise RequestError(f"output: {request.output} is no folder of this machine. Give a path.")
    check_output(Path(request.output), base.resolve(), settings.open_store(create=False).root)


def _check_disk(request: MapRequest, settings: Settings, failed: set[str]) -> None:
    if not failed & {"area", "level", "min_acquisitions"}:
        check_disk(settings.open_store(create=False), request.polygon, request.level, request.min_acquisitions)


def _worded(problem: Any, prefix: tuple[str, ...] = ()) -> str:
    """One pydantic error as a sentence that names the field, the value and the remedy."""
    where = shortened(".".join(str(part) for part in (*prefix, *problem["loc"])), 80)
    if problem["type"] == "missing":
        return f"{where}: missing. It is required."
    if problem["type"] == "extra_forbidden":
        if prefix:
            return f"{where}: the processor has no such parameter. `cropline processors --json` lists them."
        return f"{where}: no such parameter. A request takes {', '.join(MapRequest.model_fields)}."
    value = shortened(json.dumps(problem["input"], default=str), 80)
    message = plain_message(problem)
    return f"{where}: {message[:1].lower()}{message[1:]}, got {value}. Correct it and send the request again."
