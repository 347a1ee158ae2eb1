"""Patches of an image time series, from wherever they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from agrunet.data.header import FolderHeader

UNKNOWN = -1
"""Label of a pixel that teaches nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A window of the time series.

    ``values``: (T, C, H, W) integers as stored, 0 = no data; ``clear``: (T, H, W), True where the pixel is seen and clear;
    ``days``: (T,) days since the season's start; ``label``: (H, W) index of the class or -1 for unknown, or None.
    """

    values: npt.NDArray[np.uint16] | npt.NDArray[np.int16]
    clear: npt.NDArray[np.bool_]
    days: npt.NDArray[np.int32]
    label: npt.NDArray[np.int16] | None = None


class PatchSource(Protocol):
    """Patches by number. Reading is thread-safe; all patches of one source have the same T, C, H, W and days."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Patch: ...


class LabelledSource(PatchSource, Protocol):
    """Patches to learn from: a folder that `processors` wrote, or a public data set. T and the days may differ between patches."""

    @property
    def header(self) -> FolderHeader: ...

    def label(self, index: int) -> npt.NDArray[np.int16]:
        """Label (H, W): index of the class, -1 unknown."""

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W) of each pixel, values of `agrunet.data.header.SPLITS`."""


@runtime_checkable
class FieldSource(LabelledSource, Protocol):
    """Patches to learn from that may also say which field a pixel belongs to: where their header lists fields."""

    def field(self, index: int) -> npt.NDArray[np.int32]:
        """Field (H, W) of each pixel: its number among the header's fields, -1 for none."""
