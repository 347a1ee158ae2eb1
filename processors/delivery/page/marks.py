"""Patterns that tell a map's classes apart where colours don't: to colour-blind readers, and on grey paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from catalog.legend import LegendClass

MARKS = 8
"""Patterns there are; 0 is plain colour."""

ALIKE, ALIKE_GREY = 12.0, 9.0
"""Distances in CIE L*a*b* below which two colours, or two greys, are hard to tell apart across a map."""

# Linear RGB as people without one of the three kinds of cones see it: Machado, Oliveira and Fernandes 2009, severity 1.
_SEEN = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
)
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)


def marks_of(entries: Sequence[LegendClass], *, grey: bool) -> dict[int, int]:
    """A pattern for each class, by value: classes with like colours have different ones, as long as there are enough.

    ``entries``: most important first, which are left plain. ``grey``: colours are alike where their lightness is.
    """
    near = distances([entry.rgb for entry in entries], grey=grey) < (ALIKE_GREY if grey else ALIKE)
    marks: list[int] = []
    for number in range(len(entries)):
        taken = {mark for other, mark in enumerate(marks) if near[number, other]}
        free = [mark for mark in range(MARKS) if mark not in taken]
        counts = [sum(mark == other for other in marks) for mark in range(MARKS)]
        marks.append(free[0] if free else int(np.argmin(counts)))
    return {entry.value: mark for entry, mark in zip(entries, marks, strict=True)}


def distances(colours: Sequence[tuple[int, int, int]], *, grey: bool) -> npt.NDArray[np.float64]:
    """Least distance of each pair (N, N) to any of four readers (usual sight, and without one kind of cones); of lightness for ``grey``."""
    encoded = np.array(colours, np.float64).reshape(-1, 3) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    if grey:
        light = _lab(linear)[:, :1]
        return np.asarray(np.abs(light - light.T))
    seen = [_lab(np.clip(linear @ np.array(matrix).T, 0, 1)) for matrix in _SEEN]
    return np.asarray(np.min([np.linalg.norm(lab[:, None] - lab[None], axis=2) for lab in seen], axis=0))


def _lab(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    xyz = linear @ np.array(_TO_XYZ).T / np.array(_WHITE)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
