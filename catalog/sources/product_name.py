"""The facts that stand in the name of a product."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalog.baseline import normal_baseline
from catalog.products import UNKNOWN, Level

# S2A_MSIL2A_20230815T095031_N0509_R079_T33TWM_20230815T155057.SAFE; the Planetary Computer's ids leave out the baseline.
COMPACT = re.compile(
    r"(?P<platform>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<start>\d{8}T\d{6})(?:_N(?P<baseline>\d{4}))?"
    r"_R(?P<orbit>\d{3})_T(?P<tile>\d{2}[C-X][A-Z]{2})_(?P<generated>\d{8}T\d{6})"
)
# S2A_OPER_PRD_MSIL1C_PDMC_20160504T175001_R079_V20160503T101033_20160503T101512.SAFE: until December 2016, several granules.
_LONG = re.compile(
    r"(?P<platform>S2[A-D])_(?:OPER|USER)_PRD_MSI(?P<level>L1C|L2A)_\w{4}_(?P<generated>\d{8}T\d{6})"
    r"_R(?P<orbit>\d{3})_V(?P<start>\d{8}T\d{6})_(?P<end>\d{8}T\d{6})"
)

LONGEST_DATATAKE = timedelta(minutes=40)
"""From a datatake's start, which names tell, to the sensing of its last granule; real ones end after 15 minutes or so."""


@dataclass(frozen=True, slots=True)
class ProductName:
    """The parts of a product's name."""

    name: str
    """Without ``.SAFE`` and ``.zip``."""
    level: Level
    platform: str
    start: datetime
    """The start of the datatake, or of the product's part of it."""
    end: datetime
    """No granule of it was sensed later."""
    generated: datetime
    relative_orbit: str
    tile: str = UNKNOWN
    """The tile, where the name is one of the compact ones since December 2016."""
    baseline: str = UNKNOWN


def parse_name(name: str) -> ProductName | None:
    """The parts of ``S2A_MSIL1C_….SAFE``, ``….SAFE.zip`` or ``….zip``; None where it is no product's name."""
    stem = name.removesuffix(".zip").removesuffix(".SAFE")
    match = COMPACT.fullmatch(stem) or _LONG.fullmatch(stem)
    if match is None:
        return None
    parts = match.groupdict()
    try:
        start, last, generated = (
            datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            for text in (parts["start"], parts.get("end") or parts["start"], parts["generated"])
        )
    except ValueError:
        return None
    return ProductName(
        name=stem,
        level="L1C" if parts["level"] == "L1C" else "L2A",
        platform=parts["platform"],
        start=start,
        end=last + LONGEST_DATATAKE,
        generated=generated,
        relative_orbit=f"R{parts['orbit']}",
        tile=parts.get("tile") or UNKNOWN,
        baseline=normal_baseline(parts.get("baseline")),
    )
