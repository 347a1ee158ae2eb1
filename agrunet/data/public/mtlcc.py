"""Munich (MTLCC; Rußwurm and Körner, 2018): converted once from its TFRecords into a folder of training patches.

The source holds `480/` (48 px) or `240/` (24 px), with `data16/`, `data17/` and `tileids/` in each. `python -m agrunet convert-munich`
is its command.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from agrunet.data.folder import HEADER, patch_file, write_folder_header, write_patch
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.legend import legend_of
from agrunet.data.patches import Patch
from agrunet.data.public.mtlcc_folds import read_folds
from agrunet.data.public.mtlcc_record import ALL_BANDS, CROPS, UNKNOWN_ID, read_tile
from agrunet.data.season import season_of
from agrunet.errors import AgrunetError
from agrunet.files import write_whole
from agrunet.json_text import read_model
from agrunet.settings import Frozen, first_problem

_LOG = logging.getLogger(__name__)

BANDS = ("B02", "B03", "B04", "B08", "B10", "B11", "B12")
"""Bands of the talk."""

PLAN = "conversion.json"
"""File that notes what a folder is being converted from, so that a conversion that was cut off can go on."""

_SUFFIX = ".tfrecord.gz"

ConversionProgress = Callable[[int, int], None]
"""Function that is called with the number of patches that are done and how many there are."""


class Conversion(Frozen):
    """Settings of a conversion. The defaults are the talk's: 7 bands, 17 crops and background, 5 folds."""

    size: Annotated[Literal[24, 48], Field(description="edge of a tile, pixels of 10 m")] = 48
    years: Annotated[
        tuple[Annotated[str, Field(pattern=r"^\d\d$")], ...],
        Field(min_length=1, description="folders data16 and data17, by their number"),
    ] = ("16", "17")
    months: Annotated[
        tuple[int, int] | None, Field(description="only dates of these, first and last; None for the whole year")
    ] = None
    bands: Annotated[tuple[str, ...], Field(min_length=1, description="and their order; all 13 are there")] = BANDS
    unknown: Annotated[
        Literal["background", "ignore"],
        Field(description="id 0, what is no declared field: the class of index 0 as in the talk, or no label at all"),
    ] = "background"
    folds: Annotated[int, Field(ge=1, description="to deal the tiles into; evaluation tiles come after them")] = 5


class _Plan(Frozen):
    conversion: Conversion
    tiles: Annotated[tuple[tuple[str, int], ...], Field(description="``16/123`` for tile 123 of 2016, and its fold")]


def convert(
    source: Path,
    output: Path,
    *,
    size: int = 48,
    years: Sequence[str] = ("16", "17"),
    months: tuple[int, int] | None = None,
    bands: Sequence[str] = BANDS,
    unknown: str = "background",
    folds: int = 5,
    progress: ConversionProgress | None = None,
) -> FolderHeader:
    """Write every listed tile that is there as a patch into ``output``, and the header last; give the header.

    A conversion that was cut off goes on where it stopped when called again. Bands of 20 and 60 m are repeated to 10 m (nearest);
    days count from the first of the season's first month; of several acquisitions of one day the first is kept. ``header.folds``:
    1 … ``folds``, and ``folds`` + 1 for the authors' evaluation tiles, which cross-validation leaves alone (see
    `agrunet.data.public.mtlcc_folds.read_folds`); these are of the split "test-fold", all others of "train".

    Raises `AgrunetError` for settings that make no sense, a source that isn't of this layout, a damaged record (naming its file;
    all before it stay done), a tile without a date in the months, or an output that holds something else.
    """
    conversion = _checked(
        size=size, years=tuple(years), months=months, bands=tuple(bands), unknown=unknown, folds=folds
    )
    root = source / f"{size * 10}"
    fold_of = read_folds(root / "tileids", folds)
    tiles = _tiles(root, conversion, fold_of)
    _begin(output, _Plan(conversion=conversion, tiles=tiles))
    for index, (tile, fold) in enumerate(tiles):
        if not patch_file(output, index).is_file():
            patch = _patch(root / f"data{tile}{_SUFFIX}", int(f"20{tile.split('/')[0]}"), conversion)
            use = SPLITS["train" if fold <= folds else "test-fold"]
            write_patch(output, index, patch, np.full((size, size), use, dtype=np.uint8))
        if progress is not None:
            progress(index + 1, len(tiles))
    header = _header(conversion, tuple(fold for _, fold in tiles))
    write_folder_header(output, header)
    return header


