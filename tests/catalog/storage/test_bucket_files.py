"""Trees of files in object stores: what is read, what is seen anew, and how failures are told."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import pytest
from pydantic import SecretStr

from catalog.errors import AccessError, ProductError, RequestError, SourceError
from catalog.products import Asset
from catalog.storage.archives import open_files
from catalog.storage.bucket_files import BucketFiles
from catalog.storage.credentials import Credentials, S3Access
from catalog.storage.file_trees import Entry
from catalog.storage.s3 import gdal_options
from catalog.storage.zip_files import ZipFiles

KEYS = {"key": SecretStr("the-key"), "secret": SecretStr("the-secret"), "token": SecretStr("the-token")}


def test_files_and_folders_are_listed_and_read(s3_server: S3Access, s3_bucket: tuple[str, Any]) -> None:
    name, store = s3_bucket
    store.pipe({f"{name}/in/a.xml": b"<a/>", f"{name}/in/b/c.jp2": b"12345", f"{name}/in/": b"", f"{name}/other": b"x"})
    files = open_files(f"s3://{name}/in/", Credentials(s3=s3_server))
    assert files.address == f"s3://{name}/in"
    assert files.list() == [Entry("a.xml", False, 4), Entry("b", True, 0)]
    assert files.list("b") == [Entry("c.jp2", False, 5)]
    assert files.read("a.xml") == b"<a/>"
    assert files.gdal("b/c.jp2") == f"/vsis3/{name}/in/b/c.jp2"
    assert [entry.name for entry in open_files(f"s3://{name}", Credentials(s3=s3_server)).list()] == ["in", "other"]
    with pytest.raises(ProductError, match=r"c\.jp2 has 5 bytes"):
        files.read("b/c.jp2", most=4)
    for missing in ("none", "a.xml"):
        with pytest.raises(FileNotFoundError, match=missing):
            files.list(missing)
    for missing in ("none.xml", "b"):
        for ask in (files.read, files.open):
            with pytest.raises(FileNotFoundError, match=missing):
                ask(missing)


def test_what_is_new_is_seen(s3_server: S3Access, s3_bucket: tuple[str, Any]) -> None:
    name, store = s3_bucket
    store.pipe(f"{name}/in/a", b"1")
    files = BucketFiles(f"s3://{name}/in", s3_server)
    assert [entry.name for entry in files.list()] == ["a"]
    store.pipe({f"{name}/in/a": b"12", f"{name}/in/b": b"1"})
    assert files.list() == [Entry("a", False, 2), Entry("b", False, 1)]
    assert BucketFiles(f"s3://{name}/in", s3_server).read("a") == b"12"


def test_a_file_is_read_by_ranges(s3_server: S3Access, s3_bucket: tuple[str, Any]) -> None:
    name, store = s3_bucket
    content = bytes(range(256)) * 9000  # over two of the blocks asked for at once
    store.pipe({f"{name}/long": content, f"{name}/empty": b""})
    with BucketFiles(f"s3://{name}", s3_server).open("long") as file:
        assert file.seek(-300, io.SEEK_END) == len(content) - 300
        assert file.read() == content[-300:]
        file.seek(5)
        assert file.read(10) == content[5:15]
        file.seek(0)
        assert file.read() == content
        file.seek(len(content) + 10)
        assert file.read() == b""
    with BucketFiles(f"s3://{name}", s3_server).open("empty") as file:
        assert file.read() == b""
    assert BucketFiles(f"s3://{name}", s3_server).read("empty") == b""


def test_an_archive_in_a_bucket(s3_server: S3Access, s3_bucket: tuple[str, Any]) -> None:
    name, store = s3_bucket
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("P.SAFE/MTD.xml", "<a/>")
    store.pipe(f"{name}/p.zip", packed.getvalue())
    files = ZipFiles(BucketFiles(f"s3://{name}", s3_server), "p.zip")
    assert files.read("P.SAFE/MTD.xml") == b"<a/>"
    assert files.gdal("P.SAFE/MTD.xml") == f"/vsizip/{{/vsis3/{name}/p.zip}}/P.SAFE/MTD.xml"
    assert files.gdal_env["AWS_HTTPS"] == "NO"


@pytest.mark.parametrize(
    ("endpoint", "bucket", "host", "https", "virtual"),
    [
        (None, "plain", "s3.amazonaws.com", "YES", "TRUE"),
        (None, "with.dot", "s3.amazonaws.com", "YES", "FALSE"),
        ("https://eodata.dataspace.copernicus.eu", "eodata", "eodata.dataspace.copernicus.eu", "YES", "FALSE"),
        ("http://127.0.0.1:9000/", "b", "127.0.0.1:9000", "NO", "FALSE"),
    ],
)
def test_gdal_is_told_the_endpoint(endpoint: str | None, bucket: str, host: str, https: str, virtual: str) -> None:
    options = gdal_options(S3Access(endpoint=endpoint), bucket)
    assert (options["AWS_S3_ENDPOINT"], options["AWS_HTTPS"], options["AWS_VIRTUAL_HOSTING"]) == (host, https, virtual)
    assert (options["AWS_NO_SIGN_REQUEST"], options["AWS_SECRET_ACCESS_KEY"]) == ("YES", "")
    signed = gdal_options(S3Access(endpoint=endpoint, requester_pays=True, **KEYS), bucket)
    assert (signed["AWS_NO_SIGN_REQUEST"], signed["AWS_SESSION_TOKEN"]) == ("NO", "the-token")
    assert signed["AWS_REQUEST_PAYER"] == "requester"
    assert set(signed) == set(options), "all options are set, so that none of another bucket's stay"


def test_secrets_of_an_asset_are_shown_nowhere_and_reach_workers() -> None:
    asset = Asset(href="/vsis3/b/k", gdal_env=gdal_options(S3Access(**KEYS), "b"))
    for text in (repr(asset), str(asset), asset.model_dump_json(), repr(asset.model_dump())):
        assert "the-" not in text
    assert pickle.loads(pickle.dumps(asset)).gdal_env["AWS_SECRET_ACCESS_KEY"] == "the-secret"


@pytest.mark.parametrize("address", ["s3://", "s3:///key", "s3://b", "s3://b c/d"])
def test_an_address_without_a_bucket_is_refused(address: str) -> None:
    with pytest.raises(RequestError, match="s3://bucket/prefix"):
        BucketFiles(address, S3Access())


@pytest.mark.parametrize(
    ("fault", "kind", "said", "attempts"),
    [
        ("403", AccessError, "AWS_ACCESS_KEY_ID", 1),
        ("401", AccessError, "AWS_ACCESS_KEY_ID", 1),
        ("expired", AccessError, r"ExpiredToken: The provided token has expired\. Set AWS_", 1),
        ("500", SourceError, "try again later", 3),
        ("503", SourceError, "try again later", 3),
        ("429", SourceError, "try again later", 1),
        ("drop", SourceError, "try again later", 2),
        ("404", FileNotFoundError, "no s3://bucket/a", 1),
    ],
)
def test_failures_are_told_and_attempts_bounded(
    file_server: Any, fault: str, kind: type[Exception], said: str, attempts: int
) -> None:
    (file_server.folder / "bucket").mkdir()
    (file_server.folder / "bucket" / "a").write_bytes(b"x" * 1000)
    file_server.faults["a"] = fault
    files = BucketFiles("s3://bucket", S3Access(endpoint=file_server.address, region="eu-central-1", **KEYS))
    with pytest.raises(kind, match=said) as failure:
        files.read("a")
    assert "the-" not in str(failure.value)
    assert file_server.asked["a"] == attempts
    del file_server.faults["a"]
    assert files.read("a") == b"x" * 1000, "a later attempt asks again"


def test_the_remedy_names_the_variables_of_the_bucket(file_server: Any) -> None:
    file_server.faults["a"] = "403"
    access = S3Access(endpoint=file_server.address, **KEYS)
    with pytest.raises(AccessError, match="CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY"):
        BucketFiles("s3://eodata/Sentinel-2", access).read("a")


def test_nobody_answers() -> None:
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9 can be reached"):
        BucketFiles("s3://bucket", S3Access(endpoint="http://127.0.0.1:9", **KEYS)).list()
