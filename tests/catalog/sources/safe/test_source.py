"""Archives of SAFE products: what a search finds, opens and leaves out. All products here are synthetic."""

from __future__ import annotations

import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import safe_kit
from shapely.geometry import box

from catalog.errors import ProductError, RequestError, SourceError
from catalog.order import make_order
from catalog.sources.registry import Source, open_source
from catalog.storage.credentials import Credentials, S3Access
from catalog.storage.file_trees import LocalFiles

JUNE = datetime(2023, 6, 1, tzinfo=UTC), datetime(2023, 7, 1, tzinfo=UTC)
AREA = box(4.05, 50.81, 4.07, 50.83)


def small(**changes: Any) -> Any:
    return safe_kit.Kit(**{"edge": 60, **changes})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Documents that were opened, by path."""
    opened: list[str] = []
    original = LocalFiles.open

    def open_and_note(self: LocalFiles, path: str) -> Any:
        opened.append(path)
        return original(self, path)

    monkeypatch.setattr(LocalFiles, "open", open_and_note)
    return opened


def test_any_mix_in_nested_folders_is_found(tmp_path: Path) -> None:
    archive, aside = tmp_path / "archive", tmp_path / "aside"
    day = timedelta(days=1)
    kits = [small(start=datetime(2023, 6, 1, 10, 56, 21, tzinfo=UTC) + number * day) for number in range(5)]
    kits[0].write(archive)
    kits[1].write(archive / "2023" / "06" / "02")
    safe_kit.pack(kits[2].write(aside), archive / "zips" / f"{kits[2].name}.SAFE.zip")
    safe_kit.pack(kits[3].write(aside), archive / "2023" / f"{kits[3].name}.zip")
    safe_kit.write_aws(archive, kits[4])
    (archive / "notes.zip").write_bytes(b"not a product")
    (archive / ".hidden").mkdir()
    kits[0].write(archive / ".hidden")
    source = open_source(f"safe:{archive}")
    found = source.search(AREA, JUNE, "L2A")
    assert sorted(product.id for product in found.products) == [kit.name for kit in kits]
    assert found.left_out == ()
    assert found.holds == "the source holds 5 products from 2023-06-01 to 2023-06-05"
    again = open_source(source.address)  # as another process does, without a search before
    for product in found.products:
        assert again.assets(product) == source.assets(product)
        assert len(source.assets(product)) >= 13
    order = make_order(source, AREA, 2023, (6, 6), "L2A", 95)
    assert [one.id for one in order.acquisitions] == [f"S2A_2023060{number}T105621_R094" for number in range(1, 6)]
    assert order.synthetic


def test_a_bucket_is_an_archive_as_a_folder_is(tmp_path: Path, s3_server: S3Access, s3_bucket: tuple[str, Any]) -> None:
    name, filesystem = s3_bucket
    kits = [small(start=datetime(2023, 6, number, 10, 56, 21, tzinfo=UTC)) for number in (1, 2, 3)]
    folder = kits[0].write(tmp_path / "archive" / "2023")
    safe_kit.pack(kits[1].write(tmp_path / "aside"), tmp_path / "archive" / f"{kits[1].name}.zip")
    safe_kit.write_aws(tmp_path / "archive", kits[2])
    filesystem.put(str(tmp_path / "archive"), f"{name}/archive", recursive=True)
    local, bucket = (
        open_source(f"safe:{place}", Credentials(s3=s3_server))
        for place in (tmp_path / "archive", f"s3://{name}/archive")
    )
    assert bucket.address == f"safe:s3://{name}/archive"
    expected, found = local.search(AREA, JUNE, "L2A"), bucket.search(AREA, JUNE, "L2A")
    assert (found.left_out, found.holds) == (expected.left_out, expected.holds)
    assert len(found.products) == 3
    for product in expected.products:
        twin = next(other for other in found.products if other.id == product.id)
        # a bucket tells ETags, a folder times of writing
        assert twin.model_copy(update={"href": product.href, "content": product.content}) == product
        there, here = bucket.assets(twin), local.assets(product)
        assert there.keys() == here.keys()
        for band, asset in there.items():
            path = here[band].href.replace(str(tmp_path), f"/vsis3/{name}")
            assert (asset.href, asset.offset, asset.offset_from) == (path, here[band].offset, here[band].offset_from)
            assert asset.gdal_env
        assert "the-s3-" not in repr(there) + repr(twin) + str([asset.model_dump() for asset in there.values()])
    one = open_source(f"safe:s3://{name}/archive/2023/{folder.name}", Credentials(s3=s3_server))
    assert [product.id for product in one.search(AREA, JUNE, "L2A").products] == [kits[0].name]


def test_names_spare_the_opening_of_what_does_not_fit(tmp_path: Path, read: list[str]) -> None:
    wanted = small()
    wanted.write(tmp_path)
    small(level="L1C").write(tmp_path)
    small(start=datetime(2022, 6, 1, tzinfo=UTC)).write(tmp_path)
    small(start=datetime(2023, 7, 1, tzinfo=UTC)).write(tmp_path)
    # Sensed five minutes after its datatake's start, on the other side of midnight.
    late = small(start=datetime(2023, 5, 31, 23, 58, tzinfo=UTC))
    late.write(tmp_path)
    safe_kit.write_aws(tmp_path, small(start=datetime(2023, 8, 1, tzinfo=UTC)))
    found = open_source(f"safe:{tmp_path}").search(AREA, JUNE, "L2A")
    assert {product.id for product in found.products} == {wanted.name, late.name}
    assert found.left_out == ()  # the other level isn't worth a word while there is enough of the one asked for
    assert {path.partition("/")[0] for path in read} == {f"{wanted.name}.SAFE", f"{late.name}.SAFE"}
    assert not any(path.endswith(".jp2") for path in read)


def test_the_other_level_is_said_where_nothing_else_is_there(tmp_path: Path) -> None:
    kit = small()
    kit.write(tmp_path)
    source = open_source(f"safe:{tmp_path}")
    found = source.search(AREA, JUNE, "L1C")
    assert [(left.product, left.reason) for left in found.left_out] == [(kit.name, "other level: L2A")]
    with pytest.raises(SourceError, match="Ask for the other level"):
        make_order(source, AREA, 2023, (6, 6), "L1C", 95)


def test_only_what_meets_the_area_is_taken(tmp_path: Path) -> None:
    small().write(tmp_path)
    source = open_source(f"safe:{tmp_path}")
    assert source.search(box(10, 50, 11, 51), JUNE, "L2A").products == ()
    assert len(source.search(AREA, JUNE, "L2A").products) == 1


def test_one_product_of_a_tile_that_lies_elsewhere_is_opened(tmp_path: Path, read: list[str]) -> None:
    days = [datetime(2023, 6, number, 10, 56, 21, tzinfo=UTC) for number in range(1, 6)]
    for day in days:
        small(start=day).write(tmp_path)
        small(start=day, tile="31UGS", west=773_440).write(tmp_path)
    found = open_source(f"safe:{tmp_path}").search(AREA, JUNE, "L2A")
    assert {product.tile for product in found.products} == {"31UES"}
    assert len(found.products) == 5
    opened = {path.partition("/")[0] for path in read}
    assert sum("31UGS" in name for name in opened) == 1
    # The one that is opened may be broken: then the others are.
    (broken,) = [name for name in opened if "31UGS" in name]
    (tmp_path / broken / "MTD_MSIL2A.xml").unlink()
    read.clear()
    found = open_source(f"safe:{tmp_path}").search(AREA, JUNE, "L2A")
    assert len(found.products) == 5
    assert [left.product for left in found.left_out] == [broken.removesuffix(".SAFE")]
    assert sum("31UGS" in name for name in {path.partition("/")[0] for path in read}) == 4


def test_bad_products_are_named_and_the_others_kept(tmp_path: Path) -> None:
    good = small()
    good.write(tmp_path)
    bad = [small(start=datetime(2023, 6, number, 10, 56, 21, tzinfo=UTC)) for number in range(2, 7)]
    next(bad[0].write(tmp_path).rglob("MTD_TL.xml")).unlink()
    document = bad[1].write(tmp_path) / "MTD_MSIL2A.xml"
    document.write_bytes(document.read_bytes()[:700])
    shutil.rmtree(bad[2].write(tmp_path) / "GRANULE")
    (tmp_path / f"{bad[3].name}.SAFE.zip").write_bytes(b"PK\x03\x04 torn")
    with zipfile.ZipFile(tmp_path / f"{bad[4].name}.SAFE.zip", "w") as archive:
        archive.writestr("../../evil", b"x")
    found = open_source(f"safe:{tmp_path}").search(AREA, JUNE, "L2A")
    assert [product.id for product in found.products] == [good.name]
    reasons = {left.product.partition(".")[0]: left.reason for left in found.left_out}
    assert set(reasons) == {kit.name for kit in bad}
    for kit, said in zip(
        bad,
        ("MTD_TL.xml is missing", "MTD_MSIL2A.xml is no XML", "no granule", "no zip archive", "leads out of it"),
        strict=True,
    ):
        assert reasons[kit.name].startswith("not understood: ")
        assert said in reasons[kit.name]


def test_a_product_gone_or_of_wrong_size_says_so_when_its_assets_are_asked_for(tmp_path: Path) -> None:
    kit = small()
    path = kit.write(tmp_path)
    source = open_source(f"safe:{tmp_path}")
    (product,) = source.search(AREA, JUNE, "L2A").products
    kit.write_jp2(next(path.rglob("*_B11_20m.jp2")), kit.raw("B01"), 20)
    with pytest.raises(ProductError, match=r"B11 .* has 10 x 10 pixels, at 20 m the product has 30 x 30"):
        source.assets(product)
    shutil.rmtree(path)
    for asked in (source, open_source(source.address)):
        with pytest.raises(ProductError, match=kit.name):
            asked.assets(product)


def test_the_newest_baseline_is_taken_and_both_parts_of_a_split_tile(tmp_path: Path) -> None:
    old = small(baseline="02.14", offset=None)
    new = small(baseline="05.10", generated=datetime(2023, 6, 5, tzinfo=UTC))
    second_part = small(baseline="05.10", datastrip="S20230601T110000", generated=datetime(2023, 6, 6, tzinfo=UTC))
    collection = small(baseline="00.01", generated=datetime(2024, 1, 1, tzinfo=UTC))
    for kit in (old, new, second_part, collection):
        kit.write(tmp_path)
    order = make_order(open_source(f"safe:{tmp_path}"), AREA, 2023, (6, 6), "L2A", 95)
    (acquisition,) = order.acquisitions
    assert {product.id for product in acquisition.products} == {new.name, second_part.name}
    assert {left.product: left.reason.rpartition(", ")[2] for left in order.left_out} == {
        old.name: "baseline 05.10 rather than 02.14",
        collection.name: "baseline 05.10 rather than 00.01",
    }


def test_a_single_product_is_a_source_too(tmp_path: Path) -> None:
    kit = small()
    path = kit.write(tmp_path)
    small(start=datetime(2023, 6, 9, tzinfo=UTC)).write(tmp_path)
    archive = safe_kit.pack(path, tmp_path / "zips" / f"{path.name}.zip")
    for place in (path, archive):
        source = open_source(f"safe:{place}")
        assert source.address == f"safe:{place}"
        (product,) = source.search(AREA, JUNE, "L2A").products
        assert (product.id, product.href) == (kit.name, str(place))
        assert "B02" in source.assets(product)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", "needs the path"),
        ("nowhere", "no folder"),
        ("nowhere/x.SAFE", "there is no .*x.SAFE"),
        ("http://x.org", "s3://"),
    ],
)
def test_places_that_are_no_archive(place: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=said):
        open_source(f"safe:{place}")


def test_a_link_that_leads_back_is_said(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "back").symlink_to(tmp_path)
    source: Source = open_source(f"safe:{tmp_path}")
    with pytest.raises(SourceError, match="Is there a link that leads back"):
        source.search(AREA, JUNE, "L2A")


def test_an_empty_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the source holds no product"):
        make_order(open_source(f"safe:{tmp_path}"), AREA, 2023, (6, 6), "L2A", 95)
