"""From an object store the cube is the same as from a disk, byte for byte."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog.errors import AccessError, SourceError
from catalog.grid import cells_meeting, to_zone, utm_zone
from catalog.order import make_order
from catalog.products import Level, Order
from catalog.sources.registry import open_source
from catalog.storage.credentials import Credentials, S3Access
from catalog.storage.store import Store, open_store
from processors.cube.cell import Cube
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition

SAFE_L1C = "S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042.SAFE"


@pytest.fixture(scope="module")
def area(mission_archive: Any) -> BaseGeometry:
    return shape(mission_archive.area)


def ingested(
    store: Store, address: str, area: Any, year: int, months: tuple[int, int], level: Level, credentials: Credentials
) -> tuple[Order, list[IngestResult]]:
    """Order and ingest, each step with a source opened anew, as in a flow."""
    order = make_order(open_source(address, credentials), area, year, months, level, 100)
    epsg = utm_zone(area.centroid.x, area.centroid.y)
    cells = extend_cells(store, order, cells_meeting(to_zone(area, epsg), epsg)[:4])
    results = [ingest_acquisition(store, order, one.id, cells, order.source, credentials) for one in order.acquisitions]
    return order, results


def cube_arrays(store: Store, order: Order, archive: str) -> dict[str, bytes]:
    """The bytes of every array of the order's cubes, as they are read; the address of the archive and the names of its files'
    contents, which they hold, are left out: a disk tells times of writing, a bucket doesn't.

    Decoded: in which order a shard holds its blocks is its writer's affair.
    """
    arrays = {}
    for path in sorted((store.root / "cubes" / order.source_id / order.level).glob("*.zarr")):
        for name, array in Cube(path).arrays.items():
            values = np.asarray(array[:])
            content = str(values.tolist()).encode() if values.dtype.kind in "OTU" else values.tobytes()
            content = re.sub(rb', "content": "[0-9a-f]{12}"|"content": "([0-9a-f]{12})?", ', b"", content)
            arrays[f"{path.name}/{name}"] = content.replace(archive.encode(), b"the archive")
    return arrays


def test_a_catalogue_in_a_bucket_gives_the_same_cube_as_on_disk(
    mission_archive: Any,
    area: BaseGeometry,
    s3_server: S3Access,
    s3_bucket: tuple[str, Any],
    tmp_path: Path,
) -> None:
    name, filesystem = s3_bucket
    products = mission_archive.folder / "products"
    filesystem.put(str(products), f"{name}/archive", recursive=True)
    credentials = Credentials(s3=s3_server)
    disk, remote = open_store(str(tmp_path / "disk")), open_store(str(tmp_path / "remote"))
    expected, _ = ingested(disk, mission_archive.source, area, 2019, (3, 4), "L2A", Credentials())
    for place in (f"stac:s3://{name}/archive", f"stac:s3://{name}/archive/catalog.json"):
        assert open_source(place, credentials).address == f"stac:s3://{name}/archive/catalog.json"
    order, results = ingested(remote, place, area, 2019, (3, 4), "L2A", credentials)
    assert order.source_id.startswith("stac-archive-")
    assert len(order.acquisitions) == len(expected.acquisitions) > 3
    assert all(result.written and not result.dropped for result in results)
    there = cube_arrays(remote, order, f"s3://{name}/archive")
    here = cube_arrays(disk, expected, str(products))
    assert set(there) == set(here)
    assert any(np.frombuffer(content, np.uint16).any() for array, content in here.items() if "reflectance" in array)
    assert [array for array in here if here[array] != there[array]] == []
    told = order.model_dump_json() + "".join(result.model_dump_json() for result in results)
    assert "the-s3" not in told
    assert not any(b"the-s3" in file.read_bytes() for file in remote.root.rglob("*") if file.is_file())


def test_a_catalogue_sees_what_is_new_and_says_what_it_cannot_read(
    mission_archive: Any, area: BaseGeometry, s3_server: S3Access, s3_bucket: tuple[str, Any]
) -> None:
    name, filesystem = s3_bucket
    folder = mission_archive.folder / "products"
    filesystem.pipe(
        {f"{name}/archive/{file.relative_to(folder)}": file.read_bytes() for file in folder.rglob("*.json")}
    )
    source = f"stac:s3://{name}/archive/catalog.json"
    period = datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    found = open_source(source, Credentials(s3=s3_server)).search(area, period, "L2A")
    gone = found.products[0]
    filesystem.rm(gone.href)
    later = open_source(source, Credentials(s3=s3_server)).search(area, period, "L2A")
    assert len(later.products) == len(found.products) - 1
    assert [(left.product, left.reason) for left in later.left_out if "exist" in left.reason] == [
        (gone.href, "not understood: does not exist")
    ]
    with pytest.raises(SourceError, match=rf"stac:s3://{name}/none\.json does not exist"):
        open_source(f"stac:s3://{name}/none.json", Credentials(s3=s3_server)).search(area, period, "L2A")


def test_a_refused_catalogue_names_the_remedy(file_server: Any, area: BaseGeometry) -> None:
    file_server.faults["catalog.json"] = "403"
    period = datetime(2019, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
    for place, said in (
        ("s3://bucket/catalog.json", "s3://bucket/catalog.json may not be read: .*AWS_ACCESS_KEY_ID"),
        (f"{file_server.address}/catalog.json", "catalog.json may not be read: HTTP 403"),
    ):
        source = open_source(f"stac:{place}", Credentials(s3=S3Access(endpoint=file_server.address)))
        with pytest.raises(AccessError, match=said):
            source.search(area, period, "L2A")


def test_safe_in_a_bucket_gives_the_same_cube_as_on_disk(
    real_data: Path,
    s3_server: S3Access,
    s3_bucket: tuple[str, Any],
    tmp_path: Path,
) -> None:
    name, filesystem = s3_bucket
    filesystem.put(str(real_data / "safe" / SAFE_L1C), f"{name}/safe/{SAFE_L1C}", recursive=True)
    area = shape(
        open_source(f"safe:{real_data / 'safe' / SAFE_L1C}")
        .search(shape({"type": "Polygon", "coordinates": [[[140, -40], [160, -40], [160, -20], [140, -20], [140, -40]]]}),
                (datetime(2018, 6, 1, tzinfo=UTC), datetime(2018, 7, 1, tzinfo=UTC)), "L1C")
        .products[0].footprint
    ).centroid.buffer(0.01)  # fmt: skip
    disk, remote = open_store(str(tmp_path / "disk")), open_store(str(tmp_path / "remote"))
    expected, on_disk = ingested(
        disk, f"safe:{real_data / 'safe' / SAFE_L1C}", area, 2018, (6, 6), "L1C", Credentials()
    )
    order, results = ingested(remote, f"safe:s3://{name}/safe", area, 2018, (6, 6), "L1C", Credentials(s3=s3_server))
    assert on_disk[0].written == results[0].written != ()
    assert results[0].dropped == ()
    there = cube_arrays(remote, order, f"s3://{name}/safe/{SAFE_L1C}")
    here = cube_arrays(disk, expected, str((real_data / "safe" / SAFE_L1C).resolve()))  # as sources spell addresses
    assert set(there) == set(here)
    assert any(np.frombuffer(content, np.uint16).any() for array, content in here.items() if "reflectance" in array)
    assert [array for array in here if here[array] != there[array]] == []
