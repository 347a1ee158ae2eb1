"""One list of what could make a map, processors, checkpoints and places alike, and the choice among them.

A candidate is a processor, the checkpoint that it maps with where it needs one, and the place where it would run. Whoever makes the list
says what speaks against each; `choose` takes one, and says of all others why not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from catalog.model_choice import SPLITS
from catalog.products import Frozen
from catalog.promotions import Promotion
from catalog.scores import Score

Preference = Literal["quality", "time"]


class Against(StrEnum):
    """Kind of what speaks against a candidate."""

    NOTHING = "nothing"
    UNFIT = "unfit"
    """It can't or must not make this map."""
    NOT_IN_USE = "not in use"
    """It can make the map, and others are in use: it is taken for its speed only."""


class Accuracy(Frozen):
    """A figure of how good a candidate's maps are, and what it rests on."""

    split: Annotated[str, Field(description="what it was held out by: hold-out, grouped k-fold, test-fold or truth")]
    miou: Annotated[float, Field(ge=0, le=1, description="mean intersection over union there, 0 to 1")]
    interval: Annotated[
        tuple[float, float] | None,
        Field(description="95 % of a bootstrap over the fields; none where they are too few"),
    ] = None
    evidence: Annotated[str, Field(description="how the scored pixels were chosen, and how sure they are")] = ""

    @classmethod
    def of(cls, score: Score | None) -> Accuracy | None:
        """The figure in a score; None without one."""
        if score is None:
            return None
        return cls(split=score.split, miou=score.miou, interval=score.intervals.get("miou"), evidence=score.note)

    @property
    def words(self) -> str:
        """The figure with its interval, such as ``mIoU 0.612 (0.55 to 0.67)``."""
        bounds = "" if self.interval is None else f" ({self.interval[0]:.2f} to {self.interval[1]:.2f})"
        return f"mIoU {self.miou:.3f}{bounds}"


class Candidate(Frozen):
    """A processor with its checkpoint in a place, as far as the choice goes; what can't serve at all may lack the latter two."""

    processor: str
    model: Annotated[str | None, Field(description="name of the checkpoint; none where it needs or has none")] = None
    place: Annotated[str, Field(description="work pool that it runs in; empty where that doesn't matter any more")] = ""
    level: Annotated[str, Field(description="of the products that it maps; empty where it isn't known")] = ""
    bands: Annotated[tuple[str, ...], Field(description="that it needs; empty: any")] = ()
    accuracy: Annotated[Accuracy | None, Field(description="none where it is unknown")] = None
    seconds: Annotated[
        float | None, Field(ge=0, description="expected from the choice to the delivery; none where nobody can say")
    ] = None
    measured: Annotated[
        bool, Field(description="whether runs of this processor with this checkpoint in this place tell the seconds")
    ] = False
    against: Against = Against.NOTHING
    taken: bool = False
    reason: Annotated[str, Field(description="why it was taken, or why not")] = ""

    @property
    def label(self) -> str:
        """Name of the candidate, such as ``crop-map, 2026-11-01-L2A-0a1b2c3d, in gpu``."""
        place = f"in {self.place}" if self.place else ""
        return ", ".join(part for part in (self.processor, self.model or "", place) if part)


@dataclass(frozen=True, slots=True)
class Choice:
    """The processor and the checkpoint that make a map, and the others."""

    processor: str
    folder: Path | None
    """The checkpoint; None where the processor needs none."""
    candidates: tuple[Candidate, ...]
    decision: Promotion | None = None
    """What became of a model that was trained for the request."""

    @property
    def taken(self) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.taken)


@dataclass(frozen=True)
class Wish:
    """Wishes of a request about how its map is made."""

    prefer: Preference = "quality"
    seconds: float | None = None
    """Left until the map must be there; None without a deadline."""


def choose(candidates: Sequence[Candidate], wish: Wish) -> tuple[Candidate, ...]:
    """The same candidates in the same order, one of them taken where any can be, all with a reason.

    ``candidates``: in the order in which they are taken where nothing else decides; the first one that can be taken is what a request
    without wishes gets.

    1. What is unfit is never taken.
    2. With a deadline, those whose expected seconds fit into what is left; where any of them was measured, only measured ones.
    3. ``prefer: time``: the fewest seconds among the measured ones; where none was measured, as with quality: nothing is taken for a speed
       that nobody has seen.
    4. ``prefer: quality``: of those in use the first, unless another one is clearly better: its interval lies wholly above, on the same
       kind of held-out pixels. Where none that is in use is left, the best figure on the strictest kind, and of those whose intervals
       overlap with it the fastest that was measured.
    """
    fit = [candidate for candidate in candidates if candidate.against is not Against.UNFIT]
    left = _in_time(fit, wish.seconds)
    taken, why = _fastest(left) if wish.prefer == "time" else (None, "")
    if taken is None and left:
        taken, why = _best(left)
        if wish.prefer == "time":
            why = f"no speed was measured yet, so as with quality: {why}"
    decided = []
    for candidate in candidates:
        if candidate is taken:
            decided.append(candidate.model_copy(update={"taken": True, "reason": why}))
        else:
            reason = _why_not(candidate, taken, left, wish)
            decided.append(candidate.model_copy(update={"taken": False, "reason": reason}))
    return tuple(decided)


