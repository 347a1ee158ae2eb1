"""A forest grown by scikit-learn on interpolated series, and laid out as the arrays that `agrunet.networks.forest` walks through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from agrunet.checkpoint.config import CheckpointConfig, describe
from agrunet.data.header import FolderHeader
from agrunet.data.inputs import Normalisation, prepare
from agrunet.data.patches import LabelledSource
from agrunet.data.pixel_series import PixelSeries, gather_pixels, joined
from agrunet.data.season import first_season
from agrunet.errors import AgrunetError
from agrunet.networks.day_grid import at_days
from agrunet.networks.forest import Differences, Forest, ForestConfig, with_differences
from agrunet.settings import Frozen
from agrunet.training.replay import Thinned, replayed

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

Columns = npt.NDArray[np.int64]
"""Positions of features."""

Weights = npt.NDArray[np.float64]
"""Of what is learnt from, one a series."""

_ROWS = 1024
"""Series that are interpolated at once."""


TRUST = 100.0
"""Fields at which labels and simulation weigh the same, unless a setting says otherwise."""


class ForestSettings(Frozen):
    """Settings of a forest."""

    kind: Annotated[
        Literal["forest", "forest-replay"], Field(description="whether it learns from simulated series, too")
    ] = "forest"
    trees: Annotated[int, Field(ge=1)] = 300
    least_leaf: Annotated[int, Field(ge=1, description="training pixels in a leaf at least")] = 1
    balanced: Annotated[bool, Field(description="weigh classes against their frequency")] = False
    step: Annotated[int, Field(ge=1, description="days between those that trees look at")] = 10
    pixels: Annotated[int, Field(ge=1, description="training pixels at most")] = 20_000
    device: Literal["auto", "cpu", "cuda"] = "auto"
    differences: Annotated[
        Literal["none", "beside", "half"],
        Field(
            description="normalised differences: beside the bands; half: alone by half of the trees, for land of other brightness",
            exclude_if=lambda differences: differences == "none",
        ),
    ] = "none"
    thresholds: Annotated[
        Literal["best", "random"],
        Field(
            description="of each question the best one, or the best of random ones: extremely randomised trees (Geurts et al., 2006)",
            exclude_if=lambda thresholds: thresholds == "best",
        ),
    ] = "best"
    replay: Annotated[
        Path | None, Field(description="table of simulated series that it learns from beside the labels", exclude=True)
    ] = None
    trust: Annotated[
        float,
        Field(
            gt=0,
            description="fields of a class whose labels weigh as much as its simulated series, where these are learnt from, too",
            exclude_if=lambda trust: trust == TRUST,
        ),
    ] = TRUST
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


PAIRS = (("B08", "B04"), ("B08", "B11"), ("B11", "B12"), ("B07", "B05"), ("B03", "B04"), ("B02", "B03"))
"""Bands whose normalised differences tell crops apart: vegetation, moisture, residues, the red edge, greenness, and blue against green."""


def fit_forest(
    source: LabelledSource, normalisation: Normalisation, settings: ForestSettings
) -> tuple[Forest, CheckpointConfig]:
    """Grow a forest on the pixels to learn from. The same seed gives the same forest.

    Raises `AgrunetError` where scikit-learn isn't installed, or no pixel can be learnt from.
    """
    series, simulated, weights = _learnt(source, settings)
    grid = season_grid(source.header, settings.step)
    differences = None if settings.differences == "none" else differences_of(source.header.bands, normalisation)
    features = features_of(series, normalisation, grid, differences)
    alone = (
        _of_differences(differences, len(source.header.bands), len(grid)) if settings.differences == "half" else None
    )
    grown = [
        (_grown(features if columns is None else features[:, columns], series.label, weights, trees, settings), columns)
        for trees, columns in _parts(settings.trees, alone)
    ]
    forest = forest_of(grown, len(source.header.bands), len(source.header.classes), grid, differences)
    facts = settings.model_dump(mode="json", exclude={"device"}) | {"learnt_pixels": len(series) - simulated}
    if simulated:
        shown = np.unique(series.label[-simulated:]).tolist()
        facts |= {"replayed_pixels": simulated, "replayed": [source.header.classes[label] for label in shown]}
    return forest, describe(source.header, forest.config, normalisation, "interpolate", facts)


def _learnt(source: LabelledSource, settings: ForestSettings) -> tuple[PixelSeries, int, Weights | None]:
    """What is learnt from, how many simulated series stand behind labelled ones, and the weight of each; None: all the same."""
    if settings.kind == "forest":
        return gather_pixels(source, settings.pixels, settings.seed), 0, None
    if settings.replay is None:
        raise AgrunetError(
            "a forest-replay learns from simulated series beside the labels, and none are given. Give --replay."
        )
    series = gather_pixels(Thinned(source), settings.pixels, settings.seed)
    simulated = replayed(settings.replay, source, settings.pixels, settings.seed)
    weights = simulated.weights(series.label, settings.trust)
    return joined([series, simulated.series]), len(simulated.series), weights


def season_grid(header: FolderHeader, step: int) -> tuple[int, ...]:
    """Days since the season's start, ``step`` apart, in the middle of the steps that the season is made of."""
    season = first_season(header)
    return tuple(range(step // 2, (season.end - season.start).days, step))


def differences_of(bands: Sequence[str], normalisation: Normalisation) -> Differences | None:
    """Those of `PAIRS` that the bands allow; None where there is none."""
    pairs = tuple((bands.index(one), bands.index(other)) for one, other in PAIRS if {one, other} <= set(bands))
    return Differences(pairs=pairs, mean=normalisation.mean, std=normalisation.std) if pairs else None


def _of_differences(differences: Differences | None, bands: int, days: int) -> Columns | None:
    """Columns of features that are differences; None where there is none."""
    if differences is None:
        return None
    every = np.arange(days * (bands + len(differences.pairs))).reshape(days, -1)
    return every[:, bands:].reshape(-1)


def _parts(trees: int, alone: Columns | None) -> list[tuple[int, Columns | None]]:
    """Numbers of trees, and the columns that they look at; None: all."""
    if alone is None or trees == 1:
        return [(trees, None)]
    return [(trees - trees // 2, None), (trees // 2, alone)]


def features_of(
    series: PixelSeries, normalisation: Normalisation, grid: Sequence[int], differences: Differences | None = None
) -> npt.NDArray[np.float32]:
    """Features (N, days of the grid x columns) as the forest makes them of what it is fed."""
    days = torch.tensor(grid)
    parts = []
    for rows in np.array_split(np.arange(len(series)), -(-len(series) // _ROWS)):
        batch = series.batch(rows)
        values = prepare(batch, normalisation, "interpolate")
        parts.append(with_differences(at_days(values, batch.valid, batch.days, days), differences).flatten(1).numpy())
    return np.concatenate(parts)


def _grown(
    features: npt.NDArray[np.float32],
    label: npt.NDArray[np.int16],
    weights: Weights | None,
    trees: int,
    settings: ForestSettings,
) -> RandomForestClassifier | ExtraTreesClassifier:
    try:
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    except ModuleNotFoundError as error:
        raise AgrunetError(
            "scikit-learn isn't installed, and forests are grown by it. Install the extra `forest`: pip install 'cropline[forest]'."
        ) from error
    grower = RandomForestClassifier if settings.thresholds == "best" else ExtraTreesClassifier
    forest = grower(
        trees,
        min_samples_leaf=settings.least_leaf if weights is None else 1,
        min_weight_fraction_leaf=0.0 if weights is None else min(settings.least_leaf / len(label), 0.5),
        class_weight="balanced" if settings.balanced else None,
        random_state=settings.seed,
        n_jobs=torch.get_num_threads(),
    )
    return forest.fit(features, label, weights)


def forest_of(
    grown: Sequence[tuple[RandomForestClassifier | ExtraTreesClassifier, Columns | None]],
    bands: int,
    classes: int,
    grid: tuple[int, ...],
    differences: Differences | None = None,
) -> Forest:
    """Lay out fitted forests of scikit-learn as a network with the mean of their trees; classes that they never saw have none.

    Beside each forest stand the columns of the features that it looked at; None: all.
    """
    trees = [
        _laid_out(estimator.tree_, forest.classes_, classes, columns)
        for forest, columns in grown
        for estimator in forest.estimators_
    ]
    starts = np.cumsum([0, *(len(tree["below"]) for tree in trees)])
    config = ForestConfig(
        bands=bands,
        classes=classes,
        grid=grid,
        trees=len(trees),
        nodes=int(starts[-1]),
        differences=differences,
    )
    for tree, start in zip(trees, starts.tolist()[:-1], strict=True):
        tree["below"] += start
    weights = {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]} | {"roots": starts[:-1]}
    network = Forest(config)
    network.load_state_dict(
        {name: torch.from_numpy(weights[name]).to(buffer.dtype) for name, buffer in network.named_buffers()}
    )
    return network.eval()


def _laid_out(
    tree: Any, present: npt.NDArray[np.integer], classes: int, columns: Columns | None
) -> dict[str, npt.NDArray[Any]]:
    """Nodes of a tree in the order of their depth, so that the two below a node stand side by side."""
    order = [0]
    below = np.zeros(tree.node_count, np.int64)
    for node in order:  # grows while it is walked along
        if tree.children_left[node] >= 0:
            below[node] = len(order)
            order += [tree.children_left[node], tree.children_right[node]]
    inner = tree.children_left[order] >= 0
    feature = tree.feature[order] if columns is None else columns[tree.feature[order]]
    below = np.where(inner, below[order], np.arange(len(order)))
    frequency = tree.value[order, 0, :][~inner]
    probability = np.zeros((len(frequency), classes), np.float32)
    probability[:, present] = frequency / frequency.sum(axis=1, keepdims=True)
    return {
        "below": below,
        "feature": np.where(inner, feature, 0),
        "threshold": np.where(inner, _not_above(tree.threshold[order]), np.inf),
        "probability": probability,
    }


def _not_above(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The highest float32 numbers not above the thresholds: float32 features fall on the same side of them."""
    near = thresholds.astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near)
