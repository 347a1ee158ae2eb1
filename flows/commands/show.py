"""`cropline show`: a delivery at a glance, or its report in the browser."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from catalog.guards.environment import variable
from flows.commands.options import AsJson, tell

_BAR = 30
"""Width of the longest bar, characters."""


def show(
    delivery: Annotated[
        str, typer.Argument(metavar="DELIVERY", help="Folder of a delivery, or the name of a map of this installation.")
    ],
    text: Annotated[bool, typer.Option("--text", help="Print it here, also where there is a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open the report of a delivery in the browser; where there is none, or with --text, print what it holds.

    Example: cropline show deliveries/flanders-2019 --text
    """
    from catalog.delivered_maps import map_folder
    from flows.settings import load_settings
    from processors.delivery.delivered_map import read_item

    settings = load_settings()
    folder = map_folder(settings.open_store(create=False), delivery, settings.folder)
    item = read_item(folder)
    if as_json:
        import json

        typer.echo(json.dumps(item.content))
        return
    report = folder / "report.html"
    if not text and report.is_file() and _has_browser() and webbrowser.open(report.resolve().as_uri()):
        typer.echo(f"opened    {report}")
        return
    for line in _lines(folder, item.content):
        typer.echo(line)
    if not text:
        tell("There is no browser here; --text says the same without looking for one.")


def _has_browser() -> bool:
    """Return whether a page can be shown to somebody: a text browser would take the terminal, and nobody asked for it."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(variable("DISPLAY") or variable("WAYLAND_DISPLAY"))


def _lines(folder: Path, item: dict[str, Any]) -> list[str]:
    """Title, what has to be known, hectares as bars, scores, files."""
    from catalog.quoting import presentable

    properties = item["properties"]
    lines = [presentable(str(properties.get("title", item.get("id", folder.name))))]
    lines += [f"  ! {presentable(str(note))}" for note in properties.get("cropline:notes", ())]
    used = properties.get("cropline:acquisitions", ())
    if used:
        lines.append(f"  {len(used)} acquisitions, {_day(used[0])} to {_day(used[-1])}")
    if (folder / "areas.csv").is_file():
        lines += ["", *_bars(folder / "areas.csv")]
    for score in properties.get("cropline:scores", ()):
        figures = "  ".join(f"{name} {score[key]:.3f}" for name, key in (("OA", "oa"), ("mIoU", "miou")))
        lines += ["", presentable(f"  {score['split']}  {figures}  {score.get('note') or ''}".rstrip())]
    names = [Path(str(asset["href"])).name for asset in item["assets"].values()]
    return [*lines, "", f"  {folder}", f"    {', '.join(names)}"]


def _day(acquisition: str) -> str:
    """The day in an acquisition's name, such as ``S2A_20190417T105031_R051``."""
    stamp = acquisition.split("_")[1] if "_" in acquisition else ""
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}" if len(stamp) >= 8 else acquisition


def _bars(table: Path) -> list[str]:
    """Hectares of each class that the map shows, the largest first."""
    from catalog.quoting import presentable
    from processors.delivery.areas import read_areas

    _, rows = read_areas(table)
    areas = sorted(((float(row["hectares"]), presentable(row["class"])) for row in rows), reverse=True)
    shown = [(hectares, name) for hectares, name in areas if hectares > 0]
    width = max((len(name) for _, name in shown), default=0)
    most = max((hectares for hectares, _ in shown), default=1.0)
    return [
        f"  {name:<{width}} {hectares:>12,.2f} ha  {'█' * max(1, round(_BAR * hectares / most))}"
        for hectares, name in shown
    ]