def _checked(**settings: object) -> Conversion:
    try:
        conversion = Conversion.model_validate(settings)
    except ValidationError as error:
        raise AgrunetError(f"{first_problem(error)}, got {error.errors()[0]['input']!r}.") from error
    strange = [band for band in conversion.bands if band not in ALL_BANDS]
    if strange or len(set(conversion.bands)) < len(conversion.bands):
        raise AgrunetError(f"bands {', '.join(conversion.bands)}; choose each once from {', '.join(ALL_BANDS)}.")
    if len(set(conversion.years)) < len(conversion.years):
        raise AgrunetError(f"years {', '.join(conversion.years)}; give each once.")
    months = conversion.months
    if months is not None:
        season_of(months, date(2016, 1, 1))
        if months[0] > months[1]:
            raise AgrunetError(
                f"months {months[0]} to {months[1]} run over the turn of the year, Munich's tiles don't. Choose others."
            )
    return conversion


def _tiles(root: Path, conversion: Conversion, fold_of: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """Find the tiles that are both listed and there, by year and number; tiles in no list are of no fold and stay out."""
    tiles: list[tuple[str, int]] = []
    for year in conversion.years:
        names = [path.name.removesuffix(_SUFFIX) for path in (root / f"data{year}").glob(f"*{_SUFFIX}")]
        listed = sorted((name for name in names if name in fold_of), key=lambda name: (len(name), name))
        if not listed:
            raise AgrunetError(
                f"{root / f'data{year}'}: {len(names)} files *{_SUFFIX}, none of a listed tile. "
                "Give the folder that holds 240/ and 480/, or other years."
            )
        _LOG.info("20%s: %d tiles, %d more in no list", year, len(listed), len(names) - len(listed))
        tiles += [(f"{year}/{name}", fold_of[name]) for name in listed]
    return tuple(tiles)


def _begin(output: Path, plan: _Plan) -> None:
    """Note what is converted; keep the patches of an earlier start that are the same, from the first to where the tiles differ."""
    path = output / PLAN
    if not path.is_file():
        if next(output.glob("*.npz"), None) is not None or (output / HEADER).exists():
            raise AgrunetError(f"{output} holds other patches. Give an empty folder.")
        write_whole(path, plan.model_dump_json() + "\n")
        return
    earlier = read_model(path, _Plan, lambda why: AgrunetError(f"{path}{why}. Give an empty folder."))
    if earlier.conversion != plan.conversion:
        raise AgrunetError(f"{output} holds a conversion with other settings, see {PLAN}. Give an empty folder.")
    if earlier.tiles == plan.tiles:
        return
    # Tiles were deleted or added since: the numbers after the first difference are of other tiles now.
    same = next(
        (at for at, (old, new) in enumerate(zip(earlier.tiles, plan.tiles, strict=False)) if old != new),
        min(len(earlier.tiles), len(plan.tiles)),
    )
    (output / HEADER).unlink(missing_ok=True)
    for index in range(same, len(earlier.tiles)):
        patch_file(output, index).unlink(missing_ok=True)
    write_whole(path, plan.model_dump_json() + "\n")


def _patch(path: Path, year: int, conversion: Conversion) -> Patch:
    tile = read_tile(path, conversion.size, conversion.bands)
    # The year is that of the folder: the one in the records is wrong.
    dates = np.datetime64(f"{year}-01-01", "D") + (tile.day_of_year - 1)
    positions, days = season_of(conversion.months or (1, 12), date(year, 1, 1)).select(dates)
    if not len(positions):
        raise AgrunetError(
            f"{path}: none of its {len(dates)} dates is in months {conversion.months}. Choose more months."
        )
    values = tile.values[positions]
    # No cloud masks; a pixel that is 0 in every band was not seen on that date.
    return Patch(values, (values != 0).any(axis=1), days, _labels(tile.ids, conversion))


def _labels(ids: npt.NDArray[np.int64], conversion: Conversion) -> npt.NDArray[np.int16]:
    first = 1 if conversion.unknown == "background" else 0
    index_of = np.full(max(CROPS) + 1, -1, dtype=np.int16)
    index_of[list(CROPS)] = np.arange(first, first + len(CROPS))
    index_of[UNKNOWN_ID] = first - 1
    return index_of[ids]


def _header(conversion: Conversion, folds: tuple[int, ...]) -> FolderHeader:
    unknown = (UNKNOWN_ID, conversion.unknown)
    background = unknown if conversion.unknown == "background" else None
    return FolderHeader(
        count=len(folds),
        patch_size=conversion.size,
        bands=conversion.bands,
        classes=(() if background is None else ("background",)) + tuple(CROPS.values()),
        legend=legend_of(CROPS, background=background, ignored=(UNKNOWN_ID, "unknown") if background is None else None),
        level="L1C",
        years=tuple(int(f"20{year}") for year in sorted(conversion.years)),
        months=conversion.months or (1, 12),
        synthetic=False,
        min_clear=0.5,
        min_acquisitions=1,
        folds=folds,
        hold_out=f"folds 1 to {conversion.folds} of whole blocks; fold {conversion.folds + 1} is the authors' evaluation area",
    )
