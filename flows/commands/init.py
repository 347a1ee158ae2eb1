"""`cropline init`: a first request, valid as it is, with an explanation of each field in a file of its own.

JSON knows no comments, and a request goes through other hands: `prefect deployment run --params aoi.json`, the form in the UI. So the
request is plain JSON, and what a comment would say stands beside it in Markdown.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import AsJson, tell

if TYPE_CHECKING:
    from flows.request import MapRequest
    from flows.settings import Settings

_NUMBER = r"\s*[-+]?\d+(?:\.\d*)?\s*"
_BBOX = re.compile(",".join([_NUMBER] * 4))

_WRITTEN = (
    "area", "year", "months", "level", "source", "max_cloud", "min_clear", "min_acquisitions", "processor", "labels", "legend", "output",
)  # fmt: skip
"""Fields that a first request shows, with their defaults where nothing else is asked for; those that are null it leaves out."""


def init(
    area: Annotated[
        str,
        typer.Argument(
            metavar="AREA",
            help="Vector file of polygons or points (.geojson, .gpkg, .parquet, .shp; zipped, too; any coordinate system), table of points "
            "(.csv with lon and lat; squares of 1.28 km around them are the area), place on a tile "
            "(tile:31UES42 is a square of 10 km, tile:31UES4520 one of 1 km), or bbox WEST,SOUTH,EAST,NORTH in degrees.",
        ),
    ],
    year: Annotated[
        int | None, typer.Option(help="Year that the season ends in; by default the last whose season is over.")
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            help="Where products come from: earth-search, cdse, planetary-computer, or any address of a source."
        ),
    ] = "earth-search",
    level: Annotated[str, typer.Option(help="L2A or L1C.")] = "L2A",
    labels: Annotated[
        str | None,
        typer.Option(
            help="File of known crops, to train a model from; without it the request asks for vegetation, which needs none."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The request's file.")] = Path("aoi.json"),
    as_json: AsJson = False,
) -> None:
    """Write a request for an area, and beside it what each field means; no file is overwritten.

    Example: cropline init tile:31UES4520 --year 2024 --source earth-search
    """
    from catalog.area import area_km2
    from catalog.errors import RequestError
    from catalog.guards.paths import user_path
    from catalog.storage.whole import written_whole
    from catalog.zone import Zone
    from flows.checked_request import check_area
    from flows.settings import load_settings

    settings = load_settings()
    user_path(output, lambda why: RequestError(f"output: {why}. Name a file: --output FILE.json."))
    if not output.name or output.suffix == ".md":
        raise RequestError(
            f"output: {output} can't be the request's file"
            f"{': its explanation is called so' if output.name else ''}. Name another: --output FILE.json."
        )
    explanation = output.with_suffix(".md")
    for path in (output, explanation):
        if path.exists():
            raise RequestError(
                f"{path} is there already, and is not overwritten. Name another file: --output FILE.json."
            )
    request = _request(area, year, source, level, labels, output.stem, settings)
    check_area(request.polygon, request.area, settings)
    given = {name: getattr(request, name) for name in _WRITTEN if getattr(request, name) is not None}
    texts = {
        explanation: _explained(request, given, output),
        output: json.dumps(given, indent=1, ensure_ascii=False) + "\n",
    }
    for path, text in texts.items():
        with written_whole(path) as aside:
            aside.write_text(text, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({"request": str(output), "explanation": str(explanation), **given}))
        return
    zone = Zone.of(request.polygon)
    squares = f" in {len(zone.squares):,} squares around points" if zone.around_points else ""
    typer.echo(f"request      {output}  ({area_km2(zone.area):,.1f} km²{squares})")
    typer.echo(f"explanation  {explanation}")
    for line in _before_it_runs(request):
        tell(line)
    named = shlex.quote(str(output))  # to be copied: names may hold blanks
    tell(f"next         cropline run --dry-run {named}   says what it would cost")
    tell(f"             cropline run {named}   makes the map")


def _request(
    area: str, year: int | None, source: str, level: str, labels: str | None, name: str, settings: Settings
) -> MapRequest:
    """The request, checked field by field. Raises `RequestError`."""
    from catalog.errors import RequestError
    from catalog.guards.refusal import as_declared
    from catalog.sources.presets import PRESETS
    from flows.request import MapRequest

    given: dict[str, Any] = {
        "area": [float(number) for number in area.split(",")] if _BBOX.fullmatch(area) else area,
        "year": _last_year(settings) if year is None else year,
        "source": source,
        "level": level,
        "processor": "crop-map" if labels else "vegetation",
        "labels": labels,
    }
    given["output"] = f"deliveries/{name}-{given['year']}"
    with as_declared(lambda why: RequestError(f"{why}. `cropline init --help` says what there is.")):
        request = MapRequest.model_validate(given)
    preset = PRESETS.get(source)
    if preset is None and ":" not in source:
        raise RequestError(
            f"source: {source!r} is no source's name. There are {', '.join(PRESETS)}; others have addresses, as stac:…"
        )
    if preset is not None and request.level not in preset.levels:
        others = ", ".join(other.name for other in PRESETS.values() if request.level in other.levels)
        raise RequestError(f"source: {source} has no {request.level} that anybody may read. {others} has.")
    return request


def _last_year(settings: Settings) -> int:
    """The last year whose season, of the months that are asked for by default, is over."""
    from catalog.season_state import SeasonState
    from flows.request import MapRequest

    first, last = MapRequest.model_fields["months"].default
    this = settings.now.year
    return this if SeasonState.of(this, (first, last), settings.now).final else this - 1


def _before_it_runs(request: MapRequest) -> list[str]:
    """What has to be there before the request can run."""
    from catalog.sources.presets import PRESETS

    lines = []
    preset = PRESETS.get(str(request.source))
    if preset is not None and preset.needs:
        lines.append(f"{preset.name} needs {preset.needs} in the environment.")
    if request.labels is not None and not Path(request.labels).exists():
        lines.append(f"There is no file {request.labels} yet.")
    return lines


def _explained(request: MapRequest, given: dict[str, Any], output: Path) -> str:
    """The explanation, in Markdown."""
    from flows.request import MapRequest

    fields = MapRequest.model_fields
    asked = "\n".join(f"| `{name}` | `{_short(value)}` | {fields[name].description} |" for name, value in given.items())
    others = "\n".join(
        f"| `{name}` | `{_short(field.default)}` | {field.description} |"
        for name, field in fields.items()
        if name not in given
    )
    needed = "".join(f"- {line}\n" for line in _before_it_runs(request))
    return (
        f"# The request {output.name}\n\n"
        f"| field | value | meaning |\n|---|---|---|\n{asked}\n\n"
        f"## What else it may say\n\n| field | by default | meaning |\n|---|---|---|\n{others}\n\n"
        "## How to go on\n\n"
        f"{needed}"
        f"- `cropline run --dry-run {shlex.quote(str(output))}` says what it would read, cost and take, and downloads nothing.\n"
        f"- `cropline run {shlex.quote(str(output))}` makes the delivery.\n"
        "- A crop map needs `labels`, a file of known crops, or a model that fits: then set `processor` to `crop-map`. "
        "`vegetation` works anywhere without either.\n"
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
