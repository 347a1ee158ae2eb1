"""Trees of files: folders, and archives that are never unpacked."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from catalog.errors import ProductError, RequestError
from catalog.storage.archives import open_files
from catalog.storage.credentials import Credentials
from catalog.storage.file_trees import Entry, LocalFiles
from catalog.storage.zip_files import MOST_RATIO, ZipFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b" / "inner").mkdir(parents=True)
    (tmp_path / "b" / "inner" / "file.txt").write_bytes(b"0123456789")
    (tmp_path / "a.xml").write_bytes(b"<a/>")
    return tmp_path


def zipped(folder: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> ZipFiles:
    with zipfile.ZipFile(folder / "x.zip", "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return ZipFiles(LocalFiles(folder), "x.zip")


def test_a_folder_and_an_archive_of_it_are_the_same_tree(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    local = open_files(str(folder), Credentials())
    other = tmp_path_factory.mktemp("zip")
    archive = zipped(other, {"b/inner/file.txt": b"0123456789", "a.xml": b"<a/>"})
    for files in (local, archive):
        assert files.list() == [Entry("a.xml", False, 4), Entry("b", True, 0)]
        assert files.list("b") == [Entry("inner", True, 0)]
        assert files.list("b/inner") == [Entry("file.txt", False, 10)]
        assert files.read("b/inner/file.txt") == b"0123456789"
        with files.open("b/inner/file.txt") as file:
            assert file.seek(4) == 4
            assert file.read(3) == b"456"
            assert file.seek(0, io.SEEK_END) == 10
        for path in ("c", "b/inner/none"):
            with pytest.raises(FileNotFoundError, match=path):
                files.list(path)
            with pytest.raises(FileNotFoundError, match=path):
                files.open(path)
        with pytest.raises(ProductError, match=r"file.txt has 10 bytes, .* at most 9"):
            files.read("b/inner/file.txt", most=9)


def test_gdal_reads_a_member_where_it_lies(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "x.tif", "w", driver="GTiff", height=3, width=2, count=1, dtype="uint8", crs="EPSG:32631",
        transform=Affine(10, 0, 0, 0, -10, 30),
    ) as file:  # fmt: skip
        file.write(np.arange(6, dtype=np.uint8).reshape(1, 3, 2))
    files = zipped(tmp_path, {"in {braces}/x.tif": (tmp_path / "x.tif").read_bytes()})
    address = files.gdal("in {braces}/x.tif")
    assert address == f"/vsizip/{{{tmp_path}/x.zip}}/in {{braces}}/x.tif"
    with rasterio.open(address) as file:
        np.testing.assert_array_equal(file.read(1), np.arange(6).reshape(3, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tif", "x.zip"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../out.xml", "leads out of it"),
        ("a/../../out.xml", "leads out of it"),
        ("/etc/passwd", "no relative path"),
        ("C:/windows", "no relative path"),
        ("a\\..\\b", "no relative path"),
        ("a/" * 500 + "b", "500 folders deep"),
    ],
)
def test_an_archive_with_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ProductError, match=rf"x.zip is not a safe archive: .*{said}"):
        zipped(tmp_path, {"fine": b"", name: b"x"})


def test_a_bomb_is_refused_by_its_directory_alone(tmp_path: Path) -> None:
    with pytest.raises(
        ProductError, match=r"x.zip is not a safe archive: its member 'big' would grow from .* to 50,000,000 bytes"
    ):
        zipped(tmp_path, {"big": bytes(50_000_000)})
    assert zipped(tmp_path, {"small": bytes(2**20)}).list()[0].size == 2**20  # a small file may pack well


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(5000)
    zipped(tmp_path, {"a": content, "b": content[:10]}, zipfile.ZIP_STORED)
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    raw[second + 20 : second + 28] = struct.pack("<II", 5000, 5000)
    (tmp_path / "x.zip").write_bytes(raw)
    with pytest.raises(ProductError, match="members overlap"):
        ZipFiles(LocalFiles(tmp_path), "x.zip")


def test_what_is_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.storage.zip_files.MOST_MEMBERS", 1)
    with pytest.raises(ProductError, match="it says to hold 2 files, more than 1"):
        zipped(tmp_path, {"a": b"", "b": b""})
    monkeypatch.setattr("catalog.storage.zip_files.MOST_BYTES", 3)
    with pytest.raises(ProductError, match="unpacked it would have 4 bytes, more than 3"):
        zipped(tmp_path, {"a": b"1234"})


def test_real_metadata_pack_far_less_than_the_limit(real_data: Path, tmp_path: Path) -> None:
    largest = max((real_data / "safe").rglob("*.xml"), key=lambda path: path.stat().st_size)
    files = zipped(tmp_path, {"MTD_DS.xml": largest.read_bytes()})
    assert largest.stat().st_size / (tmp_path / "x.zip").stat().st_size < MOST_RATIO / 5
    assert files.read("MTD_DS.xml") == largest.read_bytes()


def test_an_encrypted_archive_says_so(tmp_path: Path) -> None:
    zipped(tmp_path, {"a.xml": b"x" * 40}, zipfile.ZIP_STORED)
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + flags] |= 1
    (tmp_path / "x.zip").write_bytes(raw)
    with pytest.raises(ProductError, match=r"x.zip is encrypted \(a.xml\). Pack it again without a password"):
        ZipFiles(LocalFiles(tmp_path), "x.zip")


def test_an_archive_that_gdal_cannot_unpack_says_so(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="packs a by method 12, only stored and deflated files are read"):
        zipped(tmp_path, {"a": b"x"}, zipfile.ZIP_BZIP2)


@pytest.mark.parametrize("kept", [0, 10, 100])
def test_a_torn_archive_says_so(tmp_path: Path, kept: int) -> None:
    zipped(tmp_path, {"a": bytes(range(256)) * 10})
    (tmp_path / "x.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:kept])
    with pytest.raises(ProductError, match=r"x.zip is no zip archive that can be read, it may be truncated"):
        ZipFiles(LocalFiles(tmp_path), "x.zip")


def test_a_damaged_member_says_so(tmp_path: Path) -> None:
    files = zipped(tmp_path, {"a": np.random.default_rng(1).bytes(1000)}, zipfile.ZIP_STORED)
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    raw[200] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(raw)
    with pytest.raises(ProductError, match=r"a in .*x.zip can't be unpacked: Bad CRC"):
        files.read("a")


@pytest.mark.parametrize(
    ("address", "said"),
    [("nowhere", "no folder .*nowhere"), ("https://x.org/a", "a folder or from s3://"), (" ", "is empty")],
)
def test_places_that_are_no_tree(address: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        open_files(address, Credentials())
