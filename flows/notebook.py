"""A map from Python: a request in, what was delivered out, as a notebook shows and works on it.

    from flows.notebook import map_area
    made = map_area({"area": "tile:31UES4520", "year": 2024, "source": "earth-search", "processor": "vegetation"})
    made                      # the map's picture and hectares, where the cell ends with it
    made.open("ndvi")         # xarray.DataArray (band, y, x) in the metres of the zone
    made.parcels              # geopandas.GeoDataFrame

Nothing heavy is imported before it is needed: not by importing this module, and arrays and tables not before they are asked for.
"""

from __future__ import annotations

import html
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import CroplineError, DeliveryError

if TYPE_CHECKING:
    import geopandas
    import xarray

    from flows.reporting.delivery import Delivery
    from flows.reporting.foreseen import Estimate

PARCELS, PICTURE, REPORT, HECTARES = "parcels.parquet", "overview.png", "report.html", "areas.csv"

_PROGRESS = re.compile(r"(?:store|[a-z]+): (?:waiting for |\d+/\d+|/|[A-Za-z]:)|[a-z]+: .*\(\d[\d.]* s\)$")
"""Lines of progress: what comes after the last of them is what went wrong."""

_ROWS = 25
"""Rows of the hectares that are shown."""


def map_area(request: Mapping[str, Any] | str | Path, *, replace: bool = False) -> MadeMap:
    """Make the map that a request asks for, and return what was delivered.

    ``request``: its parameters, or the path of their JSON file; relative paths start in the working folder. ``replace``: replace the
    delivery of another request in the output folder. What is there already is not done again: the same call goes on where another
    one stopped, and is quick where nothing is new. Progress goes to standard error. Raises `CroplineError` with what is wrong.
    """
    from catalog.guards.json_text import parse_model
    from catalog.storage.scratch import scratch_folder
    from flows.checked_request import check_request
    from flows.reporting.delivery import Delivery
    from flows.settings import load_settings

    settings = load_settings()
    checked = check_request(_parameters(request, replace), settings.folder, settings)
    with scratch_folder("request") as folder:
        file = folder / "request.json"
        file.write_text(checked.model_dump_json(), encoding="utf-8")
        answer = _run(file)
    return MadeMap(parse_model(Delivery, answer, lambda why: CroplineError(f"the run's answer: {why}. Run it again.")))


