"""An extraction as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from catalog.products import Frozen


class Extracted(Frozen):
    """What was extracted; the object that `cropline extract --json` prints."""

    table: Annotated[str, Field(description="absolute path of the Parquet file")]
    rows: Annotated[int, Field(description="points or parcels")]
    parcels: Annotated[bool, Field(description="whether a row is the median of several pixels")]
    year: int
    days: Annotated[tuple[int, ...], Field(description="of the year; the same for all rows")]
    bands: tuple[str, ...]
    clear: Annotated[float, Field(description="share of rows and dates that are clear")]
    empty: Annotated[int, Field(description="rows without a clear date")]
    classes: Annotated[dict[str, int], Field(description="rows by label")]
    unlabelled: int
    cells: int
    synthetic: bool
    notes: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """What a person looks for, and what has to be known of it."""
        if self.synthetic:
            yield "Synthetic data: what grows there was simulated."
        kind = "parcels" if self.parcels else "points"
        span = f", days {self.days[0]} to {self.days[-1]} of {self.year}" if self.days else ""
        yield f"table      {self.table}"
        yield f"rows       {self.rows:,} {kind}, {len(self.bands)} bands"
        yield f"dates      {len(self.days)}{span}; {100 * self.clear:.1f} % of rows and dates are clear"
        listed = ", ".join(
            f"{name} {count:,}" for name, count in sorted(self.classes.items(), key=lambda kept: -kept[1])
        )
        unlabelled = f"{self.unlabelled:,} without a label" if self.unlabelled else ""
        yield f"classes    {'; '.join(filter(None, [listed, unlabelled]))}"
        if self.empty:
            yield f"{self.empty:,} rows have no clear date: nothing was read of them."
        yield from self.notes
