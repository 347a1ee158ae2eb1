"""Folds of labelled points and parcels: what lies on the same ground, or belongs to one field, is held out together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agrunet.data.header import FOLDS

_CELLS = 111.32
"""Blocks of about 1 km in a degree of latitude, those of the ground that patches are held out by."""

Numbers = npt.NDArray[np.int64]


def ground_groups(lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], fields: Sequence[str]) -> Numbers:
    """Number the groups (N,) of rows, from 0: those in one block of ground of about 1 km, and those of one field, wherever they lie."""
    from scipy.sparse import coo_array  # what reads a table without folds doesn't wait for it
    from scipy.sparse.csgraph import connected_components

    rows = np.floor(lat * _CELLS).astype(np.int64)
    width = np.cos(np.radians(np.clip((rows + 0.5) / _CELLS, -89.9, 89.9)))
    columns = np.floor(lon * _CELLS * width).astype(np.int64)
    _, block = np.unique(np.stack([rows, columns], axis=1), axis=0, return_inverse=True)
    _, field = np.unique(np.array(fields), return_inverse=True)
    block, field = block.reshape(-1), field.reshape(-1)
    # Blocks and fields are the nodes of a graph, each row is an edge between its block and its field.
    nodes = int(block.max()) + 1, int(field.max()) + 1
    edges = (np.ones(len(block), np.int8), (block, nodes[0] + field))
    _, component = connected_components(coo_array(edges, shape=(sum(nodes), sum(nodes))), directed=False)
    _, groups = np.unique(component[block], return_inverse=True)
    return groups.astype(np.int64).reshape(-1)


def deal(groups: Numbers, labels: npt.NDArray[np.integer], names: Sequence[str], folds: int = FOLDS) -> Numbers:
    """Deal the groups (N,) of rows into folds 1 to ``folds`` (N,), so that each has about the same part of each class.

    ``labels``: (N,) class of each row; ``names``: of the rows, whose hash decides between groups that are alike. The largest groups
    come first, each to the fold that has least of its classes.
    """
    classes = int(labels.max()) + 1
    counts = np.zeros((int(groups.max()) + 1, classes))
    np.add.at(counts, (groups, labels), 1)
    parts = counts / np.maximum(counts.sum(axis=0), 1)
    first = np.full(len(counts), len(groups))
    np.minimum.at(first, groups, np.arange(len(groups)))
    order = sorted(range(len(counts)), key=lambda group: (-counts[group].sum(), _hash(names[int(first[group])])))
    have, given = np.zeros((folds, classes)), np.zeros(len(counts), np.int64)
    for group in order:
        fold = int(np.argmin((have @ parts[group]).round(12) + 1e-6 * have.sum(axis=1)))
        have[fold] += parts[group]
        given[group] = fold + 1
    return given[groups]


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
