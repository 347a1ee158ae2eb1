"""The choice among kinds of classifiers by evidence, made inside what is learnt from: what scores a model took no part in its choice.

Where fields are dealt into folds (a nested cross-validation: Varma and Simon, 2006, "Bias in error estimation when using cross-validation
for model selection"), the kind that maps a fold is the one that did best on the other folds, by models that never saw that fold:

- for each pair of folds a model learns from the rest and maps both, each for the choice that concerns the other;
- for each fold a model of each kind learns from all others and maps it, and the fold's choice is what counts for the estimate.

The kind that is delivered is the one that did best on all folds, and learns from all of them. Where ground is held out, the patches
to learn from are cut in parts, of which each is mapped by models that learnt from the others. The temperature that a fold is mapped
with comes from the other folds, too (Guo et al., 2017).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agrunet.calibration import BINS, reliability_counts
from agrunet.checkpoint.config import CheckpointConfig, KindScores
from agrunet.data.folds import FieldFold, PatchFold
from agrunet.data.header import SPLITS
from agrunet.data.patches import FieldSource, LabelledSource
from agrunet.data.training_pixels import class_counts
from agrunet.inference import predict
from agrunet.metrics import Scores, score
from agrunet.networks.registry import Network
from agrunet.training.distributed import Ranks
from agrunet.training.evaluation import Tally
from agrunet.training.temperature import SampledPixels, fit_temperature, sampled_pixels, tempered

Fit = Callable[[LabelledSource], tuple[Network, CheckpointConfig]]
"""Training of one kind on the pixels that a source gives to learn from, for as long as a comparison is worth."""

PARTS = 3
"""Parts that the patches to learn from are cut in for a choice on held-out ground."""

_HELD = "hold-out"


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """How fields were mapped by models that took no part in choosing them; and the temperature that the chosen kind's pixels ask for."""

    tally: Tally
    temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The kind that was chosen, and what each kind reached."""

    kind: str
    kinds: tuple[KindScores, ...]
    tallies: Mapping[str, Tally]
    """How each kind mapped what it didn't learn from."""
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Mapped:
    """Held-out pixels mapped by one model: counts of all, probabilities of some."""

    tally: Tally
    pixels: SampledPixels


@dataclass(slots=True, eq=False)
class _Record:
    """What was mapped by models of one kind."""

    inner: dict[int, list[Tally]] = field(default_factory=dict)
    """By the fold that a choice concerns: the other folds, each by a model that saw neither."""
    outer: dict[int, _Mapped] = field(default_factory=dict)
    """By fold: its fields, by a model that learnt from all others."""


def choose_by_fields(source: FieldSource, fits: Mapping[str, Fit], group: Ranks) -> Choice:
    """Choose by the folds of the fields. ``fits``: kinds in the order in which they are preferred where they do equally well.

    Raises `AgrunetError` where the fields but those of one fold can't be learnt from.
    """
    folds = sorted({entry.fold for entry in source.header.fields if entry.fold is not None})
    records = {kind: _Record() for kind in fits}
    for first, second in itertools.combinations(folds, 2) if len(fits) > 1 else ():
        pair = FieldFold(source, first, hidden=second)
        if not _teaches(pair):
            continue  # a rest of one class teaches no kind to tell any apart
        for kind, fit in fits.items():
            model = fit(pair)
            for concerned, view in ((second, pair), (first, pair.swapped())):
                records[kind].inner.setdefault(concerned, []).append(_map(model, view, group).tally)
    for fold in folds:
        view = FieldFold(source, fold)
        for kind, fit in fits.items():
            records[kind].outer[fold] = _map(fit(view), view, group, early=True)
    taken = {fold: _best({kind: record.inner.get(fold, []) for kind, record in records.items()}) for fold in folds}
    whole = {kind: [record.outer[fold].tally for fold in folds] for kind, record in records.items()}
    kind = _best(whole)
    return Choice(
        kind,
        tuple(_scores(name, whole[name], list(taken.values()).count(name), len(folds)) for name in records),
        {name: _summed(parts) for name, parts in whole.items()},
        _estimate({fold: records[name].outer[fold] for fold, name in taken.items()}, records[kind].outer.values()),
    )


