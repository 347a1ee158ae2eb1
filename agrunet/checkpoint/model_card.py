"""The STAC item of a checkpoint, with the Machine Learning Model extension (MLM), written as plain JSON."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agrunet.files import sha256

_EXTENSIONS = [
    "https://stac-extensions.github.io/mlm/v1.4.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
]

_MULTIHASH_SHA256 = "1220"
"""Code 0x12 and 0x20 bytes: STAC's file extension wants checksums as multihashes."""


def model_item(
    config: dict[str, Any],
    weights: Path,
    parameters: int,
    *,
    architecture: str,
    config_href: str,
    diagram_href: str | None,
    early_href: str | None = None,
    evidence: Path | None,
    hull: Path | None = None,
    framework: str,
) -> dict[str, Any]:
    """Make the item of the checkpoint whose configuration (as JSON) and weights file are given; hrefs are relative to the folder.

    The checksum is a multihash (``1220`` and the sha256), as STAC's file extension wants it.
    """
    checksum = sha256(weights)
    name = f"{config['network']['kind']}-{config['level'].lower()}-{max(config['years'])}-{checksum[:8]}"
    years = sorted(config["years"])
    first, last = config["months"]
    geometry = config["footprint"]
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": _EXTENSIONS,
        "id": name,
        "geometry": geometry,
        "properties": {
            "title": f"{architecture}, {config['level']} {', '.join(map(str, years))}"
            + (" (synthetic)" if config["synthetic"] else ""),
            "datetime": None,
            "start_datetime": f"{years[0] - (first > last)}-{first:02d}-01T00:00:00Z",
            "end_datetime": f"{years[-1]}-{last:02d}-{monthrange(years[-1], last)[1]}T23:59:59Z",
            "created": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "processing:software": {"cropline": config["code_version"]},
            "mlm:name": name,
            "mlm:architecture": architecture,
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:framework": "pytorch",
            "mlm:framework_version": framework,
            "mlm:total_parameters": parameters,
            "mlm:memory_size": weights.stat().st_size,
            **_pretrained(config),
            "mlm:hyperparameters": config["network"] | {"training": config["training"]},
            "mlm:input": [_input(config)],
            "mlm:output": [_output(config)],
            "cropline:synthetic": config["synthetic"],
            "cropline:level": config["level"],
            "cropline:months": config["months"],
            "cropline:years": years,
            "cropline:baselines": config["baselines"],
            "cropline:hold_out": config["hold_out"],
            "cropline:evidence": config.get("evidence"),
            "cropline:training_data": {
                name: {"file:checksum": _MULTIHASH_SHA256 + digest}
                for name, digest in config.get("training_data", {}).items()
            },
            "cropline:scores": config["scores"],
            "cropline:calibration": [{"split": found["split"], "ece": found["ece"]} for found in config["calibration"]],
            "cropline:temperature": config["temperature"],
        },
        "links": [],
        "assets": {
            "weights": {
                "href": weights.name,
                "title": "Weights",
                "type": "application/octet-stream; framework=safetensors",
                "roles": ["mlm:model", "mlm:weights"],
                "mlm:artifact_type": "safetensors.torch.save_file",
                # MLM wants the bands of its input described; STAC's own `bands`, where MLM looks for them, are no longer allowed there.
                "raster:bands": [{"name": band} for band in config["bands"]],
                "file:checksum": _MULTIHASH_SHA256 + checksum,
                "file:size": weights.stat().st_size,
            },
            "config": {
                "href": config_href,
                "title": "How the network must be fed",
                "type": "application/json",
                "roles": ["metadata"],
            },
        },
    }
    if diagram_href is not None:
        item["assets"]["reliability"] = {
            "href": diagram_href,
            "title": "Reliability diagram of the held-out pixels",
            "type": "image/png",
            "roles": ["overview"],
        }
    if early_href is not None:
        item["properties"]["cropline:early"] = config["early"]
        item["assets"]["early"] = {
            "href": early_href,
            "title": "Accuracy with data to the end of each month",
            "type": "image/png",
            "roles": ["overview"],
        }
    if evidence is not None:
        item["assets"]["fields"] = {
            "href": evidence.name,
            "title": "How each field that was held out was mapped",
            "type": "application/json",
            "roles": ["metadata"],
            "file:checksum": _MULTIHASH_SHA256 + sha256(evidence),
            "file:size": evidence.stat().st_size,
        }
    if hull is not None:
        item["assets"]["hull"] = hull_asset(hull)
    if geometry is not None:
        item["bbox"] = _bbox(geometry)
    return item


def hull_asset(hull: Path) -> dict[str, Any]:
    """The asset of a checkpoint's hull."""
    return {
        "href": hull.name,
        "title": "Hull of what the model learnt from",
        "type": "application/json",
        "roles": ["metadata"],
        "file:checksum": _MULTIHASH_SHA256 + sha256(hull),
        "file:size": hull.stat().st_size,
    }


def _pretrained(config: dict[str, Any]) -> dict[str, Any]:
    start = config.get("start_from")
    if start is None:
        return {"mlm:pretrained": False}
    kind = "simulated land" if start["synthetic"] else "real images"
    return {
        "mlm:pretrained": True,
        "mlm:pretrained_source": f"{start['name']}, which learnt from {kind}",
        "cropline:start_from": start,
    }


def _input(config: dict[str, Any]) -> dict[str, Any]:
    scaling = [
        {"type": "z-score", "mean": mean, "stddev": std}
        for mean, std in zip(config["normalisation"]["mean"], config["normalisation"]["std"], strict=True)
    ]
    return {
        "name": "Sentinel-2 time series",
        "description": (
            f"{config['level']} reflectance x 10,000 of at most {config['max_dates']} dates, months {config['months'][0]} to "
            f"{config['months'][1]}; what is not clear is fed as: {config['cloud_input']}"
        ),
        "bands": config["bands"],
        "input": {
            "shape": [-1, -1, config["network"]["bands"], -1, -1],
            "dim_order": ["batch", "time", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": scaling,
        "resize_type": None,
        "pre_processing_function": None,
    }


def _output(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "crop type",
        "tasks": ["semantic-segmentation"],
        "result": {
            "shape": [-1, config["network"]["classes"], -1, -1],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {"value": index, "name": _word(name), "title": name} for index, name in enumerate(config["classes"])
        ],
        "post_processing_function": None,
    }


def _word(name: str) -> str:
    """A class's name in the letters that the classification extension allows."""
    return re.sub(r"[^0-9A-Za-z_-]+", "_", name).strip("_") or "class"


def _bbox(geometry: dict[str, Any]) -> list[float]:
    points = list(_points(geometry))
    longitudes, latitudes = [point[0] for point in points], [point[1] for point in points]
    return [min(longitudes), min(latitudes), max(longitudes), max(latitudes)]


def _points(geometry: dict[str, Any]) -> Iterator[list[float]]:
    for part in geometry.get("geometries", ()):
        yield from _points(part)
    pending = [geometry.get("coordinates", [])]
    while pending:
        part = pending.pop()
        if part and isinstance(part[0], (int, float)):
            yield part
        else:
            pending.extend(part)
