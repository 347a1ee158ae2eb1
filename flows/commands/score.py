"""`cropline score`: a delivery made from the simulated mission beside what was simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from catalog.errors import DeliveryError
from catalog.grid import Window
from catalog.guards.paths import user_path
from catalog.guards.rasters import open_raster
from catalog.legend import MAP_NO_DATA
from catalog.orbits.tiles import Tile
from catalog.products import Order
from catalog.storage.pixels import DRIVERS
from catalog.storage.whole import write_json
from catalog.zone import Zone
from flows.request import MapRequest
from flows.run_folder import RunFolder
from flows.settings import Settings
from processors.delivery.delivered_map import read_item
from processors.simulation.scoring.crop_scores import CropCounts
from processors.simulation.scoring.picture import draw_truth
from processors.simulation.scoring.scores import MaskScore, NdviError, TruthScores, score_delivery
from processors.simulation.source import MissionSource

SCORES, PICTURE = "truth.json", "truth.png"
"""Files that are put beside the delivery's."""

MAP = "crop_map.tif"


@dataclass(frozen=True)
class Scored:
    """Scores of a delivery, and the files that hold them."""

    scores: TruthScores
    files: tuple[Path, Path]


def score(folder: Path, settings: Settings, progress: Callable[[int, int], None]) -> Scored:
    """Compare a delivery of this store with the mission's truth; write `truth.json` and `truth.png` beside it.

    Raises `DeliveryError` where the folder is no delivery, or wasn't made from a mission.
    """
    folder = user_path(folder, lambda why: DeliveryError(f"{why}. Name the folder of a delivery."))
    item = read_item(folder)
    properties, classes = item.properties, item.legend
    kind, _, address = str(properties["cropline:source"]).partition(":")
    if kind != "mission":
        raise DeliveryError(
            f"{folder} was made from {kind}:{address}, of which no truth is known. Score deliveries of mission: sources."
        )
    source = MissionSource(address)
    if source.id != properties["cropline:source_id"]:
        raise DeliveryError(f"{folder} was made by another version of the simulated mission. Make it again.")
    request = MapRequest.model_validate(properties["cropline:request"])
    zone = Zone.of(request.polygon)
    store = settings.open_store(create=False)
    run = RunFolder.of(store, request.digest)
    if not run.order.is_file():
        raise DeliveryError(f"{folder} was not made by the store {store.root}. Name its store in CROPLINE_STORE.")
    order = run.read_order()
    map_file = folder / MAP
    crops = None if classes is None else CropCounts(classes, zone.window, masked=request.crop_mask is not None)

    def read_map(window: Window) -> npt.NDArray[np.uint8]:
        values = np.full(window.shape, MAP_NO_DATA, np.uint8)
        with open_raster(
            map_file, lambda why: DeliveryError(f"{map_file} can't be read: {why}. Make it again."), DRIVERS
        ) as raster:
            row, column = raster.index(window.bounds[0] + 5, window.bounds[3] - 5)
            whole = Window(window.epsg, window.left - column, window.top + row, raster.width, raster.height)
            part = whole.intersection(window)
            if part is not None:
                rows, columns = whole.slices(part)
                values[window.slices(part)] = raster.read(1, window=(rows, columns))
        return values

    scores = score_delivery(
        source.mission,
        order,
        store,
        request.polygon,
        zone.epsg,
        _harvest(source, order, request.year),
        crops=crops,
        read_map=None if crops is None else read_map,
        progress=progress,
    )
    # Old scores never lie beside a new picture.
    (folder / SCORES).unlink(missing_ok=True)
    draw_truth(folder / PICTURE, scores, crops)
    write_json(folder / SCORES, scores.model_dump(mode="json"))
    return Scored(scores, (folder / SCORES, folder / PICTURE))


def _harvest(source: MissionSource, order: Order, year: int) -> int:
    """The year that the land counts the season's harvest to: south of the equator it runs from July on."""
    climate = source.mission.land(Tile.from_name(order.acquisitions[0].products[0].tile)).climate
    if climate.latitude >= 0:
        return year
    return climate.season_day((order.start + (order.end - order.start) / 2).date()).year


def show(scores: TruthScores, console: Console) -> None:
    """Print what counts, as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("against what was simulated", "", "", ""):
        table.add_column(name)
    _mask_rows(table, scores.mask)
    if scores.ndvi is not None:
        for name, error in (
            ("NDVI where clear by the mask", scores.ndvi.masked),
            ("NDVI where clear in truth", scores.ndvi.perfect),
            ("NDVI everywhere", scores.ndvi.unmasked),
        ):
            table.add_row(name, *_ndvi_cells(error))
    if scores.crops is not None:
        for name, by_pixels in (("crop map", scores.crops.scores), ("crop map, kinds merged", scores.crops.merged)):
            for pixels in ("all", "pure"):
                accuracy = by_pixels[pixels]
                label = f"{name}, {'all pixels' if pixels == 'all' else 'inside fields'}"
                table.add_row(label, f"OA {accuracy.oa:.3f}", f"mIoU {accuracy.miou:.3f}", f"Dice {accuracy.dice:.3f}")
    console.print(table)


def _mask_rows(table: Table, mask: MaskScore) -> None:
    for name, rates in (("cloud mask, not clear", mask.not_clear), ("cloud mask, clear", mask.clear)):
        cells = (
            (label, getattr(rates, key))
            for label, key in (("F1", "f1"), ("precision", "precision"), ("recall", "recall"))
        )
        table.add_row(name, *(f"{label} {'none' if value is None else f'{value:.3f}'}" for label, value in cells))


def _ndvi_cells(error: NdviError) -> tuple[str, str, str]:
    if error.mean_absolute is None or error.bias is None:
        return "no pixel", "", ""
    return f"mean error {error.mean_absolute:.3f}", f"bias {error.bias:+.3f}", f"{error.n_pixels:,} pixels and dates"
