"""Checkpoints as far as the registry looks at them: a configuration, an item, and weights that are none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from shapely.geometry import box

from catalog.area import as_geojson
from catalog.legend import Legend, LegendClass

WHEAT = LegendClass(value=1, name="wheat", colour="#aa0000", source_codes=(1,))
MAIZE = LegendClass(value=2, name="maize", colour="#00aa00", source_codes=(2,))
LEGEND = Legend(entries=(WHEAT, MAIZE))


def scored(miou: float, interval: tuple[float, float] | None = None, split: str = "hold-out") -> list[dict[str, Any]]:
    """Scores as a checkpoint's configuration holds them."""
    part = {"name": "wheat", "iou": miou, "dice": 0.5, "n_pixels": 60}
    bounds = {} if interval is None else {"intervals": {"miou": interval}}
    return [{"split": split, "oa": 0.5, "miou": miou, "dice": 0.5, "n_pixels": 100, "per_class": [part], **bounds}]


def checkpoint(folder: Path, day: int = 1, *, weights: bytes = b"weights", **fields: Any) -> Path:
    """A checkpoint as far as the registry looks at it."""
    folder.mkdir(parents=True)
    config = {
        "network": {"anything": 1},
        "level": "L2A",
        "bands": ["B02", "B03", "B04", "B08"],
        "months": [1, 7],
        "synthetic": False,
        "footprint": as_geojson(box(4, 50, 5, 51)),
        "legend": LEGEND.model_dump(mode="json")["entries"],
        **fields,
    }
    footprint = config["footprint"]
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"model-{day}",
        "geometry": footprint,
        **({"bbox": [4, 50, 5, 51]} if footprint else {}),
        "properties": {"datetime": "2019-01-01T00:00:00Z", "created": f"2026-11-{day:02d}T08:00:00Z"},
        "links": [],
        "assets": {
            "weights": {"href": "weights.safetensors", "file:checksum": "1220" + hashlib.sha256(weights).hexdigest()}
        },
    }
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "item.json").write_text(json.dumps(item))
    return folder
