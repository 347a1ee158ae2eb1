"""One stage of a run as a process of its own, without Prefect: `stage_process.py STAGE RUN FOLDER`.

RUN is the folder of a finished run, which says what to do; everything is written below FOLDER.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from catalog.area import parse_area
from catalog.grid import cells_meeting, to_zone, utm_zone, window_around
from catalog.products import Order
from catalog.season_state import SeasonState
from catalog.storage.store import open_store
from processors.delivery.deliver import deliver
from processors.delivery.provenance import DeliveryFacts
from processors.engine.opening import open_engine
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.mosaic import mosaic
from processors.patches.cube_patches import CubePatches, cover
from processors.season import Season
from processors.thematic.protocol import Job
from processors.thematic.registry import make_processor
from processors.thematic.runner import run_processor


def main(stage: str, run: Path, folder: Path) -> None:
    request = json.loads((run / "request.json").read_text())
    order = Order.model_validate_json((run / "order.json").read_text())
    season = Season.model_validate_json((run / "season.json").read_text())
    job = Job.model_validate_json((run / "job.json").read_text())
    area = parse_area(request["area"])
    epsg = utm_zone(area.centroid.x, area.centroid.y)
    zone_area = to_zone(area, epsg)
    window, cells = window_around(zone_area, epsg), cells_meeting(zone_area, epsg)
    store = open_store(str(folder / "store"))
    processor = make_processor("crop-map", job)
    windows = cover(window, processor.grid)
    names = [variable.name for variable in processor.variables]
    rasters = {name: folder / "mosaic" / f"{name}.tif" for name in names}
    match stage:
        case "ingest":
            extend_cells(store, order, cells)
            for acquisition in order.acquisitions:
                ingest_acquisition(store, order, acquisition.id, cells, order.source)
        case "mask":
            for acquisition in order.acquisitions:
                mask_acquisition(store, order, acquisition.id, cells)
        case "thematic":
            patches = CubePatches(store, order.source_id, order.level, season, windows, processor.bands)
            run_processor("crop-map", job, patches, folder / "results.zarr")
        case "mosaic":
            (folder / "mosaic").mkdir(exist_ok=True)
            with open_engine("threads", 2) as engine:
                mosaic("crop-map", job, windows, folder / "results.zarr", area, window, folder / "mosaic", engine)
        case "deliver":
            facts = DeliveryFacts(
                request=request,
                request_digest=run.name,
                processor="crop-map",
                processor_title=processor.title,
                processor_version=processor.version,
                software_version="test",
                source=order.source,
                source_id=order.source_id,
                level=order.level,
                synthetic=order.synthetic,
                year=request["year"],
                period=(order.start, order.end),
                state=SeasonState.of(request["year"], tuple(request["months"]), datetime.now(UTC)),
                season=season,
                left_out=order.left_out,
                epsg=epsg,
                area=request["area"],
                created=datetime.now(UTC),
            )
            deliver(folder / "map", rasters, processor.variables, facts)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
