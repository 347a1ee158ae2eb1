"""Making of the views of a season over an area."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from catalog.grid import Window, clipped
from catalog.products import Level
from catalog.storage.store import Store
from processors.engine.batches import in_batches
from processors.engine.protocol import Engine
from processors.patches.cube_patches import CubePatches
from processors.rasters import Variable, raster_writer
from processors.season import Season
from processors.views.curves import CurveSums, squares_of_curves
from processors.views.declared import Declared
from processors.views.parcel_table import parcel_frame
from processors.views.parcels import NUMBERS, Map, Parcels, parcels_of
from processors.views.quicklooks import QuickLooks, squares_of_thumbnails
from processors.views.season_pass import (
    NDVI,
    TRUE_COLOR,
    Block,
    Recipe,
    block_views,
    blocks_of_season,
)
from processors.views.views import Views

SOUTHERN = 327
"""UTM zones of the southern hemisphere: EPSG 32701 to 32760."""

CLEAR_COUNT = "clear_count"
"""Variable of clear acquisitions per pixel."""


def make_views(
    store: Store,
    source_id: str,
    level: Level,
    season: Season,
    of_map: Map,
    folder: Path,
    engine: Engine,
    declared: Declared | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Views:
    """Make the views of a season and write their files into a folder.

    ``declared``: parcels that the request names; without them those of the map are outlined, where it has classes. ``progress`` is told
    (blocks done, blocks in all). The same files however many workers ``engine`` has. Raises `RewrittenError` where another run writes
    the season's dates anew, and `StoreError` where a file can't be written.
    """
    dates = season.own
    names, days = [seen.id for seen in dates], tuple(seen.time.date() for seen in dates)
    parcels, notes = parcels_of(of_map, declared, folder)
    windows = blocks_of_season(of_map.zone_area, of_map.window)
    bands = [band for band in sorted({*TRUE_COLOR, *NDVI}) if band in season.bands]
    colored, curved = (all(band in bands for band in needed) for needed in (TRUE_COLOR, NDVI))
    source = CubePatches(store, source_id, level, _own(season), windows, bands)
    ranks = ranks_of_true_color([seen.clear_fraction for seen in dates], days, of_map.window.epsg)
    recipe = Recipe(source, ranks, squares_of_curves(of_map.window), squares_of_thumbnails(of_map.window))
    sums = CurveSums(0 if parcels is None else parcels.count, recipe.squares, len(dates))
    looks = QuickLooks(folder, of_map.window, recipe.small, len(dates))
    counted = clear_count_variable(len(dates))
    path = folder / f"{CLEAR_COUNT}.tif"
    with raster_writer(path, counted, of_map.window) as writer, looks if colored else nullcontext():
        blocks = in_batches(engine, partial(block_views, recipe), _blocks(windows, of_map, parcels))
        for done, block in enumerate(blocks, start=1):
            clear = np.where(block.within, block.clear_count, counted.nodata).astype(counted.dtype)
            writer.write(block.part, clear[None])
            sums.add(block)
            if colored:
                looks.add(block)
            if progress is not None:
                progress(done, len(windows))
    picture, shown, thumbnails = looks.write(names) if colored else (None, (), {})
    table = None
    if parcels is not None:
        table = folder / "parcels.parquet"
        parcel_frame(parcels, sums, days, of_map.window.epsg).to_parquet(table, index=False)
    (folder / NUMBERS).unlink(missing_ok=True)
    return Views(
        true_color=picture,
        true_color_dates=shown,
        thumbnails=thumbnails,
        days=days,
        parcels=table,
        below={} if parcels is None else parcels.below,
        curves=sums.curves() if curved else None,
        declared=declared is not None,
        clear_count=path,
        clear_count_variable=counted,
        notes=notes,
    )


def ranks_of_true_color(clear_fractions: Sequence[float], days: Sequence[date], epsg: int) -> tuple[int, ...]:
    """Numbers of the dates, the best for a picture first: the clearest, of those that are as clear to a tenth the nearest to midsummer.

    Then the sun is high and fields are green; the clearest date alone is often one of bare soil and long shadows.
    """

    def worth(number: int) -> tuple[int, int]:
        ahead = (days[number] - date(days[number].year, 12 if epsg // 100 == SOUTHERN else 6, 21)).days % 365
        return -round(10 * clear_fractions[number]), min(ahead, 365 - ahead)

    return tuple(sorted(range(len(days)), key=worth))


def clear_count_variable(dates: int) -> Variable:
    """The raster of how many of so many acquisitions are clear at each pixel."""
    small = dates < 255
    return Variable(
        name=CLEAR_COUNT,
        title="Acquisitions used that are clear",
        dtype="uint8" if small else "uint16",
        nodata=255 if small else 65535,
        unit="acquisitions",
        limits=(0.0, float(max(1, dates))),
    )


def _own(season: Season) -> Season:
    """The season without the years that it is compared with."""
    return season.model_copy(
        update={"acquisitions": tuple(seen for seen in season.acquisitions if not seen.of_other_year)}
    )


def _blocks(windows: Sequence[Window], of_map: Map, parcels: Parcels | None) -> Iterator[Block]:
    for index, window in enumerate(windows):
        part = window.intersection(of_map.window)
        if part is not None:
            numbers = () if parcels is None else parcels.layers.read(part)
            yield Block(index, part, clipped(of_map.zone_area, part), numbers)
