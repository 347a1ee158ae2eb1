"""The choice among models that fit a request: a newer one takes over where it does no worse on what was held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field

from catalog.model_fit import ModelContract
from catalog.products import Frozen
from catalog.scores import Score

SPLITS = ("field-disjoint", "test-fold", "within-field", "truth")
"""Kinds of held-out pixels, the strictest first: two models are compared by the first that both have."""


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
    """The model that a request gets, and those that it was compared with."""

    folder: Path
    compared: tuple[ComparedModel, ...] = ()
    """Every model that fits, newest first; empty where there was no choice: it was named, or trained for the request."""


def best(fitting: Sequence[ModelEntry]) -> ModelChoice:
    """Choose among models that fit, which are sorted from the newest to the oldest.

    Each newer one takes over from the one in use, unless it does worse on what was held out, or has no score where that one has.
    Scores over other classes can't be compared: then the newer one takes over.
    """
    *newer, in_use = fitting
    reasons: dict[str, str] = {}
    for entry in reversed(newer):
        against = _against(entry, in_use)
        if against:
            reasons[entry.name] = against
        else:
            reasons[in_use.name] = f"older than {entry.name}"
            in_use = entry
    return ModelChoice(in_use.folder, tuple(ComparedModel.of(entry, reasons.get(entry.name, "")) for entry in fitting))


def _against(newer: ModelEntry, in_use: ModelEntry) -> str:
    """Reason why a newer model doesn't take over; empty where it does."""
    if in_use.strictest is None or not newer.legend.same_classes(in_use.legend):
        return ""
    if newer.strictest is None:
        return f"it has no held-out score, {in_use.name} has"
    for split in SPLITS:
        mine, other = newer.score(split), in_use.score(split)
        if mine and other:
            worse = not mine.miou >= other.miou  # also where it is no number
            return f"{split} mIoU {mine.miou:.3f}, below {other.miou:.3f} of {in_use.name}" if worse else ""
    stricter = SPLITS.index(newer.strictest.split) < SPLITS.index(in_use.strictest.split)
    return "" if stricter else f"scored less strictly than {in_use.name}"
