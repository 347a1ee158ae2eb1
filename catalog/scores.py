"""Figures of how well a model does, those that a checkpoint, a delivery and the answer to a request share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from catalog.guards.numbers import Sentence
from catalog.products import Frozen


class ClassScore(Frozen):
    """Agreement on one class of the truth."""

    name: str
    iou: Annotated[float, Field(ge=0, le=1, description="intersection over union, 0 to 1")]
    dice: Annotated[float, Field(ge=0, le=1, description="F1, 0 to 1")]
    n_pixels: Annotated[int, Field(ge=0, description="of the truth")]
    interval: Annotated[
        tuple[float, float] | None,
        Field(
            description="of the IoU, 95 % of a bootstrap over the fields; absent where they are too few",
            exclude_if=lambda interval: interval is None,
        ),
    ] = None


class Score(Frozen):
    """Agreement with labels that the model didn't learn from, from one confusion matrix."""

    split: Annotated[str, Field(description="hold-out, grouped k-fold, test-fold or truth: what was held out")]
    oa: Annotated[float, Field(ge=0, le=1, description="overall accuracy, 0 to 1")]
    miou: Annotated[
        float, Field(ge=0, le=1, description="mean intersection over union of the classes in the truth, 0 to 1")
    ]
    dice: Annotated[float, Field(ge=0, le=1, description="mean F1 of the classes in the truth, 0 to 1")]
    n_pixels: Annotated[int, Field(ge=0, description="pixels compared")]
    spread: Annotated[
        dict[str, float],
        Field(description="standard deviation over seeds, by score", exclude_if=lambda spread: not spread),
    ] = {}
    per_class: Annotated[
        tuple[ClassScore, ...], Field(description="by class", exclude_if=lambda classes: not classes)
    ] = ()
    intervals: Annotated[
        dict[str, tuple[float, float]],
        Field(
            description="of `oa` and `miou`, 95 % of a bootstrap over the fields; absent where a class has too few",
            exclude_if=lambda intervals: not intervals,
        ),
    ] = {}
    note: Annotated[Sentence, Field(description="what this figure can't show")] = ""

    def figure(self, name: str) -> str:
        """A score in words: with its spread over seeds or its interval over fields, where one is known."""
        text = f"{getattr(self, name):.3f}"
        if name in self.spread:
            text += f" ± {self.spread[name]:.3f}"
        if name in self.intervals:
            low, high = self.intervals[name]
            text += f" ({low:.2f} to {high:.2f})"
        return text


BY_FIELDS = ("hold-out", "grouped k-fold")
"""Splits whose scores rest on fields: how sure they are depends on how many there are."""


class EarlyScore(Frozen):
    """Agreement with data to the end of a month only."""

    month: Annotated[int, Field(ge=1, le=12, description="last one with data")]
    oa: Annotated[float, Field(ge=0, le=1, description="overall accuracy, 0 to 1")]
    miou: Annotated[float, Field(ge=0, le=1, description="mean intersection over union, 0 to 1")]
    n_pixels: Annotated[int, Field(ge=0, description="pixels compared")]


class EarlyCurve(Frozen):
    """Agreement of one model on the same held-out pixels as the season goes on; the last point is the whole season."""

    split: str
    simulated: Annotated[bool, Field(description="of simulated land")]
    points: Annotated[tuple[EarlyScore, ...], Field(min_length=2, description="by month, in the season's order")]

    def at(self, month: int) -> EarlyScore | None:
        """The point with data to the end of a month; None before the first one."""
        return next((point for point in self.points if point.month == month), None)


def early_curve(config: dict[str, Any]) -> EarlyCurve | None:
    """The curve in a checkpoint's ``config.json``, or None. Raises `ValueError`, `KeyError` or `TypeError` where it is damaged."""
    curve = config.get("early")
    if curve is None:
        return None
    fields = ("month", "oa", "miou", "n_pixels")
    points = tuple(EarlyScore(**{name: point[name] for name in fields}) for point in curve["points"])
    return EarlyCurve(split=curve["split"], simulated=bool(config.get("synthetic")), points=points)


def checkpoint_scores(config: dict[str, Any]) -> tuple[Score, ...]:
    """Scores in a checkpoint's ``config.json``, each noted with how the scored pixels were chosen and how sure they are."""
    fields = ("split", "oa", "miou", "dice", "n_pixels")
    return tuple(
        Score(
            **{name: score[name] for name in fields},
            per_class=score.get("per_class", ()),
            intervals=score.get("intervals", {}),
            note=" ".join(part for part in (config.get("hold_out", ""), _sureness(score)) if part),
        )
        for score in config.get("scores", ())
    )


def _sureness(score: dict[str, Any]) -> str:
    """What the intervals mean, or why there are none; nothing of scores that don't rest on fields."""
    if score["split"] not in BY_FIELDS:
        return ""
    if score.get("intervals"):
        return "In brackets: 95 % of what other draws of as many fields would give (bootstrap)."
    short = [part["name"] for part in score.get("per_class", ()) if part.get("interval") is None]
    of = f" of {', '.join(short)}" if short else ""
    return f"How far these figures may be off is unknown: too few fields{of} were scored."
