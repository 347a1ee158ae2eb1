"""Judgement of acquisitions whose numbers look as if a radiometric offset were missing, when all dates of a season are in.

Ingestion looks at one product at a time and records what it saw; nothing in a cube depends on other dates. Here they are compared:
a date that could not be checked, because it is bright or small, goes the way of those that the same statement was made of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from processors.cube.pixel_source import OffsetFinding, PixelSource


@dataclass(slots=True)
class OffsetRecord:
    """What the cells of an acquisition hold of its offset: what said so, and what the check found."""

    said_by: set[str] = field(default_factory=set)
    checks: set[str] = field(default_factory=set)
    findings: set[OffsetFinding] = field(default_factory=set)
    suspicion: str = ""
    """Words of the check that found the offset missing; empty where none did."""

    def add(self, source: PixelSource) -> None:
        """Add what a cell holds of a product."""
        self.said_by |= set(source.offset_from)
        self.checks |= {source.check}
        self.findings |= {source.finding}
        if source.finding is OffsetFinding.MISSING:
            self.suspicion = min(filter(None, (self.suspicion, source.check)))

    @property
    def agrees(self) -> bool:
        """True where the numbers were checked and fit."""
        return OffsetFinding.FITS in self.findings and not self.suspicion


def suspicions(records: Mapping[str, OffsetRecord]) -> dict[str, str]:
    """Why not to trust the offset, by acquisition; those that are trusted aren't in it.

    One whose own numbers are suspicious, and one that could not be checked while most of those with the same statement that could
    be are suspicious.
    """
    alike: dict[frozenset[str], list[str]] = defaultdict(list)
    for name, record in records.items():
        alike[frozenset(record.said_by)].append(name)
    reasons: dict[str, str] = {}
    for said_by, names in alike.items():
        suspects = [name for name in names if records[name].suspicion]
        reasons |= {name: f"offset {records[name].suspicion}" for name in suspects}
        agreeing = sum(records[name].agrees for name in names)
        if len(suspects) > agreeing:
            text = f"offset suspicious: not checked, and missing at {len(suspects)} of {len(suspects) + agreeing} dates of the same"
            reasons |= {
                name: f"{text} ({'; '.join(sorted(said_by))})"
                for name in names
                if not records[name].suspicion and not records[name].agrees and records[name].findings
            }
    return reasons
