"""Request of a user: the parameters of the flow `crop-map`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from catalog.area import Area, as_geojson, parse_area
from catalog.area_file import area_value
from catalog.candidates import Preference
from catalog.errors import RequestError
from catalog.guards.json_text import parse_object
from catalog.guards.numbers import utc_time
from catalog.guards.paths import user_path, what_lies_at
from catalog.guards.refusal import plain_message
from catalog.products import Frozen, Level
from catalog.quoting import shortened
from catalog.storage.store import digest
from catalog.storage.system_errors import refusal

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
Classifier = Literal["auto", "agrunet", "fine-tuned", "pixel", "forest", "forest-replay"]
Promote = Literal["evidence", "always"]
Offsets = dict[str, Annotated[int, Field(ge=-10_000, le=10_000)]]
Limits = dict[Literal["gb", "processing_units", "minutes"], Annotated[float, Field(ge=0)]]
PlaceNames = list[Annotated[str, Field(min_length=1, max_length=40)]]
Text = Annotated[str, Field(min_length=1, max_length=8000)]
Metres = Annotated[float, Field(ge=0, le=250)]
Crops = list[Text] | dict[Text, Annotated[float, Field(gt=0)]]

TRAINING_PARAMETERS = (
    "area", "year", "months", "level", "source", "max_cloud", "min_clear", "min_acquisitions", "offset", "labels",
    "labels_layer", "labels_column", "labels_radius", "legend", "training", "classifier",
    "start_from",
)  # fmt: skip
"""Parameters of a request that the flow `retrain` takes."""

RUN_PARAMETERS = ("dry_run", "stay")
"""Parameters of the flow `crop-map` that are no part of a request: they say what is done with it."""

REPLAY = "forest-replay"
"""Value of `classifier`: a forest that learns from simulated series, too."""

SIMULATED_HERE = "simulated-here"
"""What a request names as its model for one to be made of series that are simulated at its place and on its dates."""

MODEL_PROCESSOR = "crop-map"
"""The processor that labels train a model for."""


class MapRequest(Frozen):
    """One map of one area and season. Only `area` and `year` are required."""

    area: Annotated[
        AreaValue,
        Field(
            description="GeoJSON or bbox [west, south, east, north] in degrees, a place on a tile (tile:31UES42), or a vector file's path."
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
            description="Where products come from, such as earth-search, cdse or stac:path/to/catalog.json; by default CROPLINE_SOURCE."
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
        Text | None, Field(description="Layer of the labels' file, where it holds several with polygons.")
    ] = None
    labels_column: Annotated[
        Text | None,
        Field(description="Column of the labels' file that says the class; by default the one that is called so."),
    ] = None
    labels_radius: Annotated[
        Metres,
        Field(
            description="Radius of the round parcel that a point of the labels stands for, m; 0 is the pixel that it falls in."
        ),
    ] = 0
    legend: Annotated[
        Text | None,
        Field(description="CSV that says what the labels' codes mean; by default the file beside the labels."),
    ] = None
    crops: Annotated[
        Crops,
        Field(
            description="Crops that may be named, by the model's names or HCAT codes; as an object with the weight of each. By default all."
        ),
    ] = []
    crop_mask: Annotated[
        Text | None, Field(description="GeoTIFF or vector file of cropland; what lies outside is mapped as background.")
    ] = None
    crop_mask_layer: Annotated[
        Text | None, Field(description="Layer of the crop mask's file, where it holds several with polygons.")
    ] = None
    parcels: Annotated[
        Text | None,
        Field(description="Vector file of parcels: the delivery says the crop of each; by default those of the map."),
    ] = None
    parcels_layer: Annotated[
        Text | None, Field(description="Layer of the parcels' file, where it holds several with polygons.")
    ] = None
    model: Annotated[
        Text | None,
        Field(
            description="Model of this installation, folder of a checkpoint, or simulated-here, made without labels; by default the best."
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
    classifier: Annotated[
        Classifier,
        Field(
            description="Kind of model that is trained: agrunet, fine-tuned, pixel, forest, forest-replay, or auto: the best that suits.",
            exclude_if=lambda kind: kind == "auto",  # the name of older requests stays as it was
        ),
    ] = "auto"
    start_from: Annotated[
        Text | None,
        Field(
            description="Model that a fine-tuned one goes on from; by default the one that comes with the software, where it fits."
        ),
    ] = None
    limits: Annotated[
        Limits,
        Field(
            description="Most that the run may take: gb to read, processing_units, minutes; if it would take more, nothing is downloaded.",
            exclude_if=lambda limits: not limits,  # what was asked for is the same with or without them
        ),
    ] = {}
    prefer: Annotated[
        Preference,
        Field(
            description="What decides where several processors, models or places can make the map: quality, or time.",
            exclude_if=lambda prefer: prefer == "quality",  # the name of older requests stays as it was
        ),
    ] = "quality"
    deadline: Annotated[
        datetime | None,
        Field(
            description="Time by which the map must be there, UTC where it names no zone; what takes longer is not begun.",
            exclude_if=lambda deadline: deadline is None,
        ),
    ] = None
    places: Annotated[
        PlaceNames,
        Field(
            description="Names of the places (work pools) where the data may be processed; by default all that the operator's rules allow.",
            exclude_if=lambda places: not places,
        ),
    ] = []

    @field_validator("deadline", mode="before")
    @classmethod
    def _deadline_is_a_time(cls, value: Any) -> datetime | None:
        if value is None:
            return None
        time = utc_time(value.isoformat() if isinstance(value, datetime) else value)
        if time is None:
            raise ValueError("no date such as 2026-05-01, nor a time such as 2026-05-01T12:00")
        return time

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes true for 1, and a request with it for one of January."""
        inside = value if isinstance(value, list) else [value]
        if info.field_name in ("offset", "limits", "crops") and isinstance(value, dict):
            inside = list(value.values())
        if info.field_name != "replace" and any(isinstance(entry, bool) for entry in inside):
            raise ValueError("true and false are no numbers")
        return value

    @property
    def season(self) -> tuple[int, int]:
        """First and last month."""
        return self.months[0], self.months[1]

    @property
    def polygon(self) -> Area:
        """The area, longitude and latitude. Raises `RequestError` where it is in a file that can't be read any more."""
        return parse_area(area_value(self.area, self.labels_radius))

    @property
    def crop_weights(self) -> dict[str, float]:
        """Weight of each crop that may be named; empty where all may."""
        return dict(self.crops) if isinstance(self.crops, dict) else dict.fromkeys(self.crops, 1.0)

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
        # What a run may take, when, and where, change how a map is made and not what is asked for.
        # A field that a request doesn't use leaves the name of older requests as it was.
        optional = (
            "offset", "labels_layer", "labels_column", "labels_radius", "crops", "crop_mask_layer", "parcels", "parcels_layer",
            "start_from",
        )  # fmt: skip
        unused = {name for name in optional if not getattr(self, name)}
        return digest(
            {
                **self.model_dump(mode="json", exclude={"output", "replace", "limits", "deadline", "places", *unused}),
                "area": self.geometry,
            }
        )