def _run(file: Path) -> str:
    """The answer of `cropline run`, in a process of its own: Prefect's settings are those of a process, and a notebook's has its own loop.

    Raises `CroplineError` with what the command says where it fails. An interrupt ends the command, which says how to go on.
    """
    command = [sys.executable, "-c", "from flows.commands.entry import main; main()", "run", str(file), "--json"]
    told: list[str] = []
    with subprocess.Popen(  # noqa: S603 - this very program
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        answer: list[str] = []
        reader = threading.Thread(target=lambda: answer.extend(process.stdout or ()), daemon=True)
        reader.start()
        try:
            for line in process.stderr or ():
                told.append(line.rstrip())
                sys.stderr.write(line)
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        reader.join()
    if code != 0:
        steps = [number for number, line in enumerate(told, start=1) if _PROGRESS.match(line)]
        raise CroplineError("\n".join(told[max(steps, default=0) :]) or f"the run ended with exit code {code}.")
    return answer[-1] if answer else ""


def estimate_area(request: Mapping[str, Any] | str | Path) -> Estimate:
    """Tell what a request would read, cost and take; nothing is downloaded. Raises `CroplineError` with what is wrong."""
    from flows.checked_request import check_request
    from flows.estimate import estimate_request
    from flows.settings import load_settings

    settings = load_settings()
    return estimate_request(check_request(_parameters(request, False), settings.folder, settings), settings)


def _parameters(request: Mapping[str, Any] | str | Path, replace: bool) -> dict[str, Any]:
    from flows.request import read_parameters

    given = dict(request) if isinstance(request, Mapping) else read_parameters(Path(request))
    return given | ({"replace": True} if replace else {})


@dataclass(frozen=True, repr=False)
class MadeMap:
    """A delivered map."""

    delivery: Delivery
    """Files, scores, acquisitions, notes, and the seconds that each stage took."""

    @property
    def folder(self) -> Path:
        """Folder of the delivery."""
        return Path(self.delivery.delivery)

    @property
    def files(self) -> dict[str, Path]:
        """Paths by name in the delivery, such as ``crop_map.tif``."""
        return {Path(file).relative_to(self.folder).as_posix(): Path(file) for file in self.delivery.files}

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the rasters, which `open` takes."""
        return tuple(
            sorted(name.removesuffix(".tif") for name in self.files if name.endswith(".tif") and "/" not in name)
        )

    def open(self, variable: str) -> xarray.DataArray:
        """A raster of the delivery (band, y, x), its pixels' centres in the metres of its zone.

        Its attributes hold ``epsg`` and ``nodata``; its CF grid mapping ``spatial_ref`` is what rioxarray looks for. Raises
        `DeliveryError` where there is no such raster, or it can't be read.
        """
        path = self._file(f"{variable}.tif", f"Its rasters are {', '.join(self.variables) or 'none'}.")
        return _opened(path, variable)

    @cached_property
    def classes(self) -> dict[int, str]:
        """Names of the classes by map value; none of a delivery without a class map. Raises `DeliveryError`."""
        from processors.delivery.delivered_map import read_item

        legend = read_item(self.folder).legend
        return {} if legend is None else {entry.value: entry.name for entry in legend.mapped}

    @cached_property
    def parcels(self) -> geopandas.GeoDataFrame:
        """The fields as polygons, in the metres of the zone. Raises `DeliveryError` where the delivery has none."""
        from catalog.guards.vectors import read_parquet

        path = self._file(
            PARCELS, "Only maps of classes have parcels; one that an older version made has none: make it again."
        )
        return read_parquet(path, lambda why: DeliveryError(f"{path} can't be read ({why}). Make the map again."))

    def _file(self, name: str, remedy: str) -> Path:
        path = self.files.get(name)
        if path is None or not path.is_file():
            raise DeliveryError(f"the delivery {self.folder} has no {name}. {remedy}")
        return path

    def __repr__(self) -> str:
        return f"MadeMap({str(self._shown_folder)!r}, {', '.join(self.files)})"

    @property
    def _shown_folder(self) -> Path:
        """The folder, from the working folder where it lies below it."""
        return self.folder.relative_to(Path.cwd()) if self.folder.is_relative_to(Path.cwd()) else self.folder

    def _repr_html_(self) -> str:
        """The map's picture, which has its legend, the hectares, and where the files are; what others named is plain text."""
        from processors.delivery.page.packing import picture_address

        parts = ["<div>"]
        if self.delivery.synthetic:
            parts.append("<p><strong>Synthetic data.</strong></p>")
        parts += [f"<p>{html.escape(note)}</p>" for note in self.delivery.notes]
        picture = self.files.get(PICTURE)
        if picture is not None and picture.is_file():
            address = picture_address(picture)
            parts.append(f'<img alt="The map and its legend" style="max-width: 100%" src="{address}">')
        parts.append(self._hectares())
        named = ", ".join(html.escape(name) for name in self.files)
        parts.append(f"<p><code>{html.escape(str(self._shown_folder))}</code>: {named}</p></div>")
        return "\n".join(part for part in parts if part)

    def _hectares(self) -> str:
        from processors.delivery.areas import read_areas

        path = self.files.get(HECTARES)
        if path is None or not path.is_file():
            return ""
        _, rows = read_areas(path)
        if not rows:
            return ""
        head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row.values()) + "</tr>"
            for row in rows[:_ROWS]
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _opened(path: Path, name: str) -> xarray.DataArray:
    import numpy as np
    import xarray
    from pyproj import CRS

    from catalog.guards.rasters import open_raster

    with open_raster(
        path, lambda why: DeliveryError(f"{path} can't be read ({why}). Make the map again."), ("GTiff",)
    ) as raster:
        values, place, epsg = raster.read(), raster.transform, int(raster.crs.to_epsg())
        bands = [text or f"{number}" for number, text in enumerate(raster.descriptions, start=1)]
        attributes: dict[str, Any] = {"epsg": epsg, "nodata": raster.nodata, "grid_mapping": "spatial_ref"}
    reference = xarray.Variable(
        (), np.int64(0), {**CRS.from_epsg(epsg).to_cf(), "GeoTransform": " ".join(map(str, place.to_gdal()))}
    )
    rows, columns = np.arange(values.shape[1]) + 0.5, np.arange(values.shape[2]) + 0.5
    return xarray.DataArray(
        values,
        dims=("band", "y", "x"),
        coords={
            "band": bands,
            "y": ("y", place.f + rows * place.e, {"units": "m", "standard_name": "projection_y_coordinate"}),
            "x": ("x", place.c + columns * place.a, {"units": "m", "standard_name": "projection_x_coordinate"}),
            "spatial_ref": reference,
        },
        name=name,
        attrs=attributes,
    )
