"""Declaration of a processor: what it delivers, from what, how well, and where it may run. How fast it is, is measured as it runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from catalog.guards.numbers import Name, Sentence
from catalog.products import LEVEL_BANDS, Frozen, Level
from catalog.scores import Score


class Declaration(Frozen):
    """What a processor's class attribute ``declares`` says, before any is made."""

    product: Annotated[
        Name, Field(description="what it delivers; processors of one product may stand in for one another")
    ]
    levels: Annotated[tuple[Level, ...], Field(min_length=1, description="levels of the products that it takes")] = (
        "L1C",
        "L2A",
    )
    bands: Annotated[
        tuple[str, ...], Field(description="bands that it needs; with a checkpoint, besides those of the checkpoint")
    ] = ()
    accuracy: Annotated[
        Score | None,
        Field(
            description="of what it delivers, with its evidence as the note; with a checkpoint, the checkpoint's own counts"
        ),
    ] = None
    evidence: Annotated[
        Sentence, Field(description="what has to be known of the accuracy of a checkpoint in this processor")
    ] = ""
    gpu: Annotated[bool, Field(description="whether it runs only where there is a GPU")] = False
    places: Annotated[tuple[Name, ...], Field(description="the work pools that it may run in; empty: any")] = ()

    def unfit(self, level: Level, bands: frozenset[str]) -> str:
        """Reason why it can't map products of a level with these bands; empty where it can."""
        if level not in self.levels:
            return f"takes {' and '.join(self.levels)}, not {level}"
        missing = [band for band in self.bands if band not in bands]
        absent = [band for band in missing if band not in LEVEL_BANDS[level]]
        if absent:
            return f"needs {', '.join(absent)}, which {level} doesn't have"
        return f"needs {', '.join(missing)}, which the products don't have" if missing else ""
