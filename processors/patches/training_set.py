"""The folder of training patches that `agrunet` learns from, made from labels and cells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from agrunet.data.contract import SeriesContract
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import FolderHeader
from agrunet.data.patches import Patch, PatchSource
from agrunet.errors import AgrunetError
from catalog.area import as_geojson
from catalog.errors import RequestError, StoreError
from catalog.grid import Window, clipped, to_lonlat
from catalog.products import Frozen, Order
from catalog.storage.store import digest
from catalog.storage.whole import folder_written_whole, write_json
from processors.engine.machine import cores
from processors.engine.opening import open_engine
from processors.engine.protocol import Engine
from processors.patches.area_labels import (
    USED,
    AreaLabels,
    Evidence,
    estimated_by_folds,
    held_out_fields,
    read_area,
)
from processors.patches.label_split import Labels16, Numbers, Split
from processors.patches.labels import Labels
from processors.season import Season

SUMMARY = "training.json"


class TrainingSeason(SeriesContract):
    """Series of one season, as a checkpoint must remember them, and the acquisitions they are made of."""

    acquisitions: Annotated[tuple[str, ...], Field(description="ids of those used, with their products")]

    @classmethod
    def of(
        cls,
        order: Order,
        season: Season,
        *,
        year: int,
        months: tuple[int, int],
        bands: Sequence[str],
        min_clear: float,
        min_acquisitions: int,
    ) -> TrainingSeason:
        """Describe what was ordered and chosen; ``bands`` are those of the patches."""
        return cls(
            level=order.level,
            years=(year,),
            months=months,
            bands=tuple(bands),
            synthetic=order.synthetic,
            acquisitions=tuple(f"{used.id}: {' '.join(used.products)}" for used in season.used),
            baselines=tuple(sorted({used.baseline for used in season.used})),
            min_clear=min_clear,
            min_acquisitions=min_acquisitions,
        )


class TrainingSummary(Frozen):
    """Summary of a folder of training patches; lies beside them as `training.json`."""

    digest: Annotated[str, Field(description="of all that the patches depend on")]
    patches: int
    left_out: Annotated[int, Field(description="patches with labels beyond `max_patches`, not written")]
    pixels: Annotated[dict[str, dict[str, int]], Field(description="by split, then by class name, in the patches")]
    notes: Annotated[tuple[str, ...], Field(description="what the hold-out can and can't show")]


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """A folder that `agrunet.training.train` reads."""

    path: Path
    summary: TrainingSummary


def write_training_patches(
    folder: Path,
    patches: PatchSource,
    windows: Sequence[Window],
    labels: Labels,
    zone_area: BaseGeometry,
    season: TrainingSeason,
    *,
    max_patches: int = 400,
    engine: Engine | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingFolder:
    """Write the patches that hold labels, with what each of their pixels serves for.

    ``patches`` are those of ``windows``, which don't overlap, in that order; ``zone_area`` in the metres of their zone: labels outside are
    unknown. Ground that is held out is left to score on; where that is too little, every label is learnt from, and the fields are dealt
    into folds (`processors.patches.label_split`). Of more than ``max_patches`` with labels, those with the most
    of each class are taken first, then evenly from north to south. ``engine``: writes several patches at once where its workers see
    the folder; ``progress`` is told (patches written, of how many). The folder is whole or absent, and not written again where it
    already holds the same. Raises `RequestError` where the labels don't meet the area or hold too little to learn
    from, and `StoreError` where the folder can't be written.
    """
    epsg = windows[0].epsg
    labels.check(zone_area, epsg)
    area = read_area(labels, zone_area, epsg)
    names = tuple(entry.name for entry in labels.legend.mapped)
    _check_classes(area.labels, names, labels)
    chosen, left_out, evidence = _chosen(area, windows, names, max_patches)
    digests = {"labels": labels.digest}
    run = _digest(windows, labels, zone_area, season, max_patches, evidence, digests)
    written = _written(folder, run)
    if written is not None:
        return written

    notes = [evidence.text]
    if left_out:
        notes.append(f"{len(chosen)} of {len(chosen) + left_out} patches with labels were taken.")
    taken = [windows[index] for index in chosen]
    summary = TrainingSummary(
        digest=run,
        patches=len(chosen),
        left_out=left_out,
        pixels=_pixels(evidence.area.counts(taken, len(names)).sum(axis=0), names),
        notes=tuple(notes),
    )
    header = _header(taken, labels, zone_area, season, evidence, digests, " ".join(notes))
    try:
        with folder_written_whole(folder) as aside:
            write = partial(_write_labelled, patches, aside)
            labelled = (
                LabelledPatch(number, index, *evidence.area.cut(windows[index])) for number, index in enumerate(chosen)
            )
            with _several_at_once(engine) as at_once:
                for written_count, _ in enumerate(at_once.as_completed(write, labelled), start=1):
                    if progress is not None:
                        progress(written_count, len(chosen))
            write_json(aside / SUMMARY, summary.model_dump(mode="json"))
            write_folder_header(aside, header)
    except AgrunetError as error:
        raise StoreError(str(error)) from error
    return TrainingFolder(folder, summary)


def _chosen(
    area: AreaLabels, windows: Sequence[Window], names: Sequence[str], max_patches: int
) -> tuple[list[int], int, Evidence]:
    """Numbers of the patches to write, how many more hold labels, and what is learnt from and scored on in them."""
    chosen, left_out = choose_patches(area.counts(windows, len(names)), max_patches)
    evidence, short, held = held_out_fields(area, [windows[index] for index in chosen], names)
    if short or not chosen:
        area = area.all_learnt()
        chosen, left_out = choose_patches(area.counts(windows, len(names)), max_patches)
        evidence = estimated_by_folds(area, [windows[index] for index in chosen], names, short, held)
    return chosen, left_out, evidence


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPatch:
    """One patch to write: its number in the folder and among the windows, its label, split and fields (H, W)."""

    number: int
    index: int
    label: Labels16
    split: Split
    field: Numbers


def _write_labelled(patches: PatchSource, folder: Path, labelled: LabelledPatch) -> None:
    patch = patches.read(labelled.index)
    with_label = Patch(patch.values, patch.clear, patch.days, labelled.label)
    write_patch(folder, labelled.number, with_label, labelled.split, labelled.field)


@contextmanager
def _several_at_once(engine: Engine | None) -> Iterator[Engine]:
    """The engine, where its workers see this machine's files; else threads of this process."""
    if engine is not None and engine.shares_files:
        yield engine
    else:
        with open_engine("threads", cores()) as threads:
            yield threads


