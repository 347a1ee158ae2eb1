"""Damage at rest: a date that can't be read back is taken back, so that it is read from the source again, or left out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from catalog.errors import RewrittenError, StoreError
from catalog.storage.store import CellPath
from processors.cube.cell import Cube
from processors.cube.codecs import DAMAGE
from processors.cube.layout import VARIABLES
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
            raise
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
        for index in range(len(cube)):
            cube.products(index)
        for variable in VARIABLES.values():
            if variable.kind == "axis":
                cube.values(variable.name)
    except (StoreError, *DAMAGE) as error:
        return False, [str(error)]
    named = []
    try:
        for index, name in enumerate(cube.acquisition_ids):
            # What was never whole may be half written: nobody reads it.
            if cube.flag("ingested", index) and (variables := list(damaged(cube, index))):
                named.append(f"{', '.join(variables)} of {name}")
    except StoreError as error:  # an array isn't what its name says
        return False, [str(error)]
    return True, named


def repair(path: CellPath) -> str:
    """Make a damaged cell usable: dates are taken back, a cell without an axis is moved away. Says what the next run does.

    Raises `StoreError` where that can't be: a bucket's cell has to be deleted by hand.
    """
    whole, named = find_damage(path)
    if not named:
        return ""
    if whole:
        cube = Cube(path)
        take_back_damaged(path, [index for index in range(len(cube)) if cube.flag("ingested", index)])
        return "the next run reads these dates from the source again"
    if not isinstance(path, Path):
        raise StoreError(f"{path}: delete what lies below, and the next run reads from the source what it needs.")
    aside = path.with_name(f"{path.name}{DAMAGED}{secrets.token_hex(4)}")
    try:
        path.rename(aside)
    except OSError as error:
        raise StoreError(f"{path} can't be moved away: {error.strerror}. Check the permissions.") from error
    return f"moved to {aside.name}; the next run reads from the source what it needs"


def damaged(cube: Cube, index: int) -> Iterator[str]:
    """Names of the variables that can't be read back of a date, or are gone: of its own chunks, flags aside."""
    try:
        lost = cube.lost(index)
    except DAMAGE:  # what tells it is named below
        lost = []
    yield from lost
    for name, variable in VARIABLES.items():
        if variable.kind == "axis" or name in _FLAGS or name not in cube.arrays:
            continue
        try:
            value = cube.arrays[name][index]
            if name == "pixels_from" and str(value):
                cube.sources(index)
        except DAMAGE:
            yield name
