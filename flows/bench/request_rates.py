"""The figures of the benchmark of whole requests."""

from __future__ import annotations

from math import log
from typing import Annotated

from pydantic import Field

from catalog.products import Frozen


class StageRate(Frozen):
    """What a stage took."""

    seconds: float
    peak_mb: Annotated[float, Field(description="most memory of all processes; 0 where it was over between two looks")]
    read_mb: Annotated[float, Field(description="asked of files, whether from a disk or the system's cache")]
    written_mb: float


class RequestRow(Frozen):
    """One request, from the command to the delivery."""

    km2: float
    dates: Annotated[int, Field(description="acquisitions ordered")]
    used: Annotated[int, Field(description="acquisitions that the map was made from")]
    cells: int
    patches: int
    stages: dict[str, StageRate]
    seconds: Annotated[float, Field(description="of the whole command, its start included")]
    peak_mb: float
    decode_seconds: Annotated[float, Field(description="of the same parts of the same files, decoded alone")]
    write_seconds: Annotated[float, Field(description="of as many slabs of cells, written alone")]
    network_seconds: Annotated[float, Field(description="of as many patches in the bare network")]

    @property
    def share_of_floor(self) -> float:
        """Share of the time that decoding and the network alone would take."""
        return (self.decode_seconds + self.network_seconds) / self.seconds

    @property
    def ingestion(self) -> float:
        """Speed of ingestion over that of decoding and writing one after the other."""
        return (self.decode_seconds + self.write_seconds) / self.stages["ingest"].seconds

    @property
    def inference(self) -> float:
        """Speed of inference over that of the bare network."""
        return self.network_seconds / self.stages["thematic"].seconds

    def as_text(self) -> str:
        """Table for people."""
        lines = [
            f"{self.km2:.0f} km², {self.dates} dates ({self.used} used), {self.cells} cells, {self.patches} patches: {self.seconds:.0f} s, "
            f"at most {self.peak_mb:.0f} MB",
            f"  {'':10s}{'s':>9s}{'peak MB':>9s}{'read MB':>9s}{'written':>9s}",
        ]
        lines += [
            f"  {name:10s}{stage.seconds:9.1f}{stage.peak_mb:9.0f}{stage.read_mb:9.0f}{stage.written_mb:9.0f}"
            for name, stage in self.stages.items()
        ]
        lines.append(
            f"  alone: decoding {self.decode_seconds:.1f} s, writing {self.write_seconds:.1f} s, network {self.network_seconds:.1f} s; "
            f"share of decoding and network {self.share_of_floor:.2f}, ingestion of decoding then writing {self.ingestion:.2f}, "
            f"inference of the network {self.inference:.2f}"
        )
        return "\n".join(lines)


class RequestRates(Frozen):
    """Requests of growing area on one archive."""

    rows: tuple[RequestRow, ...]
    archive: Annotated[str, Field(description="what the archive's pixels are")]
    bands: int
    quick: bool
    device: str
    threads: int
    versions: dict[str, str]
    synthetic: bool = True

    def growth(self) -> dict[str, float]:
        """By how much a stage's time grows with the area, as a power of it: 1 where it grows alike. Of the two largest areas."""
        if len(self.rows) < 2:
            return {}
        small, large = self.rows[-2:]
        work = log(large.km2 * large.dates / (small.km2 * small.dates))
        return {
            name: log(stage.seconds / small.stages[name].seconds) / work
            for name, stage in large.stages.items()
            if name in small.stages and min(stage.seconds, small.stages[name].seconds) > 0
        }

    def as_text(self) -> str:
        """Tables for people."""
        head = f"{self.archive}, {self.bands} bands, {self.threads} threads, {self.device}"
        if self.quick:
            head += "; QUICK: says nothing about speed"
        tables = [head, *(row.as_text() for row in self.rows)]
        if growth := self.growth():
            powers = ", ".join(f"{name} {power:.2f}" for name, power in growth.items())
            tables.append(f"time grows with the area to the power of: {powers}")
        return "\n\n".join(tables)
