"""Artifacts that the Prefect UI shows of a run: progress, acquisitions, the map's picture, hectares, links.

The picture is an image artifact whose address holds the picture itself: the server has no way to the delivery's files, and
the UI's Markdown drops such addresses.
"""

from __future__ import annotations

import base64
import csv
import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from PIL import Image
from prefect import get_run_logger
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.reporting.delivery import AcquisitionShown, Delivery

if TYPE_CHECKING:
    from processors.delivery.provenance import DeliveryFacts

PICTURE_EDGE = 900
"""Longer edge of the picture in the UI, pixels."""

PICTURE_BYTES = 250_000
"""Most bytes of the picture, so that its address stays well below the 512 KB that Prefect allows in other places."""

PAUSE = 2.0
"""Least seconds between two updates of the progress."""

SHARES = {
    "order": 2, "extend": 2, "ingest": 28, "mask": 10, "season": 3, "model": 25, "patch": 1, "thematic": 20, "mosaic": 5, "deliver": 4,
}  # fmt: skip
"""Rough share of a run's time, percent, by stage."""


class ArtifactProgress:
    """A reporter that keeps one progress artifact of the flow run up to date."""

    def __init__(self) -> None:
        self._artifact: UUID | None = None
        self._before = 0.0
        self._name, self._waits_for, self._total, self._reported = "", "", 1, 0.0

    def stage(self, name: str, total: int, waits_for: str) -> None:
        self._name, self._total, self._waits_for = name, max(1, total), waits_for
        self._tell(self._before, f"{name}: waiting for {waits_for}")

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        self._total, self._waits_for = total or self._total, waits_for or self._waits_for
        if time.monotonic() - self._reported >= PAUSE:
            share = SHARES.get(self._name, 0) * done / self._total
            self._tell(self._before + share, f"{self._name}: {done}/{self._total}, waiting for {self._waits_for}")

    def finish(self, seconds: float, outcome: str) -> None:
        self._before += SHARES.get(self._name, 0)
        get_run_logger().info("%s: %s (%.1f s)", self._name, outcome, seconds)
        self._tell(self._before, f"{self._name}: {outcome} ({seconds:.1f} s)")

    def _tell(self, progress: float, description: str) -> None:
        self._reported = time.monotonic()
        percent = min(100.0, max(0.0, progress))
        if self._artifact is None:
            created = create_progress_artifact(percent, key="progress", description=description)
            self._artifact = created if isinstance(created, UUID) else None
        else:
            update_progress_artifact(self._artifact, percent, description=description)


def publish(delivery: Delivery, facts: DeliveryFacts) -> None:
    """Publish the artifacts of a finished run."""
    create_table_artifact(
        acquisition_rows(AcquisitionShown.model_validate(item) for item in facts.season.acquisitions),
        key="acquisitions",
        description=f"Acquisitions of the season; used: {len(delivery.acquisitions)}. Fractions are of the requested area.",
    )
    files = {Path(file).name: Path(file) for file in delivery.files}
    if "overview.png" in files:
        create_image_artifact(picture_address(files["overview.png"]), key="map", description=facts.notice)
    if "areas.csv" in files:
        comments, rows = hectare_rows(files["areas.csv"])
        create_table_artifact(rows, key="hectares", description=" ".join(comments))
    create_markdown_artifact(
        summary(delivery, facts.notice), key="delivery", description="What was delivered, and where."
    )
    # The last lines that `prefect deployment run --watch` shows.
    for name, path in delivery.shown():
        get_run_logger().info("%s: %s", name, path)


def acquisition_rows(acquisitions: Iterable[AcquisitionShown]) -> list[dict[str, str]]:
    """One row per acquisition."""
    return [
        {
            "date": f"{item.time:%Y-%m-%d %H:%M}",
            "cloud (tile, %)": "unknown" if item.cloud_cover is None else f"{item.cloud_cover:.0f}",
            "valid": f"{item.valid_fraction:.2f}",
            "clear": f"{item.clear_fraction:.2f}",
            "low sun": "yes" if item.low_sun else "no",
            "used": "yes" if item.used else "no",
            "reason": item.reason,
        }
        for item in acquisitions
    ]


def picture_address(file: Path) -> str:
    """A picture as a ``data:`` address, made smaller until it is small enough."""
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    edge = PICTURE_EDGE
    while True:
        picture.thumbnail((edge, edge))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        if buffer.tell() <= PICTURE_BYTES or edge <= 64:
            return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        edge = edge * 3 // 4


def hectare_rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The head lines of areas.csv and its rows."""
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    return comments, list(csv.DictReader(line for line in lines if not line.startswith("#")))


def summary(delivery: Delivery, notice: str) -> str:
    """Files, scores and notes as Markdown. The files lie on the machine that ran the flow."""
    parts = [f"**{note}**" for note in (("Synthetic data.",) if delivery.synthetic else ()) + delivery.notes]
    parts.append(f"Folder: [{delivery.delivery}]({Path(delivery.delivery).as_uri()})")
    parts.append("\n".join(f"- [{Path(file).name}]({Path(file).as_uri()})" for file in delivery.files))
    if delivery.scores:
        rows = [
            f"| {score.split} | {score.oa:.3f} | {score.miou:.3f} | {score.dice:.3f} | {score.n_pixels} | {score.note} |"
            for score in delivery.scores
        ]
        parts.append("\n".join(["| split | OA | mIoU | Dice | pixels | note |", "|---|---|---|---|---|---|", *rows]))
    if delivery.model:
        parts.append(f"Model: {delivery.model}")
    return "\n\n".join([*parts, notice])
