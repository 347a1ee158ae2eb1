"""A damaged JSON file is refused by its name, with what to do, whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agrunet.checkpoint.folder import CONFIG, ITEM, WEIGHTS, read_config
from agrunet.data.folder import HEADER, PatchFolder
from agrunet.data.public.pastis import METADATA, Pastis
from agrunet.errors import AgrunetError
from agrunet.json_text import parse_json
from agrunet.training.recipe import read_recipe
from agrunet.training.settings import read_training_config

DAMAGED = {
    "empty": b"",
    "cut": b'{"a": [1, 2',
    "no text": b'{"a": "\xff"}',
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "no number": b'{"rate": NaN, "seed": -Infinity}',
    "half a pair": b'{"a": "\\ud800"}',
    "other fields": b'{"nothing": 1}',
}


def checkpoint(folder: Path) -> Path:
    for name in (WEIGHTS, ITEM):
        (folder / name).write_bytes(b"")
    return folder / CONFIG


READ: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "checkpoint": (checkpoint, read_config),
    "patches": (lambda folder: folder / HEADER, PatchFolder),
    "PASTIS": (lambda folder: folder / METADATA, Pastis),
    "recipe": (lambda folder: folder / "recipe.json", lambda folder: read_recipe(str(folder / "recipe.json"))),
    "settings": (
        lambda folder: folder / "settings.json",
        lambda folder: read_training_config(folder / "settings.json", "quick"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("kind", READ)
def test_a_damaged_file_is_refused_by_its_name(kind: str, damage: str, tmp_path: Path) -> None:
    place, read = READ[kind]
    path = place(tmp_path)
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(AgrunetError) as refused:
        read(tmp_path)
    text = str(refused.value)
    assert path.name in text
    assert len(text.splitlines()) <= 10
    assert text.endswith(".")


@pytest.mark.parametrize("change", ["rate.deeper=1", "network=3"])
def test_a_change_that_no_recipe_can_take_is_refused(change: str) -> None:
    with pytest.raises(AgrunetError, match=r"rate|network"):
        read_recipe("orthopastis", [change])


def test_values_are_those_of_the_text() -> None:
    assert parse_json('{"a": [1, 2.5, null, "ä"]}', AgrunetError) == {"a": [1, 2.5, None, "ä"]}
