"""Comparison of two deliveries of one request: equal but for the times of which the list is here."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import geopandas
import pyogrio

TIME_FIELDS = (
    "properties/created",
    "properties/cropline:season/as_of",
    "assets/report/file:checksum",
    "assets/report/file:size",
)
"""Fields of `item.json` that a run's times are in: when it was delivered, as of when, and what the report becomes by its own."""

TIMES_OF_REPORT = (
    re.compile(r"<tr><th>made</th><td>.*?</td></tr>"),
    re.compile(r"<tr><th>seconds</th><td>.*?</td></tr>"),
    re.compile(r'<td class="date">[^<]*(?=</td></tr>)'),
    re.compile(r"Ordered \d{4}-[^<]* UTC\."),
)
"""What is left out of `report.html`: when it was made, the seconds of each stage, when each acquisition was in the cube, and when all was
ordered, mapped and delivered."""

VECTORS = (".gpkg", ".geojson", ".parquet", ".fgb")


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two folders of deliveries, a line each.

    Item and report are compared without their times, vectors as sorted pairs of WKB and attributes, everything else (rasters, tables,
    pictures) by its bytes.
    """
    files = {file.relative_to(one) for file in one.rglob("*") if file.is_file()}
    others = {file.relative_to(other) for file in other.rglob("*") if file.is_file()}
    found = [f"{file}: in one of them only" for file in sorted(files ^ others)]
    for file in sorted(files & others):
        compare = _by_kind(file)
        if difference := compare(one / file, other / file):
            found.append(f"{file}: {difference}")
    return found


def _by_kind(file: Path) -> Any:
    if file.name == "item.json":
        return _item
    if file.name == "report.html":
        return _report
    return _vector if file.suffix in VECTORS else _bytes


def _bytes(one: Path, other: Path) -> str:
    return "" if one.read_bytes() == other.read_bytes() else "other bytes"


def _item(one: Path, other: Path) -> str:
    items = [_without(json.loads(file.read_text()), TIME_FIELDS) for file in (one, other)]
    return "" if items[0] == items[1] else f"other fields: {', '.join(_unlike(*items))}"


def _report(one: Path, other: Path) -> str:
    texts = [_timeless(file.read_text()) for file in (one, other)]
    if texts[0] == texts[1]:
        return ""
    lines = [text.splitlines() for text in texts]
    number = next((n for n, (a, b) in enumerate(zip(*lines, strict=False), 1) if a != b), min(map(len, lines)) + 1)
    return f"another text from line {number}"


def _timeless(text: str) -> str:
    for times in TIMES_OF_REPORT:
        text = times.sub("", text)
    return text


def _vector(one: Path, other: Path) -> str:
    layers = [_layers(file) for file in (one, other)]
    if layers[0] != layers[1]:
        return f"layers {layers[0]} and {layers[1]}"
    for layer in layers[0]:
        features = [_features(file, layer) for file in (one, other)]
        if features[0] != features[1]:
            lost, new = (sum(count.values()) for count in (features[0] - features[1], features[1] - features[0]))
            return f"layer {layer}: {lost} features are in the first only, {new} in the second only"
    return ""


def _layers(file: Path) -> list[str]:
    return [""] if file.suffix == ".parquet" else sorted(str(name) for name, _ in pyogrio.list_layers(file))


def _features(file: Path, layer: str) -> Counter[tuple[str, str]]:
    """Each feature with how often it is there: which comes first is its writer's affair."""
    table: Any = geopandas.read_parquet(file) if file.suffix == ".parquet" else geopandas.read_file(file, layer=layer)
    names = sorted(name for name in table.columns if name != table.geometry.name)
    rows = table[names].astype(object).to_numpy().tolist()
    shapes = table.geometry.to_wkb(hex=True)
    head = [(str(table.crs), repr(names))]
    return Counter([*head, *((str(shape), repr(row)) for shape, row in zip(shapes, rows, strict=True))])


def _without(value: Any, fields: tuple[str, ...]) -> Any:
    for field in fields:
        *above, last = field.split("/")
        inner = value
        for name in above:
            inner = inner.get(name, {})
        inner.pop(last, None)
    return value


def _unlike(one: Any, other: Any, where: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for name in sorted(one.keys() | other.keys())
            for found in _unlike(one.get(name), other.get(name), f"{where}/{name}".lstrip("/"))
        ]
    return [] if one == other else [where]
