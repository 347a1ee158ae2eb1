"""The choice among models that fit a request: the one that the record of promotions says is in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field

from catalog.model_fit import HOLD_OUT, ModelContract
from catalog.products import Frozen
from catalog.promotions import Promotion, Promotions
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


class ComparedModel(Frozen):
    """A model that fitted a request, taken or not."""

    name: str
    taken: bool
    split: Annotated[str, Field(description="what its strictest score was held out by; empty where it has none")] = ""
    miou: Annotated[float | None, Field(description="mean intersection over union there, 0 to 1")] = None
    reason: Annotated[str, Field(description="why it was not taken")] = ""

    @classmethod
    def of(cls, entry: ModelEntry, reason: str) -> ComparedModel:
        """A model, taken where there is no reason against it."""
        score = entry.strictest
        shown = {} if score is None else {"split": score.split, "miou": score.miou}
        return cls(name=entry.name, taken=not reason, reason=reason, **shown)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model that a request gets, and the others that fit."""

    folder: Path
    compared: tuple[ComparedModel, ...] = ()
    """Every model that fits, newest first; empty where there was no choice: it was named."""
    decision: Promotion | None = None
    """What became of a model that was trained for the request."""


def choose_promoted(fitting: Sequence[ModelEntry], promotions: Promotions) -> ModelChoice | None:
    """Choose among models that fit, which are sorted from the newest to the oldest; None where none may be used without being named.

    The one in use by the record of promotions. Where none was promoted, the newest of those that no decision was ever made about: they are
    older than the record, or were put there by hand.
    """
    used = promotions.in_use(entry.name for entry in fitting)
    if used is None:
        used = next((entry.name for entry in fitting if promotions.of(entry.name) is None), None)
    if used is None:
        return None
    compared = [ComparedModel.of(entry, _against(entry, used, promotions)) for entry in fitting]
    return ModelChoice(next(entry.folder for entry in fitting if entry.name == used), tuple(compared))


def why_not_used(name: str, promotions: Promotions) -> str:
    """Reason why no request gets a model that fits without naming it."""
    last = promotions.of(name)
    return "" if last is None or last.promoted else last.reason


def _against(entry: ModelEntry, used: str, promotions: Promotions) -> str:
    """Reason why a model that fits is not the one in use; empty where it is."""
    if entry.name == used:
        return ""
    last = promotions.of(entry.name)
    if last is None:
        return "no decision about it is recorded"
    return f"{used} is in use" if last.promoted else last.reason
