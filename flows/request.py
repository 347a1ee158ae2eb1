"""Request of a user: the parameters of the flow `crop-map`, and every check that needs no pixel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from catalog.area import Area, area_km2, as_geojson, check_size, parse_area
from catalog.area_file import area_value, settled
from catalog.errors import RequestError
from catalog.grid import PIXEL, holds_pixel
from catalog.legend import read_legend
from catalog.products import Frozen, Level, season_period
from catalog.storage.store import digest
from catalog.zone import Zone
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

PATHS = ("labels", "legend", "crop_mask", "output")
"""Parameters that are paths; they become absolute, relative to where the command runs."""

TRAINING_PARAMETERS = (
    "area", "year", "months", "level", "source", "max_cloud", "min_clear", "min_acquisitions", "offset", "labels",
    "labels_layer", "legend", "training",
)  # fmt: skip
"""Parameters of a request that the flow `retrain` takes."""

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
        str | None,
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
        str | None,
        Field(description="GeoTIFF or vector file of known crops; a model is trained from it where none fits."),
    ] = None
    labels_layer: Annotated[
        str | None, Field(description="Layer of the labels' file, where it holds several with polygons.")
    ] = None
    legend: Annotated[
        str | None,
        Field(description="CSV that says what the labels' codes mean; by default the file beside the labels."),
    ] = None
    crop_mask: Annotated[
        str | None, Field(description="GeoTIFF or vector file of cropland; what lies outside is mapped as background.")
    ] = None
    crop_mask_layer: Annotated[
        str | None, Field(description="Layer of the crop mask's file, where it holds several with polygons.")
    ] = None
    model: Annotated[
        str | None,
        Field(
            description="Name of a model of this installation or folder of a checkpoint; by default the best that fits."
        ),
    ] = None
    output: Annotated[
        str | None,
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
    if not file.is_file():
        raise RequestError(f"no request file {file}. Give the path of a JSON file such as aoi.json.")
    try:
        return parse_parameters(file.read_text(encoding="utf-8-sig"), str(file))
    except UnicodeDecodeError as error:
        raise RequestError(f"{file} is not JSON: it is no UTF-8 text. Give the request as a JSON object.") from error


def parse_parameters(text: str, where: str) -> dict[str, Any]:
    """The JSON object in a text that came from ``where``. Raises `RequestError`."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RequestError(f"{where} is not JSON: {error}. Give the request as a JSON object.") from error
    if not isinstance(value, dict):
        raise RequestError(
            f'{where} holds a JSON {type(value).__name__}, not an object. A request looks like {{"area": …, "year": 2019}}.'
        )
    return value


def check_request(
    parameters: dict[str, Any], base: Path, settings: Settings | None = None, *, delivers: bool = True
) -> MapRequest:
    """The request that parameters make: complete, its paths absolute, everything checked that needs no product.

    ``base`` is the folder that relative paths start from. ``delivers``: whether what is asked for makes a delivery, whose folder is
    checked then. Raises `RequestError` with all that is wrong, one problem a line, and `DeliveryError` where the folder of the delivery
    holds something else.
    """
    settings = settings or load_settings()
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
    request = with_paths(request, base, settings)
    problems += _problems(request, settings, skip=wrong)
    if problems:
        raise RequestError("\n".join(dict.fromkeys(problems)))
    request = request.model_copy(update={"area": settled(settings.open_store(), request.polygon, request.area)})
    if request.output is None:
        name = f"{request.processor}-{request.year}-{request.digest}"
        request = request.model_copy(update={"output": str(base / "deliveries" / name)})
    if delivers:
        check_target(request.delivery_folder, request.digest, replace=request.replace)
    return request


def with_paths(request: MapRequest, base: Path, settings: Settings) -> MapRequest:
    """The request with its paths made absolute, and the source of the settings where it names none."""
    update: dict[str, str] = {}
    if isinstance(request.area, str):
        update["area"] = _absolute(request.area, base)
    for name in PATHS:
        value = getattr(request, name)
        if value is not None:
            update[name] = _absolute(value, base)
    if request.model is not None and (base / request.model).is_dir():
        update["model"] = _absolute(request.model, base)
    source = request.source or settings.source
    if source is not None:
        update["source"] = absolute_source(source, base)
    return request.model_copy(update=update)


