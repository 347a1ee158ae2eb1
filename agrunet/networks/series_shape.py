"""The shape of what every network is fed: one check, one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agrunet.errors import AgrunetError

if TYPE_CHECKING:  # patches and contracts read MAX_DATES without torch
    from torch import Tensor

MAX_DATES = 70
"""Longest series that a network takes: more dates than one year of two satellites has."""


class SeriesShape(Protocol):
    """Part of a network's configuration that describes its input."""

    @property
    def bands(self) -> int: ...

    @property
    def divisor(self) -> int:
        """Height and width must be multiples of this."""


def check_series(shape: SeriesShape, values: Tensor, valid: Tensor | None) -> None:
    """Check a series: raises `AgrunetError` where ``values`` isn't (B, T, C, H, W) as the network takes it, or ``valid`` isn't (B, T)."""
    if values.dim() != 5 or values.shape[2] != shape.bands or not values.shape[1]:
        raise AgrunetError(
            f"the network takes (B, T, {shape.bands}, H, W), got {tuple(values.shape)}. Feed the bands it was made for."
        )
    T, H, W = values.shape[1], *values.shape[-2:]
    if T > MAX_DATES:
        raise AgrunetError(f"{T} dates in a series; the network takes 1 to {MAX_DATES}. Leave some out.")
    if H % shape.divisor or W % shape.divisor or not H or not W:
        raise AgrunetError(
            f"patches of {H} x {W} pixels; both must be multiples of {shape.divisor}, or levels don't fit. Pad or cut them."
        )
    if valid is not None and valid.shape != values.shape[:2]:
        raise AgrunetError(f"valid dates {tuple(valid.shape)} don't fit values {tuple(values.shape)}; give (B, T).")
