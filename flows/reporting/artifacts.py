"""Artifacts that the Prefect UI shows of a run: progress, acquisitions, the map's picture, hectares, links.

The picture is an image artifact whose address holds the picture itself: the server has no way to the delivery's files, and
the UI's Markdown drops such addresses.
"""

from __future__ import annotations

import io
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
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

from catalog.candidates import Candidate
from catalog.products import LeftOut
from catalog.promotions import Figure, Promotion
from catalog.scores import Score
from flows.rates import RunRecord, source_kind
from flows.reporting.delivery import AcquisitionShown, Delivery
from flows.reporting.foreseen import Estimate, candidate_rows, estimate_rows, foreseen_rows
from flows.reporting.markdown import markdown_text
from flows.reporting.outbox import Outbox
from flows.reporting.progress import LogLines
from flows.reporting.season_news import change_rows, changes_line, pass_rows, read_changes
from flows.web_folder import WebFolder
from processors.delivery.areas import read_areas
from processors.delivery.page.packing import data_address

if TYPE_CHECKING:
    from processors.delivery.provenance import DeliveryFacts

PICTURE_EDGE = 2000
"""Longer edge of the picture in the UI, pixels: a delivery's own as it is."""

PICTURE_BYTES = 350_000
"""Most bytes of the picture, so that its address stays below the 512 KB that Prefect allows in other places."""

PICTURE_COLOURS = 128
"""Colours of the picture: those of a map and its letters, in a third of the bytes."""

PAUSE = 2.0
"""Least seconds between two updates of the progress."""

RATE = "rate"
"""Key of the artifact that says how fast a run was."""

MAP_SHARES = {
    "order": 2, "extend": 2, "ingest": 27, "mask": 10, "season": 3, "patches": 2, "model": 22, "promote": 2, "patch": 1, "thematic": 20,
    "mosaic": 5, "deliver": 4,
}  # fmt: skip
"""Rough share of the time of a map, percent, by stage, in their order."""

TRAINING_SHARES = {
    "order": 2,
    "extend": 2,
    "ingest": 28,
    "mask": 10,
    "season": 3,
    "patches": 5,
    "model": 46,
    "promote": 4,
}
"""The same of a run that only trains."""