def _absolute(path: str, base: Path) -> str:
    if "://" in path or path.startswith("/vsi"):
        return path
    return str((base / Path(path).expanduser()).resolve())


def absolute_source(address: str, base: Path) -> str:
    """A source's address with its path made absolute; URLs and what is no path stay as they are."""
    match = re.fullmatch(r"(stac|safe):(?!//)(.+)", address)
    if match is None:
        return address
    scheme, path = match.groups()
    return f"{scheme}:{_absolute(path, base)}"


def _problems(request: MapRequest, settings: Settings, skip: set[str]) -> list[str]:
    """Problems that the model can't see by itself, for each field that is not in ``skip``."""
    checks: dict[str, Callable[[], None]] = {
        "area": lambda: _check_area(parse_area(area_value(request.area)), settings),
        "year": lambda: _check_season(request, skip),
        "source": lambda: _check_source(request),
        "processor": lambda: _check_processor(request),
        "parameters": lambda: _check_parameters(request, skip),
        "labels": lambda: _check_files(request),
        "legend": lambda: _check_legend(request),
        "model": lambda: _check_model(request, settings),
        "output": lambda: _check_output(request),
    }
    return list(_failures(check for name, check in checks.items() if name not in skip))


def _failures(checks: Iterator[Callable[[], None]]) -> Iterator[str]:
    for check in checks:
        try:
            check()
        except RequestError as error:
            yield str(error)


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


def _check_season(request: MapRequest, skip: set[str]) -> None:
    now = datetime.now(UTC)
    if request.year > now.year:
        raise RequestError(f"year: {request.year} is in the future. Ask for a year from 2015 to {now.year}.")
    if "months" in skip:
        return
    start, _ = season_period(request.year, request.season)
    if start > now:
        raise RequestError(
            f"months: the season {request.season[0]} to {request.season[1]} of {request.year} begins on {start:%Y-%m-%d}, "
            "in the future. Ask for an earlier year or other months."
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
        raise RequestError(f"processor: there is no {request.processor!r}. Installed are {', '.join(names)}.")


def _check_parameters(request: MapRequest, skip: set[str]) -> None:
    if not request.parameters or "processor" in skip or request.processor not in processor_names():
        return
    from processors.thematic.registry import check_parameters, load_processor  # may import torch

    check_parameters(load_processor(request.processor), request.parameters)


def _check_files(request: MapRequest) -> None:
    for name in ("labels", "crop_mask"):
        path = getattr(request, name)
        if path is not None and "://" not in path and not path.startswith("/vsi") and not Path(path).is_file():
            raise RequestError(f"{name}: no file {path}. Relative paths start from where the command runs.")


def _check_legend(request: MapRequest) -> None:
    if request.legend is None:
        return
    if request.labels is None:
        raise RequestError("legend: given without labels. Give the labels whose codes it explains, or drop it.")
    read_legend(Path(request.legend))


def _check_model(request: MapRequest, settings: Settings) -> None:
    if request.model is None or Path(request.model).is_dir():
        return
    models = settings.open_store(create=False).models
    names = sorted(folder.name for folder in models.glob("[!.]*") if folder.is_dir())
    if request.model not in names:
        raise RequestError(
            f"model: {request.model!r} is neither a model of this installation ({', '.join(names) or 'none yet'}) nor a "
            "folder. `cropline models` lists them; without a name the best that fits is taken."
        )


def _check_output(request: MapRequest) -> None:
    if request.output is not None and "://" in request.output:
        raise RequestError(f"output: {request.output} is no folder of this machine. Give a path.")


def _worded(problem: Any, prefix: tuple[str, ...] = ()) -> str:
    """One pydantic error as a sentence that names the field, the value and the remedy."""
    where = ".".join(str(part) for part in (*prefix, *problem["loc"]))
    if problem["type"] == "missing":
        return f"{where}: missing. It is required."
    if problem["type"] == "extra_forbidden":
        if prefix:
            return f"{where}: the processor has no such parameter. `cropline processors --json` lists them."
        return f"{where}: no such parameter. A request takes {', '.join(MapRequest.model_fields)}."
    value = json.dumps(problem["input"], default=str)
    shown = value if len(value) <= 80 else value[:77] + "..."
    message = re.sub(r"^Value error, ", "", problem["msg"])
    return f"{where}: {message[:1].lower()}{message[1:]}, got {shown}. Correct it and send the request again."
