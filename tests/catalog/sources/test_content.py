"""What names the content of a product: it changes with its files, its baseline and what the catalogue tells, and with nothing else."""

from __future__ import annotations

import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import safe_kit
from shapely.geometry import box, mapping

from catalog.sources.registry import open_source
from catalog.sources.stac.content import with_content
from catalog.sources.stac.item import item_product


def content(folder: Path, href: str = "B04.tif", asset: dict[str, Any] | None = None, **properties: Any) -> str:
    item = {
        "id": "S2_1",
        "geometry": mapping(box(4, 50, 5, 51)),
        "properties": {"datetime": "2019-05-01T10:56:00Z", "processing:level": "L2A", **properties},
        "assets": {
            "B04": {"href": href, **(asset or {})},
            "thumbnail": {"href": "t.png", "file:size": len(properties)},
        },
        "collection": "sentinel-2-l2a",
    }
    place = str(folder / "item.json")
    return with_content(item_product(item, place), item, place).content


def test_files_of_this_machine_are_known_by_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "B04.tif"
    file.write_bytes(b"first")
    os.utime(file, ns=(1, 1))
    first = content(tmp_path)
    assert first
    assert content(tmp_path, updated="2024-01-01T00:00:00Z") == first  # files tell more than when an item was touched
    os.utime(file, ns=(2, 2))
    later = content(tmp_path)
    assert later != first
    assert content(tmp_path, **{"s2:processing_baseline": "05.00"}) != later
    file.unlink()
    assert content(tmp_path) == ""  # gone: what was read of it is as good as it was


@pytest.mark.parametrize("told", [{"file:checksum": "12"}, {"file:size": 7}])
def test_files_elsewhere_are_known_by_what_the_item_says_of_them(tmp_path: Path, told: dict[str, Any]) -> None:
    href = "https://elsewhere.invalid/B04.tif"
    first = content(tmp_path, href, told)
    assert first
    assert content(tmp_path, href, told, updated="2024-01-01T00:00:00Z") == first
    assert content(tmp_path, href, {name: f"{value}1" for name, value in told.items()}) != first


def test_when_an_item_was_updated_counts_where_nothing_better_is_told(tmp_path: Path) -> None:
    href = "s3://bucket/B04.tif"
    assert content(tmp_path, href) == ""
    first = content(tmp_path, href, updated="2023-01-01T00:00:00Z")
    assert first
    assert content(tmp_path, href, updated="2024-01-01T00:00:00Z") != first


def test_safe_products_are_known_by_their_files_in_folders_and_archives(tmp_path: Path) -> None:
    kit = safe_kit.Kit(edge=60)
    period = datetime(2015, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)

    def found(archive: Path) -> str:
        (product,) = open_source(f"safe:{archive}").search(kit.outline, period, kit.level).products
        return str(product.content)

    folder = tmp_path / "folder"
    made = kit.write(folder)
    first = found(folder)
    assert found(folder) == first
    band = next(made.rglob("*_B04*.jp2"))
    os.utime(band, ns=(10**18, 10**18))
    assert found(folder) not in (first, "")

    packed = safe_kit.pack(made, tmp_path / "zips" / f"{kit.name}.zip")
    before = found(packed.parent)
    os.utime(packed, ns=(2 * 10**18, 2 * 10**18))
    assert found(packed.parent) == before  # a copy of the archive: its directory has the files' checksums
    band.write_bytes(band.read_bytes() + b"\0")
    packed.unlink()
    assert found(safe_kit.pack(made, packed, method=zipfile.ZIP_STORED).parent) != before
