"""The report of a delivery: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
from calendar import month_name
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shapely.geometry import shape

from catalog.area import area_km2
from catalog.grid import PIXEL
from catalog.storage.whole import written_whole
from processors.delivery.areas import CERTAIN, HECTARE, NO_ESTIMATE, AreaTable
from processors.delivery.page.data import make_map
from processors.delivery.page.script import browser_code
from processors.delivery.provenance import DeliveryFacts, expected_now, location_text, months_text
from processors.delivery.templates import page_templates
from processors.rasters import Variable
from processors.season import LOW_SUN_ZENITH
from processors.thematic.domain import INSIDE_FROM, OUTSIDE_FROM
from processors.views.views import Views

SMALL_AREA = 100.0
"""Area in km² below which no accuracy measured in it says how good maps are elsewhere."""

MOST_TRANSITIONS = 12
"""Pairs of classes that the report lists; `changes.json` has all."""

_TABLES = 300_000
"""Bytes that tables and text may take."""

# The headline comes first.
SPLITS = {
    "hold-out": (
        "Hold-out",
        "Fields on ground that no model learns from: what to expect of a new field nearby. The headline.",
    ),
    "grouped k-fold": (
        "Grouped k-fold",
        "Each field mapped by a network that didn't learn from it, since too few fields are held out: an estimate for the model, which "
        "then learnt from all of them. The model is unproven.",
    ),
    "field-disjoint": (
        "Field-disjoint",
        "One field of a class held out, of which the model saw no pixel. Models of earlier versions were scored so.",
    ),
    "within-field": (
        "Within-field",
        "Blocks of pixels held out of fields whose other pixels the model learnt from. Models of earlier versions were scored so: it "
        "measures interpolation inside fields and is always flattering.",
    ),
    "truth": (
        "Simulated truth",
        "Every pixel against the simulation that made the data. It says nothing about real fields.",
    ),
}


DOMAIN_PLACES = (
    ("inside", "inside: like what the model learnt from", "#2f7d4f"),
    ("edge", "edge: unlike most that it learnt from", "#d9a441"),
    ("outside", "outside: unlike anything that it learnt from", "#b5483a"),
)
"""Places of pixels, what they are called, and their colours."""


def write_report(
    path: Path,
    picture: Path,
    files: Sequence[Path],
    facts: DeliveryFacts,
    table: AreaTable | None,
    *,
    rasters: Mapping[str, Path],
    declared: Sequence[Variable],
    views: Views | None,
) -> None:
    """Write the report (HTML, UTF-8): a map of ``rasters`` (by the name of each variable in ``declared``) and links to ``files`` beside it.

    ``picture``: PNG that is shown where no script runs. All text is escaped; nothing is asked for from anywhere. Raises `StoreError`
    where it can't be written, and `DeliveryError` where a raster can't be read.
    """
    environment = page_templates()
    environment.filters["percent"] = lambda fraction: f"{100 * fraction:.1f} %"
    environment.filters["later"] = _later
    environment.filters["hectares"] = lambda size: f"{size:,.{0 if size >= 1000 else 1}f}"
    code = browser_code()
    encoded = [file for file in files if file.name == "changes.png"] + [picture]
    taken = len(code.script) + len(code.style) + sum(file.stat().st_size * 4 // 3 for file in encoded) + _TABLES
    shown = sorted((row for row in table.rows if row.pixels), key=lambda row: -row.pixels) if table else []
    html = environment.get_template("report.html").render(
        code=code,
        map=make_map(rasters, declared, facts, views, [row.entry for row in shown], taken),
        shown=shown,
        uncertain=table is not None and all(row.uncertain is not None for row in table.rows),
        certain=CERTAIN,
        longest=max((row.pixels for row in shown), default=1),
        facts=facts,
        season=months_text(facts.period),
        place=location_text(facts.area),
        created=facts.created.astimezone(UTC),
        picture_name=picture.name,
        picture=_encoded(picture),
        changes_picture=next((_encoded(file) for file in files if file.name == "changes.png"), ""),
        most=MOST_TRANSITIONS,
        scores=_scores(facts),
        small=_small_area(facts),
        domain_places=DOMAIN_PLACES,
        inside_from=INSIDE_FROM,
        outside_from=OUTSIDE_FROM,
        early=facts.model.early if facts.model else None,
        months=month_name,
        expected_now=expected_now(facts.state, facts.model.early) if facts.model and not facts.state.final else "",
        table=table,
        unmapped=table.unmapped * PIXEL**2 / HECTARE if table else 0.0,
        no_estimate=NO_ESTIMATE,
        files=[file.name for file in files],
        model=_lines(facts.model.summary) if facts.model else [],
        request=json.dumps(facts.request, indent=2, ensure_ascii=False, default=str),
        total=sum(facts.seconds.values()),
        masks=[_mask(mask) for mask in facts.season.masks],
        low_sun=f"{90 - LOW_SUN_ZENITH:g}" if any(one.low_sun for one in facts.season.acquisitions) else "",
    )
    with written_whole(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _encoded(picture: Path) -> str:
    return base64.b64encode(picture.read_bytes()).decode()


def _later(time: datetime, sensed: datetime) -> str:
    """Delay such as ``+3:07``, hours and minutes."""
    minutes = round((time - sensed).total_seconds() / 60)
    return f"+{minutes // 60}:{minutes % 60:02d}"


def _scores(facts: DeliveryFacts) -> list[dict[str, Any]]:
    order = list(SPLITS)
    ranked = sorted(facts.scores, key=lambda score: order.index(score.split) if score.split in order else len(order))
    rows = []
    for score in ranked:
        name, meaning = SPLITS.get(score.split, (score.split, ""))
        figures = [score.figure(key) for key in ("oa", "miou", "dice")]
        rows.append(
            {"name": name, "meaning": meaning, "note": score.note, "figures": figures, "pixels": score.n_pixels}
        )
    return rows


def _small_area(facts: DeliveryFacts) -> str | None:
    size = area_km2(shape(facts.area))
    if size >= SMALL_AREA:
        return None
    return (
        f"This area has {size:,.2f} km². Figures from one small area carry no claim of accuracy: neighbouring fields share "
        "weather, soil and farmers, and other places don't."
    )


def _mask(options: dict[str, Any]) -> str:
    """Options that the dates were masked with, on one line."""

    def figure(value: Any) -> str:
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        return "none" if value is None else f"{value:g}"

    return "; ".join(f"{name.replace('_', ' ')} {figure(value)}" for name, value in options.items())


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """A model's summary as lines of a table."""
    return [
        (str(key).replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        for key, value in summary.items()
    ]