def read_parameters(file: Path) -> dict[str, Any]:
    """The parameters in a request's file. Raises `RequestError`: no such file, or no JSON object in it."""
    user_path(file, lambda why: RequestError(f"no request file: {why}. Give the path of a JSON file such as aoi.json."))
    if not file.is_file():
        why = f"{file} is {what_lies_at(file)}" if file.exists() else f"no request file {file}"
        raise RequestError(f"{why}. Give the path of a JSON file such as aoi.json.")
    try:
        text = file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file} can't be read: {refusal(error)}.") from error
    return parse_parameters(text, str(file))


def parse_parameters(text: str | bytes, where: str) -> dict[str, Any]:
    """The JSON object in a text that came from ``where``. Raises `RequestError`."""
    return parse_object(
        text,
        lambda why: RequestError(f'{where} {why}. A request looks like {{"area": …, "year": 2019}}.'),
        unique=True,
    )


def worded(problem: Any) -> str:
    """One pydantic error as a sentence that names the field, the value and the remedy."""
    where = shortened(".".join(str(part) for part in problem["loc"]), 80)
    if problem["type"] == "missing":
        return f"{where}: missing. It is required."
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such parameter. A request takes {', '.join(MapRequest.model_fields)}."
    value = shortened(json.dumps(problem["input"], default=str), 80)
    message = plain_message(problem)
    return f"{where}: {message[:1].lower()}{message[1:]}, got {value}. Correct it and send the request again."