def choose_patches(counts: npt.NDArray[np.int64], max_patches: int) -> tuple[list[int], int]:
    """Numbers of the patches to write, sorted, and how many with labels are left out.

    ``counts``: (N, splits, classes) labelled pixels. A patch without any is never taken. Beyond ``max_patches`` the patch with
    the most pixels of each class comes first, for each split in turn, then the rest evenly by number.
    """
    labelled = np.flatnonzero(counts.sum(axis=(1, 2)))
    if len(labelled) <= max_patches:
        return [int(index) for index in labelled], 0
    first = [
        int(counts[:, split, label].argmax())
        for split in range(counts.shape[1])
        for label in range(counts.shape[2])
        if counts[:, split, label].any()
    ]
    taken = list(dict.fromkeys(first))[:max_patches]
    rest = np.setdiff1d(labelled, taken)
    steps = np.linspace(0, len(rest), max_patches - len(taken), endpoint=False).astype(np.int64)
    return sorted([*taken, *(int(index) for index in rest[steps])]), len(labelled) - max_patches


def _check_classes(area_labels: Labels16, names: Sequence[str], labels: Labels) -> None:
    if len(names) < 2:
        raise RequestError(
            f"labels {labels.path}: there is only one thing to tell apart, {names[0]}. "
            "Give labels of two classes, or a legend with a background."
        )
    present = np.unique(area_labels[area_labels >= 0])
    if len(present) < 2:
        raise RequestError(
            f"labels {labels.path}: all labelled pixels of the area are {names[int(present[0])]}. "
            "Give a larger area or labels with two classes or more."
        )


def _header(
    windows: Sequence[Window],
    labels: Labels,
    zone_area: BaseGeometry,
    season: TrainingSeason,
    evidence: Evidence,
    digests: dict[str, str],
    hold_out: str,
) -> FolderHeader:
    epsg = windows[0].epsg
    met = [_surface(clipped(zone_area, window).intersection(box(*window.bounds))) for window in windows]
    return FolderHeader(
        **season.shared(FolderHeader),
        count=len(windows),
        patch_size=windows[0].width,
        classes=tuple(entry.name for entry in labels.legend.mapped),
        legend=[entry.model_dump(mode="json") for entry in labels.legend.entries],
        footprint=as_geojson(to_lonlat(zone_area, epsg)),
        patch_footprints=tuple(as_geojson(to_lonlat(part, epsg)) for part in met),
        hold_out=hold_out,
        evidence=evidence.kind,
        fields=evidence.fields,
        training_data=digests,
    )


def _surface(geometry: BaseGeometry) -> BaseGeometry:
    """Polygons of a geometry: an intersection may also hold the lines and points where edges only touch."""
    return unary_union([part for part in getattr(geometry, "geoms", [geometry]) if part.area > 0])


def _pixels(counts: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, dict[str, int]]:
    return {
        split: {name: int(count) for name, count in zip(names, row, strict=True) if count}
        for split, row in zip(USED, counts, strict=True)
    }


def _digest(
    windows: Sequence[Window],
    labels: Labels,
    zone_area: BaseGeometry,
    season: TrainingSeason,
    max_patches: int,
    evidence: Evidence,
    digests: dict[str, str],
) -> str:
    area = evidence.area
    arrays = hashlib.sha256(area.labels.tobytes() + area.split.tobytes() + area.field.tobytes()).hexdigest()
    fields = [field.model_dump(mode="json") for field in evidence.fields]
    rectangles = [(window.left, window.top, window.width, window.height) for window in windows]
    legend = labels.legend.model_dump(mode="json")
    described: list[Any] = [season.model_dump(mode="json"), legend, zone_area.wkt, max_patches, rectangles, arrays]
    described += [fields, digests]
    return digest(described)


def _written(folder: Path, run: str) -> TrainingFolder | None:
    """The folder where it holds just this, whole."""
    path = folder / SUMMARY
    if not path.is_file():
        return None
    try:
        summary = TrainingSummary.model_validate(json.loads(path.read_text(encoding="utf-8")))
        PatchFolder(folder)
    except (ValueError, AgrunetError):
        return None
    return TrainingFolder(folder, summary) if summary.digest == run else None
