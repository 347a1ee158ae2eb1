"""The choice among models that fit a request: the one that the record of promotions says is in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import AwareDatetime

from catalog.model_fit import HOLD_OUT, ModelContract
from catalog.promotions import Promotions
from catalog.scores import Score

SPLITS = (HOLD_OUT, "grouped k-fold", "test-fold", "field-disjoint", "within-field", "truth")
"""Kinds of held-out pixels, the strictest first; field-disjoint and within-field are those of models of before there was a gate."""


class ModelEntry(ModelContract):
    """One checkpoint, by what decides whether a request may use it."""

    name: str
    folder: Path
    created: AwareDatetime
    scores: tuple[Score, ...] = ()

    def score(self, split: str) -> Score | None:
        """The score on one kind of held-out pixels, if there is one."""
        return next((score for score in self.scores if score.split == split), None)

    @property
    def strictest(self) -> Score | None:
        """The score on the strictest kind of held-out pixels that there is."""
        return next((score for split in SPLITS if (score := self.score(split))), None)


@dataclass(frozen=True, slots=True)
class WeighedModel:
    """A checkpoint beside what a request needs."""

    name: str
    entry: ModelEntry | None
    """None where its folder is no checkpoint that can be read."""
    refusal: str = ""
    """Why it can't serve; empty where it can."""
    unused: str = ""
    """Why another one is in use; empty where this one is."""


def used_among(fitting: Sequence[ModelEntry], promotions: Promotions) -> ModelEntry | None:
    """The model in use among those that fit, newest first; None where none may be used without being named.

    The one in use by the record of promotions. Where none was promoted, the newest of those that no decision was ever made about: they are
    older than the record, or were put there by hand.
    """
    used = promotions.in_use(entry.name for entry in fitting)
    if used is None:
        used = next((entry.name for entry in fitting if promotions.of(entry.name) is None), None)
    return next((entry for entry in fitting if entry.name == used), None)


def why_not_used(name: str, promotions: Promotions, used: str | None = None) -> str:
    """Reason why no request gets a model that fits without naming it; ``used``: the one that is in use instead."""
    last = promotions.of(name)
    if last is None:
        return "" if used is None else "no decision about it is recorded"
    return (f"{used} is in use" if used is not None else "") if last.promoted else last.reason