def trainings_by_fields(source: FieldSource, kinds: int) -> int:
    """Number of models of each kind that a choice among so many kinds makes, at most."""
    folds = len({entry.fold for entry in source.header.fields if entry.fold is not None})
    return folds + (folds * (folds - 1) // 2 if kinds > 1 else 0)


def choose_by_patches(source: LabelledSource, fits: Mapping[str, Fit], group: Ranks) -> Choice:
    """Choose by parts of the patches to learn from; the first kind where there are too few patches to compare any."""
    learnt = [index for index in range(len(source)) if (source.split(index) == SPLITS["train"]).any()]
    tallies: dict[str, list[Tally]] = {kind: [] for kind in fits}
    for part in range(PARTS) if len(learnt) >= PARTS and len(fits) > 1 else ():
        view = PatchFold(source, learnt[part::PARTS])
        if _teaches(view):
            for kind, fit in fits.items():
                tallies[kind].append(_map(fit(view), view, group).tally)
    chosen = _best(tallies)
    compared = {kind: parts for kind, parts in tallies.items() if parts}
    return Choice(
        chosen,
        tuple(_scores(kind, parts, int(kind == chosen), 1) for kind, parts in compared.items()),
        {kind: _summed(parts) for kind, parts in compared.items()},
    )


def _teaches(view: LabelledSource) -> bool:
    return int((class_counts(view).sum(axis=0) > 0).sum()) > 1


def _map(
    model: tuple[Network, CheckpointConfig], view: LabelledSource, group: Ranks, *, early: bool = False
) -> _Mapped:
    """Map what a view holds out, each patch by one process; ``early``: with the season cut short as well."""
    network, checkpoint = model
    tally = Tally(view.header)
    pixels: SampledPixels = []
    held = [index for index in range(len(view)) if (view.split(index) == SPLITS[_HELD]).any()]
    if early:
        tally.early.choose(held)
    for index, probabilities in predict(network, checkpoint, view, held[group.rank :: group.world], group.device):
        tally.add(view, index, probabilities)
        pixels.append(sampled_pixels(probabilities, view.label(index), view.split(index) == SPLITS[_HELD]))
    if early:
        tally.early.add_months(network, checkpoint, view, group)
    return _Mapped(tally.gathered(group), [pair for part in group.gather(pixels) for pair in part])


def _estimate(folds: Mapping[int, _Mapped], delivered: Iterable[_Mapped]) -> Estimate:
    """Sum up the folds. Each one's confidence is counted at the temperature that the other folds ask for."""
    tally = _summed([mapped.tally for mapped in folds.values()])
    tally.reliability[_HELD] = np.zeros((3, BINS))
    for fold, mapped in folds.items():
        temperature = fit_temperature(_pixels(other for number, other in folds.items() if number != fold))
        for probabilities, truth in mapped.pixels:
            # As one row of pixels, (K, 1, n).
            own = tempered(probabilities, temperature).T[:, None]
            tally.reliability[_HELD] += reliability_counts(own, truth[None])
    return Estimate(tally, fit_temperature(_pixels(delivered)))


def _pixels(parts: Iterable[_Mapped]) -> SampledPixels:
    return [pair for mapped in parts for pair in mapped.pixels]


def _best(tallies: Mapping[str, Sequence[Tally]]) -> str:
    """The kind of the highest mean IoU; of equals, or without any, the first."""
    reached = {kind: _score(parts).miou for kind, parts in tallies.items() if parts}
    return max(reached, key=lambda kind: reached[kind]) if reached else next(iter(tallies))


def _scores(kind: str, parts: Sequence[Tally], chosen: int, of: int) -> KindScores:
    reached = _score(parts)
    return KindScores(kind=kind, oa=reached.oa, miou=reached.miou, n_pixels=reached.n_pixels, chosen=chosen, of=of)


def _score(parts: Sequence[Tally]) -> Scores:
    return score(_summed(parts).confusion[_HELD], _HELD)


def _summed(parts: Sequence[Tally]) -> Tally:
    first, *others = parts
    return first.plus(others)
