"""Parcels of a delivery as GeoParquet, with the core fields of fiboa, and as GeoPackage: the same rows in both.

What is smaller than a parcel stands in a row of its own for each crop, without a geometry, so that hectares add up to those of the map.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from catalog.errors import StoreError
from catalog.grid import PIXEL
from catalog.guards.vectors import read_parquet
from catalog.legend import LegendClass
from catalog.storage.whole import written_geopackage, written_whole
from processors.delivery.areas import HECTARE
from processors.delivery.provenance import DeliveryFacts
from processors.views.segments import LEAST_HECTARES
from processors.views.views import Views

PARQUET, PACKAGE = "parcels.parquet", "parcels.gpkg"

LAYER = "parcels"
"""Layer of the GeoPackage."""

BELOW = f"below {LEAST_HECTARES:g} ha"
"""Note of the rows of what is smaller than a parcel."""

SCHEMAS = ("https://vecorel.org/specification/v0.1.0/schema.yaml", "https://fiboa.org/specification/v0.3.0/schema.yaml")
"""Specifications that the columns follow."""


def write_parcels(folder: Path, views: Views, entries: Sequence[LegendClass], facts: DeliveryFacts) -> list[Path]:
    """Write both files and return their paths; none where the views have no parcels. ``entries``: classes that the map can show.

    The same parcels give the same bytes. Raises `StoreError` where they can't be written.
    """
    if views.parcels is None:
        return []
    frame = read_parquet(views.parcels, lambda why: StoreError(f"{views.parcels} can't be read ({why}). Run again."))
    observed = max([facts.used[-1].time] if facts.used else [facts.period[1]])
    frame = _with_below(frame, views.below, {entry.value: entry.name for entry in entries})
    frame = _described(frame, observed, facts, drawn=not views.declared)
    parquet, package = folder / PARQUET, folder / PACKAGE
    write_geoparquet(parquet, frame, f"{facts.processor}-{facts.year}-{facts.request_digest}")
    write_geopackage(package, frame, LAYER, observed)
    return [parquet, package]


def _with_below(frame: Any, below: dict[int, int], names: dict[int, str]) -> Any:
    """The frame with ids as text, and a row without a geometry for what of each crop is smaller than a parcel."""
    import geopandas
    import pandas as pd

    frame = frame.assign(id=frame["id"].astype("string"))
    frame.insert(3, "note", pd.array([None] * len(frame), dtype="string"))
    values = sorted(below)
    if not values:
        return frame
    pixels = np.array([below[value] for value in values], np.int64)
    rows = geopandas.GeoDataFrame(
        {
            "id": pd.array([f"below-{value}" for value in values], dtype="string"),
            "value": np.array(values, np.uint8),
            "crop": pd.array([names.get(value) for value in values], dtype="string"),
            "note": pd.array([BELOW] * len(values), dtype="string"),
            "hectares": pixels * PIXEL**2 / HECTARE,
            "pixels": pixels,
        },
        geometry=[shapely.MultiPolygon()] * len(values),
        crs=frame.crs,
    )
    return geopandas.GeoDataFrame(
        pd.concat(
            [frame, rows.reindex(columns=frame.columns).astype(frame.dtypes.drop("geometry").to_dict())],
            ignore_index=True,
        ),
        crs=frame.crs,
    )


def _described(frame: Any, observed: datetime, facts: DeliveryFacts, *, drawn: bool) -> Any:
    """The frame with fiboa's columns. ``drawn``: whether the outlines are made of the map."""
    import pandas as pd

    area = shapely.area(frame.geometry.to_numpy())
    details = f"Outlines of the map by {facts.software}, {facts.processor} {facts.processor_version}"
    own = {
        "metrics:area": np.where(area > 0, area, np.nan).astype(np.float32),  # m² of the outline
        "determination:datetime": pd.Series(
            pd.to_datetime([observed] * len(frame), utc=True)  # of a time zone also where there are none
        ).astype("datetime64[ms, UTC]"),
        "determination:method": pd.array(["auto-imagery" if drawn else "unknown"] * len(frame), dtype="string"),
        "determination:details": pd.array(
            [details if drawn else "As declared, in a file of the request"] * len(frame), dtype="string"
        ),
    }
    others = [name for name in frame.columns if name != "geometry"]
    return frame.assign(**own)[[*others, *own, "geometry"]]


def write_geoparquet(path: Path, frame: Any, collection: str) -> None:
    """Write a frame with the columns ``id`` and ``geometry`` of fiboa as GeoParquet; ``collection``: whose it is."""
    import pyarrow as pa
    from pyarrow import parquet

    with written_whole(path) as temporary:
        frame.to_parquet(temporary, index=False, write_covering_bbox=True, schema_version="1.1.0")
        table = parquet.read_table(temporary)
        described = {"collection": collection, "schemas": {collection: SCHEMAS}}
        about = {**(table.schema.metadata or {}), b"collection": json.dumps(described).encode()}
        about.pop(b"pandas", None)
        # What has no outline has no bounds, rather than four that are nothing.
        bounds = table["bbox"].combine_chunks()
        nowhere = frame.geometry.is_empty.to_numpy()
        table = table.set_column(
            table.column_names.index("bbox"),
            table.schema.field("bbox"),
            pa.StructArray.from_arrays(bounds.flatten(), fields=list(bounds.type), mask=pa.array(nowhere)),
        )
        fields = [
            field.with_type(pa.string() if pa.types.is_large_string(field.type) else field.type).with_nullable(
                field.name not in ("id", "geometry")
            )
            for field in table.schema
        ]
        table = table.cast(pa.schema(fields)).replace_schema_metadata(about)
        parquet.write_table(table, temporary, compression="zstd", row_group_size=50_000)


def write_geopackage(path: Path, frame: Any, layer: str, observed: datetime) -> None:
    """Write a frame as a layer of a GeoPackage that says it was changed at ``observed``. Raises `StoreError`."""
    import pyogrio

    frame = frame.rename(columns=_without_colons(list(frame.columns)))
    with written_geopackage(path) as temporary, _dated(observed):
        pyogrio.write_dataframe(
            frame, temporary, driver="GPKG", layer=layer, promote_to_multi=True, layer_options={"FID": "fid"}
        )


def _without_colons(names: Sequence[str]) -> dict[str, str]:
    """Names that no reader of GeoPackages takes for a prefix, each still its own."""
    taken = {name.casefold() for name in names if ":" not in name}
    renamed = {}
    for name in names:
        if ":" in name:
            wanted = name.replace(":", "_")
            while wanted.casefold() in taken:
                wanted += "_"
            taken.add(wanted.casefold())
            renamed[name] = wanted
    return renamed


@contextmanager
def _dated(observed: datetime) -> Iterator[None]:
    """A GeoPackage says when it was last changed: of one that is written in the block, a time that the same request has again."""
    import pyogrio

    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{observed:%Y-%m-%dT%H:%M:%S}.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
