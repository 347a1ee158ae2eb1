"""The part of a delivery's report and item that tells how the map was evaluated; the same when it is delivered and when it is evaluated."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from PIL import Image

from catalog.delivered_maps import ITEM
from catalog.storage.store import sha256
from catalog.storage.whole import write_json
from processors.delivery.evaluations import (
    FOLDER,
    PICTURE,
    RECORD,
    Evaluation,
    Figure,
    KeptEvaluation,
    kept_evaluations,
    of_these_pixels,
)
from processors.delivery.report_section import with_section
from processors.delivery.templates import page_templates

SECTION = "evaluation"
"""Name of the section in the report, and of the assets and the property in the item."""

REPORT = "report.html"

_PAGE_DPI = 96


def figure_text(figure: Figure | None) -> str:
    """A share such as ``0.947 ± 0.018``; ``none`` where it is not defined."""
    if figure is None:
        return "none"
    return f"{figure.value:.3f}" + ("" if figure.half_width is None else f" ± {figure.half_width:.3f}")


def area_text(figure: Figure | None) -> str:
    """Hectares such as ``21,158 ± 6,158``; small ones with a decimal."""
    if figure is None:
        return "none"
    digits = 0 if figure.value >= 1000 else 1
    return f"{figure.value:,.{digits}f}" + ("" if figure.half_width is None else f" ± {figure.half_width:,.{digits}f}")


def write_into(delivery: Path, map_sha256: str, item: dict[str, Any]) -> dict[str, Any]:
    """Write what a delivery's evaluations say into its report. Returns the item with them among its assets.

    ``delivery``: a folder in the making, whole but for its item. Raises `DeliveryError` and `StoreError`.
    """
    kept = kept_evaluations(delivery)
    if not kept:
        return item
    these, outdated = of_these_pixels(kept, map_sha256)
    report = delivery / REPORT
    if report.is_file():
        page = with_section(report.read_text(encoding="utf-8"), SECTION, _section(these, outdated))
        # A new file: the old one's content may be shared with the delivery that this one takes the place of.
        report.unlink()
        report.write_text(page, encoding="utf-8")
    return _with_assets(item, delivery, these)


def write_item(delivery: Path, item: dict[str, Any]) -> None:
    """Write a delivery's item beside its files."""
    (delivery / ITEM).unlink(missing_ok=True)
    write_json(delivery / ITEM, item)


def _section(these: list[KeptEvaluation], outdated: list[KeptEvaluation]) -> str:
    environment = page_templates()
    environment.filters["figure"], environment.filters["area"] = figure_text, area_text
    latest = these[0] if these else None
    picture = latest.folder / PICTURE if latest else None
    return environment.get_template("evaluation_section.html").render(
        latest=latest,
        others=these[1:],
        outdated=outdated,
        picture=base64.b64encode(picture.read_bytes()).decode() if picture and picture.is_file() else "",
        picture_width=_shown_width(picture) if picture and picture.is_file() else 0,
        picture_name=PICTURE,
        record_name=RECORD,
        address=lambda one: f"{FOLDER}/{one.folder.name}",
    )


def _shown_width(picture: Path) -> int:
    """Pixels of a page that a picture takes, so that its letters are as large as the page's."""
    with Image.open(picture) as opened:
        return round(opened.width * _PAGE_DPI / float(opened.info.get("dpi", (_PAGE_DPI,))[0]))


def _with_assets(item: dict[str, Any], delivery: Path, these: list[KeptEvaluation]) -> dict[str, Any]:
    """The item whose assets are those of the latest evaluation of these pixels beside the others, and whose report is the new one."""
    assets = {key: asset for key, asset in item["assets"].items() if not str(asset["href"]).startswith(f"./{FOLDER}/")}
    properties = {name: value for name, value in item["properties"].items() if name != f"cropline:{SECTION}"}
    if "report" in assets:
        assets["report"] = {**assets["report"], **_checksum(delivery / REPORT)}
    if these:
        folder, record = these[0].folder, these[0].record
        for key, name, title, media, roles in (
            (SECTION, RECORD, "Accuracy against reference data", "application/json", ["metadata"]),
            ("confusion", PICTURE, "Confusion matrix", "image/png", ["overview"]),
        ):
            if (folder / name).is_file():
                about = {"href": f"./{FOLDER}/{folder.name}/{name}", "type": media, "title": title, "roles": roles}
                assets[key] = {**about, **_checksum(folder / name)}
        properties[f"cropline:{SECTION}"] = _summary(record)
    return {**item, "properties": properties, "assets": assets}


def _summary(record: Evaluation) -> dict[str, Any]:
    return record.model_dump(mode="json", include={"created", "reference", "unit", "design", "overall"}) | {
        "units": record.used
    }


def _checksum(path: Path) -> dict[str, Any]:
    return {"file:checksum": f"1220{sha256(path)}", "file:size": path.stat().st_size}
