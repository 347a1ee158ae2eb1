"""The page of declared parcels: an index by verdict, and each parcel with its curve and pictures. It needs no other file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from markupsafe import Markup

from catalog.storage.whole import written_whole
from processors.conformity.judge import Conformity
from processors.conformity.verdicts import Verdict
from processors.delivery.areas import map_entries
from processors.delivery.conformity_table import texts
from processors.delivery.parcel_pictures import chip_picture, curve_picture
from processors.delivery.provenance import DeliveryFacts
from processors.delivery.templates import page_templates
from processors.rasters import Variable

PAGE = "parcels.html"

MOST_SECTIONS = 3000
"""Parcels with a section of their own; the index lists `MOST_ROWS`."""

MOST_ROWS = 20_000

MOST_CHIPS = 200
"""Parcels with pictures whatever their verdict; beyond, those that somebody has to look at."""

MOST_BYTES = 15_000_000
"""Size of the page from which on parcels are left out of it."""

TO_LOOK_AT = (Verdict.NOT_CONFORM, Verdict.MIXED, Verdict.INCONCLUSIVE)

_ROW_BYTES = 330
"""Of a row of the index, about."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Rasters that pictures are cut from."""

    true_color: Path | None
    class_map: tuple[Path, Variable] | None


def write_page(path: Path, conformity: Conformity, frame: Any, looks: Looks, facts: DeliveryFacts) -> None:
    """Write the page. All text is escaped. Raises `StoreError` where it can't be written."""
    verdicts = [one.verdict for one in conformity.judged]
    places = {verdict: place for place, verdict in enumerate(Verdict)}
    order = sorted(range(len(verdicts)), key=lambda row: (places[verdicts[row]], _rank(conformity, row), row))
    rows = _rows(conformity, frame, order[:MOST_ROWS], places)
    with ExitStack() as stack:
        sections = list(_sections(conformity, frame, order, rows, looks, stack))
    shown, pictured = len(sections), sum(bool(section["chips"]) for section in sections)
    left_out = []
    if shown < len(order):
        left_out.append(
            f"{len(order) - shown:,} parcels, those at the end of the order, have no section here; the tables hold all."
        )
    if len(order) > len(rows):
        left_out.append(f"The index lists the first {len(rows):,} parcels.")
    if looks.true_color is not None and pictured < shown:
        left_out.append(
            f"{shown - pictured:,} parcels have no pictures: beyond {MOST_CHIPS} only those that are not conform, mixed or inconclusive "
            "have some, as long as the page stays small."
        )
    for row in rows[shown:]:
        row["number"] = None
    html = (
        page_templates()
        .get_template("conformity_page.html")
        .stream(
            facts=facts,
            verified=conformity.summary.verified,
            total=len(order),
            counts=[
                (verdict.value, conformity.summary.verdicts[verdict.value], places[verdict]) for verdict in Verdict
            ],
            rows=rows,
            sections=sections,
            left_out=left_out,
            legend=_legend(looks),
        )
    )
    with written_whole(path) as temporary, temporary.open("wb") as file:
        html.dump(file, encoding="utf-8")


def _rank(conformity: Conformity, row: int) -> float:
    """Least probable declarations first; those without a probability last."""
    probability = conformity.judged[row].p_declared
    return 2.0 if np.isnan(probability) else probability


def _rows(conformity: Conformity, frame: Any, order: list[int], places: dict[Verdict, int]) -> list[dict[str, Any]]:
    """What is told of parcels in an order, as text."""
    names = (
        "parcel_id",
        "explanation",
        "declared",
        "declared_class",
        "predicted",
        "dates",
        "decided",
        "earlier_verdict",
        "earlier_decided",
    )
    columns = {name: texts(frame[name]) for name in names}
    pixels = frame["pixels_inside"].tolist()
    rows = []
    for row in order:
        one = conformity.judged[row]
        told = {name: column[row] for name, column in columns.items()}
        earlier = told["earlier_verdict"]
        rows.append(
            {
                "number": row + 1,
                "name": told["parcel_id"] or f"Parcel {row + 1}",
                "place": places[one.verdict],
                "verdict": one.verdict.value,
                "explanation": told["explanation"],
                "declared": told["declared"] or "nothing",
                "declared_class": told["declared_class"] or "",
                "predicted": f"{told['predicted']} ({one.p_predicted:.2f})" if told["predicted"] else "none",
                "p_declared": "" if np.isnan(one.p_declared) else f"{one.p_declared:.2f}",
                "pixels": pixels[row],
                "dates": told["dates"] or "unknown",
                "decided": (told["decided"] or "")[:10],
                "earlier": f"{earlier} ({(told['earlier_decided'] or '')[:10]})" if earlier else "",
            }
        )
    return rows


def _sections(
    conformity: Conformity, frame: Any, order: list[int], rows: list[dict[str, Any]], looks: Looks, stack: ExitStack
) -> Iterator[dict[str, Any]]:
    """Sections of the first parcels in an order, as many as the page has room for."""
    sources: list[tuple[Any, Any, str]] = []
    if looks.true_color is not None:
        sources.append((stack.enter_context(rasterio.open(looks.true_color)), None, "True colour"))
    if looks.class_map is not None:
        path, variable = looks.class_map
        sources.append((stack.enter_context(rasterio.open(path)), _palette(variable), "Class map"))
    polygons = frame.geometry.to_numpy()
    size = _ROW_BYTES * len(rows)
    for place, (row, line) in enumerate(zip(order, rows, strict=False)):
        curve = None
        if conformity.curves is not None:
            clear = None if conformity.clear is None else conformity.clear[row]
            curve = curve_picture(conformity.days, conformity.curves[row], clear)
        chips: list[dict[str, Any]] = []
        if place < MOST_CHIPS or conformity.judged[row].verdict in TO_LOOK_AT:
            for raster, colours, title in sources:
                picture = chip_picture(raster, polygons[row], colours, title)
                if picture is not None:
                    chips.append({"picture": picture, "title": title})
        size += _size(line, curve, chips)
        if place >= MOST_SECTIONS or size > MOST_BYTES:
            return
        yield {**line, "curve": curve, "chips": chips}


def _size(line: dict[str, Any], curve: Markup | None, chips: list[dict[str, Any]]) -> int:
    pictures = len(curve or "") + sum(len(chip["picture"]) for chip in chips)
    return 900 + pictures + sum(len(str(value)) for value in line.values())


def _legend(looks: Looks) -> list[Any]:
    if looks.class_map is None or looks.class_map[1].legend is None:
        return []
    return list(map_entries(looks.class_map[1].legend, (0,)))


def _palette(variable: Variable) -> Any:
    colours = np.full((256, 3), 255, np.uint8)
    if variable.legend is not None:
        for entry in map_entries(variable.legend, (0,)):
            colours[entry.value] = entry.rgb
    return colours