class Artifacts:
    """The artifacts of a flow run: a reporter that keeps its progress up to date, there and in the log, and what shows the delivery.

    They are told to the server by an `Outbox`: a server that is away is told later, and no run fails with it.
    """

    def __init__(self, shares: Mapping[str, int]) -> None:
        self._shares = shares
        self._outbox = Outbox()
        self._lines = LogLines(get_run_logger().info)
        self._progress: UUID | None = None
        self._percent = 0.0
        self._name, self._waits_for, self._total, self._reported = "", "", 1, 0.0

    def __enter__(self) -> Self:
        self._outbox.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outbox.__exit__(kind, error, trace)

    def stage(self, name: str, total: int, waits_for: str) -> None:
        self._lines.stage(name, total, waits_for)
        self._name, self._total, self._waits_for = name, max(1, total), waits_for
        self._tell(0, f"{name}: waiting for {waits_for}")

    def advance(self, done: int, total: int | None = None, waits_for: str | None = None) -> None:
        self._lines.advance(done, total, waits_for)
        self._total, self._waits_for = total or self._total, waits_for or self._waits_for
        if time.monotonic() - self._reported >= PAUSE:
            self._tell(done / self._total, f"{self._name}: {done}/{self._total}, waiting for {self._waits_for}")

    def finish(self, seconds: float, outcome: str) -> None:
        self._lines.finish(seconds, outcome)
        # A stage that isn't the last is over when the next begins: a model is first looked for and then, maybe, trained.
        last = self._name == list(self._shares)[-1]
        self._tell(1.0 if last else 0.0, f"{self._name}: {outcome} ({seconds:.1f} s)")

    def _tell(self, part: float, description: str) -> None:
        """Tell how far the run is: all stages before this one, and a part of this one. It never goes back."""
        self._reported = time.monotonic()
        names = list(self._shares)
        before = names[: names.index(self._name)] if self._name in names else []
        reached = sum(self._shares[name] for name in before) + self._shares.get(self._name, 0) * min(1.0, part)
        self._percent = percent = max(self._percent, min(100.0, reached))
        text = markdown_text(description)
        self._outbox.put("progress", lambda: self._send_progress(percent, text))

    def _send_progress(self, percent: float, description: str) -> None:
        if self._progress is None:
            created = create_progress_artifact(percent, key="progress", description=description)
            self._progress = created if isinstance(created, UUID) else None
        else:
            update_progress_artifact(self._progress, percent, description=description)

    def table(self, key: str, rows: list[dict[str, str]], description: str) -> None:
        """Show a table of plain text."""
        # The UI takes cells for Markdown.
        cells = [{name: markdown_text(value) for name, value in row.items()} for row in rows]
        text = markdown_text(description)
        self._outbox.put(key, lambda: create_table_artifact(cells, key=key, description=text))

    def picture(self, key: str, file: Path, description: str, report: str | None = None) -> None:
        """Show a picture, from its file, with a link to a ``report`` that can be looked at closer."""
        address, text = picture_address(file), markdown_text(description)
        if report is not None:
            text = f"[Open the map: zoom, click, switch classes]({report})\n\n{text}"
        self._outbox.put(key, lambda: create_image_artifact(address, key=key, description=text))

    def publish(self, delivery: Delivery, facts: DeliveryFacts, web: WebFolder | None) -> None:
        """Show what was delivered; ``web``: the folder whose files are reachable by web, which are linked."""
        self.table(
            "acquisitions",
            acquisition_rows(AcquisitionShown.model_validate(item) for item in facts.season.acquisitions),
            f"Acquisitions of the season; used: {len(delivery.acquisitions)}. Fractions are of the requested area.",
        )
        if facts.left_out:
            kinds = Counter(left.kind.words for left in facts.left_out)
            listed = ", ".join(f"{count} {words}" for words, count in kinds.most_common())
            self.table("left-out", left_out_rows(facts.left_out), f"Found and not taken: {listed}.")
        self._publish_candidates(delivery.candidates)
        self.publish_model(
            delivery.scores,
            None if facts.model is None else facts.model.decision,
            "" if facts.confidence is None else facts.confidence.words,
        )
        files = {Path(file).name: Path(file) for file in delivery.files}
        if "overview.png" in files:
            report = web.address_of(files["report.html"]) if web and "report.html" in files else None
            self.picture("map", files["overview.png"], facts.notice, report)
        if "areas.csv" in files:
            comments, rows = read_areas(files["areas.csv"])
            rows.sort(
                key=lambda row: -float(row["hectares"])
            )  # largest first: the UI searches tables and doesn't sort them
            self.table("hectares", rows, " ".join(comments))
        if facts.domain is not None:
            rows = [{"pixels": place, "share": f"{share:.1%}"} for place, share in facts.domain.shares.items()]
            self.table("domain", rows, f"Domain: {facts.domain.words}. {facts.domain.remedy}")
        if facts.conformity is not None:  # nothing of a single parcel: ids, places and declarations may be personal
            rows = [{"verdict": verdict, "parcels": str(count)} for verdict, count in facts.conformity.verdicts.items()]
            self.table("conformity", rows, " ".join(facts.conformity.notes))
        if "changes.json" in files:
            changes = read_changes(files["changes.json"])
            self.table("changes", change_rows(changes), changes_line(changes))
        if "changes.png" in files:
            changed = picture_address(files["changes.png"])
            text = "Pixels that changed class since the map before, in the colour of the class that they have now."
            self._outbox.put(
                "changed-pixels", lambda: create_image_artifact(changed, key="changed-pixels", description=text)
            )
        if facts.coming is not None:
            self.table("coming-passes", pass_rows(facts.coming), " ".join(facts.coming.basis))
        text = summary(delivery, facts.notice, web)
        machine = socket.gethostname()  # workers may be on several
        self._outbox.put(
            "delivery",
            lambda: create_markdown_artifact(
                text, key="delivery", description=f"What was delivered, and where: on {machine}."
            ),
        )
        # The last lines that `prefect deployment run --watch` shows.
        get_run_logger().info("machine: %s", machine)
        for name, path in delivery.shown():
            get_run_logger().info("%s: %s", name, path)

    def publish_rate(self, delivery: Delivery, source: str, place: str) -> None:
        """Tell how fast a run was, in a place, from a source's address: for runs in other places, which can't look into this store."""
        record = RunRecord(
            source=source_kind(source),
            processor=delivery.processor,
            model=delivery.model,
            place=place,
            work=delivery.work,
            seconds=delivery.seconds,
        )
        rows, text = [record.model_dump(mode="json")], "Work and seconds of the run, by unit and stage."
        self._outbox.put(RATE, lambda: create_table_artifact(rows, key=RATE, description=text))

    def publish_estimate(self, foreseen: Estimate) -> None:
        """Show what a run would take."""
        self.table("estimate", estimate_rows(foreseen), " ".join(("What a run would take.", *foreseen.remarks)))
        self._publish_candidates(foreseen.candidates)
        self.table("acquisitions", foreseen_rows(foreseen), "Acquisitions that a run would take.")
        if foreseen.left_out:
            self.table("left-out", left_out_rows(foreseen.left_out), "Found and not taken.")

    def _publish_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Show what could make the map, where there is more than one thing that could."""
        if len(candidates) > 1:
            text = "Processors, models and places that could make the map; the one taken, and why not the others."
            self.table("candidates", candidate_rows(candidates), text)

    def publish_model(self, scores: Sequence[Score], decision: Promotion | None, confidence: str = "") -> None:
        """Show what a model scores, by class, what its ``confidence`` is worth, and what was decided about one that was trained."""
        if scores:
            notes = " ".join(dict.fromkeys(note for note in (*(score.note for score in scores), confidence) if note))
            self.table("scores", score_rows(scores), f"Agreement with labels that the model didn't learn from. {notes}")
        if decision is not None:
            made = "is in use" if decision.promoted else "is not promoted"
            self.table("promotion", decision_rows(decision), f"{decision.model} {made}: {decision.reason}.")


def score_rows(scores: Iterable[Score]) -> list[dict[str, str]]:
    """One row per split over all its classes, and one for each class."""
    rows = []
    for score in scores:
        whole = {"OA": score.figure("oa"), "IoU": score.figure("miou"), "Dice": f"{score.dice:.3f}"}
        rows.append({"split": score.split, "class": "all", **whole, "pixels": str(score.n_pixels)})
        rows += [
            {
                "split": score.split,
                "class": part.name,
                "OA": "",
                "IoU": f"{part.iou:.3f}",
                "Dice": f"{part.dice:.3f}",
                "pixels": str(part.n_pixels),
            }
            for part in score.per_class
        ]
    return rows


def decision_rows(decision: Promotion) -> list[dict[str, str]]:
    """Both models with their figures on the same fields, and the difference with its 95 % interval."""
    compared = decision.compared
    if compared is None:
        return [{"model": decision.model, "mIoU": "", "OA": "", "decision": decision.decision.value}]
    pair = (compared.miou, compared.oa)
    return [
        {
            "model": decision.model,
            **dict(zip(("mIoU", "OA"), (f"{figure.candidate:.3f}" for figure in pair), strict=True)),
            "decision": decision.decision.value,
        },
        {
            "model": decision.in_use or "",
            **dict(zip(("mIoU", "OA"), (f"{figure.in_use:.3f}" for figure in pair), strict=True)),
            "decision": "was in use",
        },
        {
            "model": f"difference on {sum(compared.fields.values())} fields",
            **dict(zip(("mIoU", "OA"), map(_with_interval, pair), strict=True)),
            "decision": "",
        },
    ]


def _with_interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return f"{figure.difference:+.3f}"
    return f"{figure.difference:+.3f} ({figure.low:+.3f} to {figure.high:+.3f})"


def acquisition_rows(acquisitions: Iterable[AcquisitionShown]) -> list[dict[str, str]]:
    """One row per acquisition."""
    return [
        {
            "date": f"{item.time:%Y-%m-%d %H:%M}",
            "cloud (tile, %)": "unknown" if item.cloud_cover is None else f"{item.cloud_cover:.0f}",
            "valid": f"{item.valid_fraction:.2f}",
            "clear": f"{item.clear_fraction:.2f}",
            "low sun": "yes" if item.low_sun else "no",
            "used": ("for comparison" if item.of_other_year else "yes") if item.used else "no",
            "reason": item.reason,
        }
        for item in acquisitions
    ]


def left_out_rows(left_out: Iterable[LeftOut]) -> list[dict[str, str]]:
    """One row per product, or part of one, that was found and not taken."""
    return [{"product": left.product, "kind": left.kind.words, "reason": left.reason} for left in left_out]


def picture_address(file: Path) -> str:
    """A picture as a ``data:`` address, made smaller until it is small enough."""
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    edge = PICTURE_EDGE
    while True:
        picture.thumbnail((edge, edge))
        buffer = io.BytesIO()
        picture.quantize(PICTURE_COLOURS).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= PICTURE_BYTES or edge <= 64:
            return data_address(buffer.getvalue(), "image/png")
        edge = edge * 3 // 4


def summary(delivery: Delivery, notice: str, web: WebFolder | None = None) -> str:
    """Files, scores and notes as Markdown; names and notes are plain text in it.

    The files lie on the machine that ran the flow: those in ``web`` are linked, the paths of others are told, since browsers follow no
    link from a server's page to a file.
    """
    parts = [
        f"**{markdown_text(note)}**" for note in (("Synthetic data.",) if delivery.synthetic else ()) + delivery.notes
    ]
    files = [Path(file) for file in delivery.files]
    report = next((file for file in files if file.name == "report.html"), None)
    if web and report and (address := web.address_of(report)):
        parts.append(f"**[Open the report: the map, its legend and the curves of each place]({address})**")
    parts.append(f"Folder: {_linked(Path(delivery.delivery), delivery.delivery, web)}")
    parts.append("\n".join(f"- {_linked(file, file.name, web)}" for file in files))
    if delivery.scores:
        rows = [
            f"| {markdown_text(score.split)} | {score.figure('oa')} | {score.figure('miou')} | {score.dice:.3f} | {score.n_pixels} "
            f"| {markdown_text(score.note)} |"
            for score in delivery.scores
        ]
        parts.append("\n".join(["| split | OA | mIoU | Dice | pixels | note |", "|---|---|---|---|---|---|", *rows]))
    if delivery.model:
        parts.append(f"Model: {markdown_text(delivery.model)}")
    return "\n\n".join([*parts, markdown_text(notice)])


def _linked(path: Path, name: str, web: WebFolder | None) -> str:
    address = web.address_of(path) if web else None
    return f"[{markdown_text(name)}]({address})" if address else markdown_text(name)
