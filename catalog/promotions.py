"""The record of which models were promoted and which were not, and why: `<store>/models/promotions.jsonl`, to which lines are only added.

A model that a request may get by itself was promoted, as the first that fits or since it did better than the one in use. What a line says
of a decision stays true; what is in use now follows from all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import AwareDatetime, Field

from catalog.errors import ModelError, StoreError
from catalog.guards.json_text import parse_model
from catalog.products import Frozen
from catalog.storage.whole import written_whole

RECORD = "promotions.jsonl"

_LOCK = ".promotions.lock"


class Decision(StrEnum):
    """Kind of a decision about a model."""

    FIRST = "first"
    """No model in use fits what this one was trained for."""
    BETTER = "better"
    """The interval of its difference to the model in use lies above zero."""
    NOT_BETTER = "not better"
    UNPROVEN = "unproven"
    """It has no fields held out, and the model in use has."""
    TOO_FEW_FIELDS = "too few fields"
    """The fields don't suffice to tell."""
    IN_USE_DAMAGED = "in use damaged"
    """The model in use can't be read any more."""
    ALWAYS = "always"
    """The training asked for it."""
    NAMED = "named only"
    """It was made for one request, which names it."""
    USER = "user"
    ROLLED_BACK = "rolled back"


PROMOTING = frozenset({Decision.FIRST, Decision.BETTER, Decision.IN_USE_DAMAGED, Decision.ALWAYS, Decision.USER})
OVERRULING = frozenset({Decision.ALWAYS, Decision.USER})
"""Decisions of a person: the model takes over from every one promoted before."""


class Figure(Frozen):
    """One figure of two models on the same fields."""

    candidate: float
    in_use: float
    difference: Annotated[float, Field(description="candidate minus the model in use")]
    low: Annotated[float | None, Field(description="lower end of the 95 % interval; none where fields are too few")] = (
        None
    )
    high: Annotated[float | None, Field(description="upper end")] = None


class Compared(Frozen):
    """The candidate and the model in use on the same fields: a paired bootstrap, fields drawn within their classes."""

    miou: Figure
    oa: Figure
    fields: Annotated[dict[str, int], Field(description="number of them, by class")]
    left_out: Annotated[int, Field(description="fields left out since the model in use may have learnt from them")] = 0
    learnt: Annotated[
        int, Field(description="fields taken though the model in use may have learnt from them: its figures flatter it")
    ] = 0
    resamples: int
    seed: int


class Promotion(Frozen):
    """One decision about one model."""

    time: AwareDatetime
    model: str
    decision: Decision
    reason: Annotated[str, Field(description="for people")]
    in_use: Annotated[str | None, Field(description="model that was in use; none where none fitted")] = None
    evidence: Annotated[str | None, Field(description="what the candidate's scores of fields rest on")] = None
    compared: Compared | None = None

    @property
    def promoted(self) -> bool:
        """True where the model is in use from then on."""
        return self.decision in PROMOTING


@dataclass(frozen=True, slots=True)
class Promotions:
    """All decisions, in their order."""

    entries: tuple[Promotion, ...] = ()
    damaged: int = 0
    """Lines that can't be read; they are left in the file."""

    def of(self, model: str) -> Promotion | None:
        """The last decision about a model."""
        return next((entry for entry in reversed(self.entries) if entry.model == model), None)

    def in_use(self, fitting: Iterable[str]) -> str | None:
        """The model in use among those that fit; None where none of them was promoted.

        A model takes over from another one that it was promoted in place of, or from whatever that one had taken over from.
        """
        names = set(fitting)
        used: str | None = None
        for entry in self.standing:
            if entry.model in names and (
                used is None or entry.decision in OVERRULING or used in self._replaced(entry.model)
            ):
                used = entry.model
        return used

    @property
    def standing(self) -> list[Promotion]:
        """The promotions that were not rolled back, in their order."""
        standing: list[Promotion] = []
        for entry in self.entries:
            if entry.promoted:
                standing.append(entry)
            elif entry.decision is Decision.ROLLED_BACK:
                last = max((number for number, one in enumerate(standing) if one.model == entry.model), default=None)
                if last is not None:
                    del standing[last]
        return standing

    def _replaced(self, model: str) -> set[str]:
        """Models that one took over from, and that these took over from, whatever became of them later."""
        taken: dict[str, set[str]] = {}
        for entry in self.entries:
            if entry.promoted and entry.in_use is not None:
                taken.setdefault(entry.model, set()).add(entry.in_use)
        reached: set[str] = set()
        pending = [model]
        while pending:
            new = taken.get(pending.pop(), set()) - reached
            reached |= new
            pending += new
        return reached


def read_promotions(models: Path) -> Promotions:
    """Read the record; lines that can't be read are counted and passed over. Raises `StoreError` where the file can't be read."""
    path = models / RECORD
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return Promotions()
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}. Check its permissions.") from error
    entries: list[Promotion] = []
    damaged = 0
    for line in lines:
        try:
            entries.append(parse_model(Promotion, line, ModelError))
        except ModelError:
            damaged += 1
    return Promotions(tuple(entries), damaged)


def record(models: Path, entry: Promotion, known: int | None = None) -> bool:
    """Add a decision to the record. Returns False, and writes nothing, where the record has other than ``known`` decisions now.

    The file is whole at any time. Raises `StoreError` where it can't be written.
    """
    path = models / RECORD
    models.mkdir(parents=True, exist_ok=True)
    with FileLock(models / _LOCK):
        if known is not None and len(read_promotions(models).entries) != known:
            return False
        before = path.read_bytes() if path.exists() else b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        with written_whole(path) as temporary:
            temporary.write_bytes(before + entry.model_dump_json(exclude_none=True).encode() + b"\n")
    return True


def bring_together(models: Path, theirs: Sequence[bytes]) -> list[bytes]:
    """Add the lines of another machine's record. Returns the lines of both, by their time; what can't be read stands first.

    Raises `StoreError` where the file can't be written.
    """
    path = models / RECORD
    if not theirs and not path.is_file():
        return []
    models.mkdir(parents=True, exist_ok=True)
    with FileLock(models / _LOCK):
        own = path.read_bytes().splitlines() if path.is_file() else []
        together = sorted(
            dict.fromkeys([*theirs, *own]), key=_seconds
        )  # what is there twice was brought together before
        if together != own:
            with written_whole(path) as temporary:
                temporary.write_bytes(as_record(together))
    return together


def as_record(lines: Iterable[bytes]) -> bytes:
    """The content of a file with these lines."""
    return b"".join(line + b"\n" for line in lines)


def _seconds(line: bytes) -> float:
    try:
        return parse_model(Promotion, line, ModelError).time.timestamp()
    except ModelError:
        return 0.0


def decided(
    model: str,
    decision: Decision,
    reason: str,
    in_use: str | None = None,
    evidence: str | None = None,
    compared: Compared | None = None,
) -> Promotion:
    """A decision of now."""
    return Promotion(
        time=datetime.now(UTC),
        model=model,
        decision=decision,
        reason=reason,
        in_use=in_use,
        evidence=evidence,
        compared=compared,
    )
