"""A class map against the simulated land's crops: counted by class, and by group where kinds that differ little are merged."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from agrunet.metrics import Confusion, Scores, confusion_matrix, score
from catalog.grid import Window
from catalog.legend import MAP_BACKGROUND, Legend
from catalog.products import Frozen
from processors.simulation.land.crops import CROPS, is_crop
from processors.simulation.land.land import Truth

BACKGROUND = "background"
"""Name of all that is no crop, and of its group."""

UNKNOWN = -1

SHOWN = 1200
"""Pixels along the longer side that are kept for the picture."""

Indices = npt.NDArray[np.int16]


class CropScores(Frozen):
    """The map against the truth. Scores by pixels: ``all``; ``pure`` and ``mixed``, by whether one field covers all of the pixel;
    ``named``: those whose crop the legend names."""

    names: Annotated[
        tuple[str, ...], Field(description="order of the confusion matrix: background, legend, the others")
    ]
    confusion: Annotated[list[list[int]], Field(description="pixels of the area by truth (rows) and map (columns)")]
    scores: Annotated[dict[str, Scores], Field(description="by pixels")]
    groups: Annotated[tuple[str, ...], Field(description="kinds merged, the cereals among them")]
    merged: Annotated[dict[str, Scores], Field(description="by pixels, of groups")]
    not_in_legend: Annotated[dict[str, int], Field(description="pixels of what the map can't show: counted as wrong")]
    not_on_land: Annotated[tuple[str, ...], Field(description="classes of the legend that the simulation doesn't know")]
    n_unmapped: Annotated[int, Field(description="pixels of the area where the map says nothing")]


class CropCounts:
    """Counts of a map of one legend, block by block; what the picture needs is kept thinned out.

    ``masked``: a crop mask was laid over the map, which then knows background even where its legend doesn't.
    """

    def __init__(self, legend: Legend, window: Window, *, masked: bool = False) -> None:
        """``window``: all of the map's."""
        by_name = {crop.name.casefold(): crop for crop in CROPS.values() if is_crop(crop.code)}
        own = [entry.name for entry in legend.classes]
        known = {name.casefold(): index for index, name in enumerate(own, start=1)}
        others = [name for name in by_name if name not in known]
        self.names: tuple[str, ...] = (BACKGROUND, *own, *(by_name[name].name for name in others))
        self.colours: tuple[str, ...] = (
            legend.background.colour if legend.background else "#eceae4",
            *(entry.colour for entry in legend.classes),
            *(by_name[name].colour for name in others),
        )
        self._in_legend = np.arange(len(self.names)) <= len(own)
        self._in_legend[0] = masked or legend.background is not None
        self.strangers: tuple[str, ...] = tuple(name for name in own if name.casefold() not in by_name)
        self._of_value = np.full(256, UNKNOWN, np.int16)
        self._of_value[[MAP_BACKGROUND, *(entry.value for entry in legend.classes)]] = np.arange(len(own) + 1)
        index = {name.casefold(): position for position, name in enumerate(self.names)}
        self._of_code = np.full(256, UNKNOWN, np.int16)
        for code, crop in CROPS.items():
            self._of_code[code] = index[crop.name.casefold()] if is_crop(code) else 0
        grouped = [self._group(name, by_name) for name in self.names]
        self.groups: tuple[str, ...] = tuple(dict.fromkeys(grouped))
        self._of_index = np.array([self.groups.index(name) for name in grouped])
        count = len(self.names)
        self._counted = {name: np.zeros((count, count), np.int64) for name in ("pure", "mixed")}
        self._unmapped = {name: np.zeros(count, np.int64) for name in ("pure", "mixed")}
        self._window = window
        self.step = max(1, math.ceil(max(window.shape) / SHOWN))
        shape = -(-window.height // self.step), -(-window.width // self.step)
        self.shown_truth: Indices = np.full(shape, UNKNOWN, np.int16)
        """(h, w): every ``step``-th pixel, positions in ``names``; -1 beyond the area."""
        self.shown_map: Indices = np.full(shape, UNKNOWN, np.int16)
        self.shown_pure: npt.NDArray[np.bool_] = np.zeros(shape, bool)

    @staticmethod
    def _group(name: str, by_name: dict[str, Any]) -> str:
        crop = by_name.get(name.casefold())
        # A class of the legend that is no crop of the land may still be a group of it, such as cereal.
        return name if crop is None else str(crop.group)

    def add(self, window: Window, truth: Truth, mapped: npt.NDArray[np.uint8], within: npt.NDArray[np.bool_]) -> None:
        """Count a block: the land's truth, the map's values and what lies in the area, all (H, W)."""
        right = np.where(within, self._of_code[truth.crop], np.int16(UNKNOWN))
        said = np.where(within, self._of_value[mapped], np.int16(UNKNOWN))
        pure = truth.share == 1
        for name, chosen in (("pure", pure), ("mixed", ~pure)):
            here = np.where(chosen, right, np.int16(UNKNOWN))
            self._counted[name] += confusion_matrix(here, said, len(self.names))
            lost = here[(here >= 0) & (said < 0)]
            self._unmapped[name] += np.bincount(lost, minlength=len(self.names))
        rows, columns = self._window.slices(window)
        first_row, first_column = -rows.start % self.step, -columns.start % self.step
        thinned = np.s_[first_row :: self.step, first_column :: self.step]
        height, width = right[thinned].shape
        top, left = (rows.start + first_row) // self.step, (columns.start + first_column) // self.step
        to = np.s_[top : top + height, left : left + width]
        self.shown_truth[to], self.shown_map[to], self.shown_pure[to] = right[thinned], said[thinned], pure[thinned]

    def scores(self) -> CropScores:
        """Scores of what was counted."""
        counted = {"all": self._counted["pure"] + self._counted["mixed"], **self._counted}
        unmapped = {"all": self._unmapped["pure"] + self._unmapped["mixed"], **self._unmapped}
        counted["named"] = counted["all"] * self._in_legend[:, None]
        unmapped["named"] = unmapped["all"] * self._in_legend
        truth = counted["all"].sum(axis=1) + unmapped["all"]
        return CropScores(
            names=self.names,
            confusion=counted["all"].tolist(),
            scores={
                name: score(matrix, "truth", self.names, int(unmapped[name].sum()), background=0)
                for name, matrix in counted.items()
            },
            groups=self.groups,
            merged={
                name: score(self._merged(matrix), "truth", self.groups, int(unmapped[name].sum()), background=0)
                for name, matrix in counted.items()
            },
            not_in_legend={
                name: int(pixels)
                for name, pixels, there in zip(self.names, truth, self._in_legend, strict=True)
                if pixels and not there
            },
            not_on_land=self.strangers,
            n_unmapped=int(unmapped["all"].sum()),
        )

    def _merged(self, matrix: Confusion) -> Confusion:
        merged = np.zeros((len(self.groups), len(self.groups)), np.int64)
        np.add.at(merged, (self._of_index[:, None], self._of_index[None, :]), matrix)
        return merged