def taken_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The one that was taken; None where none could be."""
    return next((candidate for candidate in candidates if candidate.taken), None)


def clearly_better(one: Candidate, other: Candidate) -> bool:
    """Whether the interval of one lies wholly above the other's; figures on different kinds of held-out pixels are never compared."""
    mine, theirs = one.accuracy, other.accuracy
    if mine is None or theirs is None or mine.split != theirs.split or mine.interval is None or theirs.interval is None:
        return False
    return mine.interval[0] > theirs.interval[1]


def _in_time(candidates: list[Candidate], left: float | None) -> list[Candidate]:
    if left is None:
        return candidates
    fitting = [one for one in candidates if one.seconds is not None and one.seconds <= left]
    return [one for one in fitting if one.measured] or fitting


def _fastest(candidates: list[Candidate]) -> tuple[Candidate | None, str]:
    timed = [(one.seconds, one) for one in candidates if one.measured and one.seconds is not None]
    if not timed:
        return None, ""
    seconds, taken = min(timed, key=lambda item: item[0])  # of several the first
    return taken, f"the fastest that was measured: about {seconds:,.0f} s"


def _best(candidates: list[Candidate]) -> tuple[Candidate, str]:
    used = [one for one in candidates if one.against is Against.NOTHING]
    if used:
        best = used[0]
        for one in used[1:]:
            if clearly_better(one, best):
                best = one
        if best is used[0]:
            alone = "the only one that can serve"
            return best, best.reason or ("in use, and nothing is clearly better" if len(candidates) > 1 else alone)
        return best, f"clearly better than {used[0].label}: {_figure(best)} against {_figure(used[0])}"
    best = max(candidates, key=lambda one: (-_rank(one), 0.0 if one.accuracy is None else one.accuracy.miou))
    equal = [one for one in candidates if one is best or _overlap(one, best)]
    fastest, _ = _fastest(equal)
    if fastest is None or fastest is best:
        return best, f"none that is in use can serve, and of the others its figure is the best: {_figure(best)}"
    return fastest, f"none that is in use can serve; as good as {best.label}, and faster"


def _rank(candidate: Candidate) -> int:
    """Place of a candidate's evidence among the kinds of held-out pixels, the strictest first; what has none comes last."""
    split = None if candidate.accuracy is None else candidate.accuracy.split
    return SPLITS.index(split) if split in SPLITS else len(SPLITS) + (split is None)


def _overlap(one: Candidate, other: Candidate) -> bool:
    mine, theirs = one.accuracy, other.accuracy
    if mine is None or theirs is None or mine.split != theirs.split or mine.interval is None or theirs.interval is None:
        return False
    return mine.interval[0] <= theirs.interval[1] and theirs.interval[0] <= mine.interval[1]


def _why_not(candidate: Candidate, taken: Candidate | None, left: list[Candidate], wish: Wish) -> str:
    """Reason why a candidate was not taken."""
    if candidate.against is Against.UNFIT:
        return candidate.reason
    if candidate not in left and wish.seconds is not None:
        return _late(candidate, wish.seconds)
    if taken is None:  # can't be: what is left would have been taken
        return candidate.reason
    if wish.prefer == "time" and taken.measured:
        if not candidate.measured:
            return "how fast it is was never measured there: name it once, and it is"
        if candidate.seconds is not None and taken.seconds is not None:
            return f"about {candidate.seconds:,.0f} s, {taken.label} about {taken.seconds:,.0f} s"
    if candidate.against is Against.NOT_IN_USE:
        return candidate.reason
    if (candidate.processor, candidate.model) == (taken.processor, taken.model):
        return f"the same is done in {taken.place}, which comes first"
    return f"not clearly better than {taken.label}: {_figure(candidate)}, not above {_figure(taken)}"


def _late(candidate: Candidate, left: float) -> str:
    if candidate.seconds is None:
        return "nobody can say yet how long it takes, and there is a deadline"
    if candidate.seconds > left:
        return f"too late: about {candidate.seconds:,.0f} s, and {max(0.0, left):,.0f} s are left"
    return "its speed was never measured there, and there is a deadline that a measured one keeps"


def _figure(candidate: Candidate) -> str:
    return "accuracy unknown" if candidate.accuracy is None else candidate.accuracy.words
