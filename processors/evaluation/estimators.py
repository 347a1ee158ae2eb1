"""Accuracy and area from a stratified random sample, with standard errors. Pure mathematics: numpy only.

One estimator serves all. Each figure is a ratio of two totals over the area, each estimated from the strata (Stehman 2014, eq. 27 to
29); an area is the share of the units whose reference is a class. Where the strata are the classes of the evaluated map, these are
the estimators of Olofsson et al. (2014, eq. 1 to 12), who leave out the finite population correction; so it is here, which makes
intervals a little too wide where a sample takes a notable part of a stratum. Of a stratum that was looked at whole nothing is left to
chance.

- Olofsson, P., Foody, G. M., Herold, M., Stehman, S. V., Woodcock, C. E., Wulder, M. A. (2014): Good practices for estimating area
  and assessing accuracy of land change. Remote Sensing of Environment 148, 42-57.
- Stehman, S. V. (2014): Estimating area and map accuracy for stratified random sampling when the strata are different from the map
  classes. International Journal of Remote Sensing 35, 4923-4939.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z_95 = 1.96
"""Half-width of a 95 % interval in standard errors, as in the papers."""

Indices = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its standard error; None where nothing is known of that."""

    value: float
    standard_error: float | None = None


@dataclass(frozen=True, slots=True)
class ClassEstimates:
    """Figures of one class; None where they are not defined, as the user's accuracy of a class that the map nowhere shows."""

    users: Estimate | None
    producers: Estimate | None
    f1: Estimate | None
    iou: Estimate | None
    share: Estimate | None
    """Share of the area whose reference is this class; None where a sample tells nothing of areas."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """All that is estimated. ``proportions`` (K, K): shares of the whole by map class (row) and reference class (column)."""

    overall: Estimate
    classes: tuple[ClassEstimates, ...]
    proportions: Matrix


def confusion(mapped: Indices, reference: Indices, classes: int) -> Indices:
    """Units by what the map shows (row) and what the reference says (column), (K, K), as the papers have it."""
    counts = np.bincount(mapped * classes + reference, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def stratified(
    stratum: Indices, mapped: Indices, reference: Indices, sizes: npt.NDArray[np.int64], classes: int
) -> Estimates:
    """Estimates from a stratified random sample of units.

    ``stratum``, ``mapped``, ``reference``: (n,) of each unit its stratum, map class and reference class, from 0; ``sizes``: (H,) units
    of each stratum in the area. Raises `ValueError` where a stratum has no unit in the sample, or one of several: see `unmeasured`.
    """
    whole_sizes: Matrix = np.asarray(sizes, np.float64)
    if unmeasured(np.bincount(stratum, minlength=len(sizes)), sizes).any():
        raise ValueError("each stratum needs two units in the sample, or all that it has")
    every = np.ones(len(stratum))

    def ratio(part: npt.NDArray[np.bool_] | Matrix, whole: npt.NDArray[np.bool_] | Matrix) -> Estimate | None:
        return _ratio(np.asarray(part, np.float64), np.asarray(whole, np.float64), stratum, whole_sizes)

    per_class = []
    for number in range(classes):
        shown, true = mapped == number, reference == number
        both = shown & true
        per_class.append(
            ClassEstimates(
                users=ratio(both, shown),  # Olofsson eq. 2 and 6, Stehman eq. 18 and 19
                producers=ratio(both, true),  # Olofsson eq. 3 and 7, Stehman eq. 22 and 23
                f1=ratio(2.0 * both, shown.astype(float) + true),
                iou=ratio(both, shown | true),
                share=ratio(true, every),  # Olofsson eq. 9 and 10, Stehman eq. 14
            )
        )
    overall = ratio(mapped == reference, every)  # Olofsson eq. 1 and 5, Stehman eq. 12
    if overall is None:
        raise ValueError("the sample is empty")
    weights = sizes / sizes.sum() / np.bincount(stratum, minlength=len(sizes))
    cells: Matrix = np.bincount(mapped * classes + reference, weights[stratum], minlength=classes * classes).astype(
        float
    )  # Olofsson eq. 4
    return Estimates(overall, tuple(per_class), cells.reshape(classes, classes))


def unweighted(matrix: Indices) -> Estimates:
    """Accuracies of counted units alone, without standard errors or areas: nothing is known of how they were chosen."""
    counts = np.asarray(matrix, np.float64)
    total = counts.sum()
    if not total:
        raise ValueError("the matrix is empty")
    hits, shown, true = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)

    def ratio(part: float, whole: float) -> Estimate | None:
        return Estimate(float(part / whole)) if whole else None

    per_class = tuple(
        ClassEstimates(
            ratio(hit, of_map), ratio(hit, of_truth), ratio(2 * hit, of_map + of_truth), ratio(hit, of_map + of_truth - hit), None
        )
        for hit, of_map, of_truth in zip(hits, shown, true, strict=True)
    )  # fmt: skip
    return Estimates(Estimate(float(hits.sum() / total)), per_class, counts / total)


def unmeasured(counts: npt.NDArray[np.integer], sizes: npt.NDArray[np.number]) -> npt.NDArray[np.bool_]:
    """True (H,) of strata whose error can't be estimated: with less than two units in the sample that are not all it has."""
    short: npt.NDArray[np.bool_] = (np.asarray(counts) < 2) & (np.asarray(counts) < np.asarray(sizes))
    return short


def _ratio(part: Matrix, whole: Matrix, stratum: Indices, sizes: Matrix) -> Estimate | None:
    """Stehman (2014) eq. 27 to 29 for ``part`` and ``whole`` (n,) of each unit; None where there is no whole."""
    present = sizes > 0
    drawn = np.bincount(stratum, minlength=len(sizes))
    units = np.maximum(drawn, 1)
    total = float((sizes * np.bincount(stratum, whole, len(sizes)) / units).sum())
    if not total:
        return None
    value = float((sizes * np.bincount(stratum, part, len(sizes)) / units).sum()) / total
    # The variance of part - R x whole is s²_y + R² s²_x - 2 R s_xy.
    left = part - value * whole
    mean = np.bincount(stratum, left, len(sizes)) / units
    spread = np.bincount(stratum, (left - mean[stratum]) ** 2, len(sizes)) / np.maximum(drawn - 1, 1)
    chance = np.where(present & (drawn < sizes), sizes**2 * spread / units, 0.0)
    return Estimate(value, float(np.sqrt(chance.sum())) / total)
