"""Damage at rest: a date that can't be read back is taken back, so that it is read from the source again, or left out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from catalog.errors import RewrittenError, StoreError, StoreUnreachableError
from catalog.grid import Cell
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import CellPath
from catalog.storage.system_errors import refusal
from processors.cube.cell import Cube
from processors.cube.codecs import DAMAGE
from processors.cube.layout import VARIABLES, Variable
from processors.cube.listing import cell_name
from processors.cube.lost import lost_of_axis, lost_of_date, stored
from processors.cube.pixel_source import checks_text, offsets_text
from processors.cube.removal import remove_cell
from processors.cube.undisturbed import undisturbed

Read = TypeVar("Read")

DAMAGED = ".damaged-"
"""In the name of a cell that was moved aside, since what it says of itself can't be read, and another one was made in its place."""

_OF_MASK = ("clear", "clear_fraction", "masked_with")
_FLAGS = ("ingested", "masked")


def healed(dates: Mapping[CellPath, Collection[int]], read: Callable[[], Read]) -> Read:
    """Return what ``read`` reads of some dates undisturbed.

    Raises `RewrittenError` where one is damaged, after it was taken back: who begins again reads it from the source.
    """
    try:
        return undisturbed(dates, read)
    except DAMAGE as error:
        named = [
            f"{path}: {name}" for path, indices in dates.items() for name in take_back_damaged(path, indices)
        ]  # fmt: skip
        if not named:
            there = ", ".join(map(str, dates))
            raise StoreError(
                f"{there}: what it holds can't be read ({error}). Look with `cropline cells --check`."
            ) from error
        raise RewrittenError(f"damaged: {'; '.join(named)} ({error}). Read again from the source.") from error


def take_back_damaged(path: CellPath, indices: Collection[int]) -> list[str]:
    """Clear the flags of those dates of which something is damaged: the mask's where it is the mask alone. Says what was."""
    cube = Cube(path, "r+")
    named = []
    for index in indices:
        variables = tuple(damaged(cube, index))
        if not variables:
            continue
        flags: tuple[Literal["ingested", "masked"], ...] = ("masked", "ingested")
        if set(variables) <= set(_OF_MASK):
            flags = ("masked",)
        cube.take_back(index, *flags)
        named.append(f"{', '.join(variables)} of {cube.acquisition_ids[index]}")
    return named


def find_damage(path: CellPath) -> tuple[bool, list[str]]:
    """Read all that a cell holds. Whether its axis and metadata are whole, and what of it is damaged, in words."""
    try:
        cube = Cube(path)
        for variable in VARIABLES.values():
            if variable.kind == "axis":
                cube.values(variable.name)
        names = cube.acquisition_ids
        lost = [f"{path}: {name} is gone" for name in lost_of_axis(cube)]
    except StoreUnreachableError:
        raise
    except (StoreError, *DAMAGE) as error:
        return False, [str(error)]
    if lost:
        return False, lost
    named = []
    try:
        for index, name in enumerate(names):
            # What was never whole may be half written: nobody reads it.
            if cube.flag("ingested", index) and (variables := list(damaged(cube, index))):
                named.append(f"{', '.join(variables)} of {name}")
    except StoreUnreachableError:
        raise
    except StoreError as error:  # an array isn't what its name says
        return False, [str(error)]
    return True, named


def repair(path: CellPath) -> str:
    """Make a damaged cell usable: dates are taken back, a cell without an axis is moved away, in a bucket removed. Says what the next
    run does. Raises `StoreError` where the store can't be written.
    """
    whole, named = find_damage(path)
    if not named:
        return ""
    if whole:
        cube = Cube(path)
        take_back_damaged(path, [index for index in range(len(cube)) if cube.flag("ingested", index)])
        return "the next run reads these dates from the source again"
    if not isinstance(path, Path):
        _check_is_cell(path)
        remove_cell(path, lambda: False)  # nothing there can be moved; without its axis no pixel has a date
        return "removed; the next run reads from the source what it needs"
    aside = path.with_name(f"{path.name}{DAMAGED}{secrets.token_hex(4)}")
    try:
        path.rename(aside)
    except OSError as error:
        raise StoreError(f"{path} can't be moved away: {refusal(error, path)}.") from error
    return f"moved to {aside.name}; the next run reads from the source what it needs"


def _check_is_cell(path: BucketPath) -> None:
    """Raise `StoreError` where an address isn't that of a cell: what others keep there must not go."""
    try:
        Cell.from_name(cell_name(path))
    except ValueError as error:
        raise StoreError(f"{path}: not a cell of this project. Move it away.") from error


def damaged(cube: Cube, index: int) -> Iterator[str]:
    """Names of the variables that can't be read back of a date, or are gone: of its own chunks, flags aside."""
    try:
        lost = lost_of_date(cube, index)
    except DAMAGE:  # what tells it is named below
        lost = []
    yield from lost
    for name, variable in VARIABLES.items():
        if variable.kind == "axis" or name in _FLAGS or name not in cube.arrays or name in lost:
            continue
        try:
            if not _is_whole(cube, variable, index):
                yield name
        except DAMAGE:
            yield name


def _is_whole(cube: Cube, variable: Variable, index: int) -> bool:
    """Read a variable of a date. Raises one of `DAMAGE` where it can't be read back; False where it isn't what it must be."""
    value = cube.arrays[variable.name][index]
    if variable.kind == "slab":
        return stored(cube, variable.name, index) != 0  # an empty object in a bucket reads as no data
    if cube.flag("ingested", index) and cube.has_sources(index):
        sources = cube.sources(index)
        told = {"offset_from": offsets_text(sources), "offset_check": checks_text(sources)}
        return str(value) == told.get(variable.name, str(value))
    return True
