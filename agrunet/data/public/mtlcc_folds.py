"""Folds of Munich (MTLCC) from its lists of tiles, so that tiles which its authors kept together stay together."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from agrunet.errors import AgrunetError

_LIST = re.compile(r"(train|test)_fold(\d+)\.tileids")

EVALUATION = "eval.tileids"


def read_folds(lists: Path, folds: int) -> dict[str, int]:
    """Read the fold 1 … ``folds`` of each tile, and ``folds`` + 1 for the tiles of `eval.tileids`, which no fold may train on.

    A tile's fold is the same in both years. The set's own test lists are more than the talk's folds, and nothing says that they
    share no tile; so tiles are grouped by the test lists that hold them (a block of neighbours is in the same ones), and whole
    groups are dealt, the largest first, to the fold with the fewest tiles. Where the test lists part the tiles into ``folds``
    lists, the folds are those lists, in their order.

    Raises `AgrunetError` where lists are missing, an evaluation tile also trains, or the groups are fewer than the folds.
    """
    members = _members(lists)
    evaluation = set(_read(lists / EVALUATION))
    leaked = sorted(evaluation & set(members))
    if leaked:
        raise AgrunetError(
            f"{lists}: {len(leaked)} evaluation tiles also train or test, first {leaked[0]}. Download the lists again."
        )
    groups: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for tile, tests in members.items():
        groups[tests].append(tile)
    if len(groups) < folds:
        raise AgrunetError(
            f"{lists}: the test lists tell {len(groups)} groups of tiles apart, {folds} folds are asked for. Ask for fewer."
        )
    return _deal(groups, folds) | dict.fromkeys(evaluation, folds + 1)


def _members(lists: Path) -> dict[str, tuple[int, ...]]:
    """Find the numbers of the test lists that hold each tile; none for a tile that only ever trains."""
    tests: dict[str, set[int]] = {}
    for path in sorted(lists.glob("*.tileids")):
        match = _LIST.fullmatch(path.name)
        if match is None:
            continue
        for tile in _read(path):
            held = tests.setdefault(tile, set())
            if match[1] == "test":
                held.add(int(match[2]))
    if not tests:
        raise AgrunetError(
            f"{lists} holds no train_fold*.tileids and test_fold*.tileids. Give the folder that holds 240/ and 480/."
        )
    return {tile: tuple(sorted(numbers)) for tile, numbers in tests.items()}


def _deal(groups: dict[tuple[int, ...], list[str]], folds: int) -> dict[str, int]:
    hands: list[list[tuple[int, ...]]] = [[] for _ in range(folds)]
    sizes = [0] * folds
    for tests in sorted(groups, key=lambda tests: (-len(groups[tests]), tests)):
        emptiest = sizes.index(min(sizes))
        hands[emptiest].append(tests)
        sizes[emptiest] += len(groups[tests])
    hands.sort(key=min)
    return {tile: fold for fold, hand in enumerate(hands, start=1) for tests in hand for tile in groups[tests]}


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise AgrunetError(f"{path} can't be read ({error}). Unpack the data set again.") from error
