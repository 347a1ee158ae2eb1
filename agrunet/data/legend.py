"""Legends of data sets that come without one, as a checkpoint carries them."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

_BACKGROUND = "#d9d6cf"
_IGNORED = "#000000"
_GOLDEN = 0.6180339887498949
"""Distance of hues, in circles: with it they stay far from each other however many there are."""


def legend_of(
    classes: Mapping[int, str],
    background: tuple[int, str] | None = None,
    ignored: tuple[int, str] | None = None,
    colours: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Make entries of role class (values 1 …, in the given order), background and ignore (value 0), from codes of the labels to names.

    ``colours``: of the classes, #rrggbb, in their order; without them hues that lie apart.
    """
    entries: list[dict[str, Any]] = []
    if background is not None:
        entries.append(_entry(0, background[1], _BACKGROUND, "background", background[0]))
    entries += [
        _entry(value, name, colours[value - 1] if colours else _colour(value), "class", code)
        for value, (code, name) in enumerate(classes.items(), start=1)
    ]
    if ignored is not None:
        entries.append(_entry(0, ignored[1], _IGNORED, "ignore", ignored[0]))
    return entries


def _entry(value: int, name: str, colour: str, role: str, code: int) -> dict[str, Any]:
    return {"value": value, "name": name, "colour": colour, "role": role, "source_codes": [code]}


def _colour(number: int) -> str:
    red, green, blue = colorsys.hls_to_rgb(number * _GOLDEN % 1, 0.5, 0.65)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
