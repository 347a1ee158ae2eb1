"""Series of crops simulated as a request sees its area: there, on its dates, as often clear. **All of them are synthetic.**

A classifier that learns from them maps an area of which no label is known. What it is told of the area is where it lies, when it was
seen and which crops may grow there; how they grow is what the land was fitted to elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from agrunet.data.series_table import SeriesMetadata, SeriesTable
from agrunet.training.class_matching import NamedClasses, single_meanings
from catalog.area import Area
from catalog.errors import RequestError
from catalog.legend import Legend, LegendClass
from catalog.products import CROP_BANDS
from processors.simulation.land.crops import CROPS, is_crop
from processors.simulation.land.fits import ALL, fitted_crops
from processors.simulation.mission.granule import NOTICE
from processors.simulation.mission.mission import VERSION
from processors.simulation.series import Place, simulate
from processors.thematic.crop_weights import weights_of

PLACES, FIELDS = 150, 50
"""Places in the area, each with a weather and customs of its own, and fields of each."""

LEVEL = "L2A"

FOREST = MappingProxyType(
    {"kind": "forest", "trees": 400, "least_leaf": 3, "balanced": True, "differences": "half", "thresholds": "random"}
)
"""Settings of the forest that learns from them: what did best on real fields of other places (`scoring.transfer`)."""

MEASURED = (
    "Models made so for other places, by a land that was fitted without them, reached an overall accuracy of 0.90 in Arkansas (maize, "
    "soybean), 0.70 in California (grapes, alfalfa, orchards) and 0.48 in western Canada (five crops), and a mean IoU of 0.65 on fields "
    "of six crops in Flanders."
)

LEGEND = Legend(
    entries=tuple(
        LegendClass(value=code, name=crop.name, colour=crop.colour, source_codes=(code,), hcat=crop.hcat)
        for code, crop in CROPS.items()
        if is_crop(code)
    )
)
"""The crops that can be simulated."""


class _Crops(NamedTuple):
    """A legend's crops as classes that others can be matched with."""

    classes: tuple[str, ...]
    legend: list[dict[str, Any]]
    background: None = None


_KNOWN = _Crops(
    tuple(entry.name for entry in LEGEND.mapped), [entry.model_dump(mode="json") for entry in LEGEND.mapped]
)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """Place without labels, as a season sees it."""

    points: npt.NDArray[np.float64]
    """(N, 2): longitudes and latitudes in it, among which those that are simulated are drawn."""
    year: int
    months: tuple[int, int]
    days: Sequence[int]
    """Days of its acquisitions, rising; 1 is 1 January of the year, what lies before has 0 and less."""
    clear: Sequence[float]
    """Part of it that is clear on each."""
    bands: tuple[str, ...]
    window: int = 0
    """Days that a composite is made of, 0 for acquisitions."""
    min_clear: float = 0.0
    min_acquisitions: int = 1


def sight_of(
    area: Area, year: int, months: tuple[int, int], looks: Iterable[tuple[date, float]], bands: tuple[str, ...]
) -> Sight:
    """An area as acquisitions see it: ``looks`` are their days and the parts of it that are clear, of several on a day the clearest."""
    clear: dict[int, float] = {}
    for day, part in looks:
        number = (day - date(year, 1, 1)).days + 1
        clear[number] = max(part, clear.get(number, 0.0))
    days = sorted(clear)
    return Sight(_points(area, PLACES), year, months, days, [clear[day] for day in days], bands)


def crops_named(crops: Mapping[str, float]) -> tuple[LegendClass, ...]:
    """The crops that a request names, by names or HCAT codes. Raises `RequestError` where they aren't two that can be simulated."""
    weights = weights_of(LEGEND, crops)
    if weights is None:
        raise RequestError(
            "crops: missing. A model is simulated for the crops that may grow in the area: name them, of "
            f"{', '.join(entry.name for entry in LEGEND.entries)}."
        )
    named = tuple(entry for entry, weight in zip(LEGEND.mapped, weights.tolist(), strict=True) if weight)
    if len(named) < 2:
        raise RequestError(f"crops: {named[0].name} alone leaves nothing to tell apart. Name two crops or more.")
    return named


def crops_meant(labels: NamedClasses) -> tuple[LegendClass, ...]:
    """The crops that one of the classes of labels means alone, by HCAT codes or names; none where none can be simulated."""
    return tuple(LEGEND.mapped[crop] for crop in sorted(single_meanings(labels, _KNOWN)))


def place_series(sight: Sight, crops: Sequence[LegendClass], fit: str = ALL, seed: int = 0) -> SeriesTable:
    """Series of these crops, each as often, as a table to learn from; several codes of one crop are its kinds.

    The same sight gives the same table. Raises `RequestError` for bands that can't be simulated.
    """
    if missing := [band for band in sight.bands if band not in CROP_BANDS]:
        raise RequestError(
            f"bands: {', '.join(missing)} can't be simulated as series; there are {', '.join(CROP_BANDS)}."
        )
    random = np.random.default_rng([seed, 0x91ACE])
    drawn = sight.points[random.integers(0, len(sight.points), PLACES)]
    places = [Place(float(x), float(y), 1000 * seed + number) for number, (x, y) in enumerate(drawn)]
    share = {code: 1 / len(crop.source_codes) for crop in crops for code in crop.source_codes}
    made = simulate(
        places, share, FIELDS, sight.days, sight.year, crops=fitted_crops(fit), window=sight.window, gaps=0.0
    )
    seen = random.uniform(size=made.values.shape[:2]) < np.array(sight.clear)
    values = np.where(seen[..., None], made.values[..., [CROP_BANDS.index(band) for band in sight.bands]], 0)
    count, dates, bands = values.shape
    name = {code: crop.name for crop in crops for code in crop.source_codes}
    return SeriesTable(
        ids=tuple(str(number) for number in range(count)), lon=drawn[made.place, 0], lat=drawn[made.place, 1],
        year=np.full(count, sight.year), labels=tuple(name[int(code)] for code in made.crop),
        bands=sight.bands, offsets=np.arange(count + 1) * dates, days=np.tile(made.days.astype(np.int16), count),
        values=values.reshape(-1, bands), codes=tuple(int(code) for code in made.crop),
        fields=tuple(f"place-{number}" for number in made.place),
        metadata=SeriesMetadata(
            level=LEVEL, months=sight.months, min_clear=sight.min_clear, min_acquisitions=sight.min_acquisitions,
            synthetic=True, measured=MEASURED,
            source=f"simulated for a place and its dates, version {VERSION}. {NOTICE}",
            legend=[crop.model_dump(mode="json", exclude_none=True) for crop in crops],
        ),
    )  # fmt: skip


def _points(area: Area, count: int) -> npt.NDArray[np.float64]:
    """(count, 2): longitudes and latitudes in an area, at random; in the middle where it is too slender to be hit."""
    random = np.random.default_rng(0)
    west, south, east, north = area.bounds
    drawn = random.uniform((west, south), (east, north), (100 * count, 2))
    inside = drawn[shapely.contains_xy(area, drawn)]
    middle = area.representative_point()
    return np.concatenate([inside, np.tile([middle.x, middle.y], (count, 1))])[:count]
