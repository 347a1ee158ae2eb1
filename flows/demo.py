"""The demonstration: a synthetic archive, and a request for all of it, in a folder and a store of their own."""

from __future__ import annotations

from pathlib import Path

from catalog.mission.embedded import make_archive
from catalog.store import write_json
from flows.request import MapRequest, check_request
from flows.settings import Settings

YEAR = 2019
MONTHS = [1, 7]


def prepare_demo(folder: Path, settings: Settings, size: int = 256) -> tuple[MapRequest, Settings]:
    """Write the archive and ``aoi.json`` into a folder. Returns the request and the settings that keep it apart.

    ``size``: edge of the landscape, pixels. Raises what `check_request` raises.
    """
    folder = folder.resolve()
    archive = make_archive(folder / "archive", year=YEAR, size=size)
    parameters = {
        "area": archive.area,
        "year": YEAR,
        "months": MONTHS,
        "source": f"stac:{archive.catalog}",
        "labels": str(archive.labels),
        "legend": str(archive.legend),
        "training": "quick",
        "output": str(folder / "delivery"),
    }
    write_json(folder / "aoi.json", parameters)
    apart = settings.model_copy(update={"store": str(folder / "store"), "cubes": None})
    return check_request(parameters, folder, apart), apart
