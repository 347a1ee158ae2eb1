"""A table of simulated series of the farmed world, in the layout of `agrunet.data.series_table`. **All of it is synthetic.**

Each place lies somewhere else in the regions of `training_patches`, or in one of them, and is farmed as it is there; its series are
ten-day composites, monthly ones or single dates, with gaps. Rows of one place share its weather: they are held out together by `field`,
which names the place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from agrunet.data.series_table import SeriesMetadata, SeriesTable, write_series
from catalog.errors import RequestError, StoreError
from catalog.products import CROP_BANDS, Frozen
from processors.simulation.land.crops import CROPS
from processors.simulation.land.fits import ALL, fitted_crops
from processors.simulation.land.rotation import FARMING
from processors.simulation.mission.granule import NOTICE
from processors.simulation.mission.mission import VERSION
from processors.simulation.noise.seeded import keys
from processors.simulation.series import Place, simulate
from processors.simulation.training_patches import REGIONS, WORLD, YEAR

FIELDS = 25
"""Series of a place."""

Timing = Literal["ten-day", "monthly", "dates", "mixed"]


class SeriesSettings(Frozen):
    """Settings of a table; the same ones make the same table."""

    count: Annotated[int, Field(ge=FIELDS, le=1_000_000, description="number of series")]
    months: Annotated[
        tuple[Annotated[int, Field(ge=1, le=12)], Annotated[int, Field(ge=1, le=12)]],
        Field(description="first and last month of the dates, of one year"),
    ] = (1, 12)
    seed: Annotated[int, Field(ge=0, lt=10**9)] = 0
    farming: Annotated[str, Field(description="where places lie and what is grown there")] = WORLD
    timing: Annotated[Timing, Field(description="composites of ten days, of months, single dates, or each in turn")] = (
        "mixed"
    )
    fit: Annotated[str, Field(description="fit of the crops to real regions")] = ALL

    @field_validator("months")
    @classmethod
    def _in_one_year(cls, months: tuple[int, int]) -> tuple[int, int]:
        if months[0] > months[1]:
            raise ValueError(f"series lie in one year; months {months[0]} to {months[1]} don't")
        return months

    @field_validator("farming")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (WORLD, *FARMING):
            raise ValueError(f"one of {', '.join((WORLD, *FARMING))}, not {value!r}")
        return value


def write_training_series(file: Path, settings: SeriesSettings) -> dict[str, int]:
    """Write the table, whole or not at all; series by name of the crop. Raises `RequestError` or `StoreError`."""
    if file.suffix != ".parquet":
        raise RequestError(f"{file} doesn't end in .parquet, as tables of series do. Name such a file.")
    table = training_series(settings)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"can't make {file.parent} ({error}). Name another file.") from error
    write_series(file, table)
    names, counts = np.unique([label or "" for label in table.labels], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def training_series(settings: SeriesSettings) -> SeriesTable:
    """The table."""
    crops = fitted_crops(settings.fit)
    longitude, latitude, label, code, place_of, days, values, lengths = [], [], [], [], [], [], [], []
    places = -(-settings.count // FIELDS)
    for number in range(places):
        seed = int(keys(settings.seed, number, 0x5E7A)) % 10**9
        random = np.random.default_rng([seed, 0x91ACE])
        farming = _farming(settings.farming, random)
        west, south, east, north = REGIONS.get(farming, REGIONS["france"])[1]
        place = Place(float(random.uniform(west, east)), float(random.uniform(south, north)), seed)
        dates, window = _dates(settings, number, random)
        fields = min(FIELDS, settings.count - number * FIELDS)
        made = simulate([place], _shares(farming), fields, dates, YEAR, crops=crops, window=window, gaps=0.5)
        longitude += [place.longitude] * fields
        latitude += [place.latitude] * fields
        label += [CROPS[int(crop)].name for crop in made.crop]
        code += [int(crop) for crop in made.crop]
        place_of += [f"place-{number}"] * fields
        lengths += [len(dates)] * fields
        days.append(np.tile(np.array(dates, np.int16), fields))
        values.append(made.values.reshape(-1, len(CROP_BANDS)))
    count = len(label)
    return SeriesTable(
        ids=tuple(str(number) for number in range(count)),
        lon=np.array(longitude), lat=np.array(latitude), year=np.full(count, YEAR), labels=tuple(label),
        bands=CROP_BANDS, offsets=np.concatenate([[0], np.cumsum(lengths)]), days=np.concatenate(days),
        values=np.concatenate(values), codes=tuple(code), fields=tuple(place_of),
        metadata=SeriesMetadata(
            months=settings.months, synthetic=True, source=f"cropline simulate series, version {VERSION}. {NOTICE}",
            made_from=settings.model_dump(mode="json"),
        ),
    )  # fmt: skip


def _farming(farming: str, random: np.random.Generator) -> str:
    if farming != WORLD:
        return farming
    shares = np.array([share for share, _ in REGIONS.values()])
    return str(random.choice(list(REGIONS), p=shares / shares.sum()))


def _shares(farming: str) -> dict[int, float]:
    """Share of each crop: the square root of what is grown, so that rare ones are seen."""
    grown: dict[int, float] = {}
    for share, sequence in FARMING[farming]:
        for code in sequence:
            grown[code] = grown.get(code, 0.0) + share / len(sequence)
    return {code: share**0.5 for code, share in grown.items()}


def _dates(settings: SeriesSettings, number: int, random: np.random.Generator) -> tuple[list[int], int]:
    """Days of the year, and how many days a value is made of."""
    turns: dict[str, tuple[str, ...]] = {"mixed": ("ten-day", "dates", "monthly")}
    turn = turns.get(settings.timing, (settings.timing,))
    timing = turn[number % len(turn)]
    first = round(30.44 * (settings.months[0] - 1)) + 1
    last = min(round(30.44 * settings.months[1]), 365)
    if timing == "ten-day":
        return [day + 4 for day in range(first, last - 3, 10)], 10
    if timing == "monthly":
        return [round(30.44 * (month - 0.5)) for month in range(settings.months[0], settings.months[1] + 1)], 30
    days: npt.NDArray[np.int64] = np.arange(first + int(random.integers(5)), last + 1, 5)
    kept = random.uniform(size=len(days)) < random.uniform(0.35, 0.9)
    kept[random.permutation(len(days))[:4]] = True
    return [int(day) for day in days[kept]], 0
