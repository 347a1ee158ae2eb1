"""Gathering of a season: the stages that bring its acquisitions into the cube, without a map of them."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.grid import Cell
from catalog.products import LeftOut, Order
from flows import stages
from flows.run import Run
from processors.season import Season


@dataclass(frozen=True)
class Gathered:
    """Acquisitions that are in the cube, and those of them that are clear over the area."""

    order: Order
    unusable: list[LeftOut]
    season: Season


def gather(run: Run) -> Gathered:
    """Bring what the source has of a season into the cube; what is there is skipped.

    Raises what the stages raise, such as `NotEnoughAcquisitionsError`.
    """
    order: Order = stages.order(run)
    cells: list[Cell] = stages.extend(run, order)
    unusable = stages.ingest(run, order, cells) + stages.mask(run, order, cells)
    return Gathered(order, unusable, stages.season(run, order, unusable))
