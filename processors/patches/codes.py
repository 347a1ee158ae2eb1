"""Integer codes on the ground, as whoever needs them reads them: by window of a zone, whatever the file is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from catalog.grid import Window
from processors.patches.polygons import RowFault


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """Codes of a window. ``codes``: (H, W); ``known``: (H, W), False where the file says nothing (``codes`` is 0 there)."""

    codes: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]
    contradicted: frozenset[tuple[int, int]] = frozenset()
    """Pixels of which the file says several things, and which are unknown therefore: column and upper edge, counted as in `Window`."""


class Codes(Protocol):
    """A file of codes."""

    @property
    def path(self) -> Path: ...

    @property
    def nodata(self) -> float | None:
        """The code that the file itself declares to mean nothing."""

    @property
    def scattered(self) -> bool:
        """Whether each place that has a code stands for itself, as points do; codes of fields cover them."""

    def read(self, window: Window) -> Coded:
        """The codes at the centres of a window's pixels."""

    def present(self) -> npt.NDArray[np.int64]:
        """The different codes of the whole file, sorted, without ``nodata``."""

    def unused(self, windows: Sequence[Window]) -> Counter[RowFault]:
        """Rows of a vector file that can't be used, by kind; none of a raster."""
