"""What a catalogue may name: spellings of addresses, and what leads out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from catalog.errors import ProductError, Reason
from catalog.networks import Network
from catalog.sources.reach import Reach, networks_for
from catalog.storage.credentials import Credentials, S3Access


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A catalogue with an item in `archive/items` and its files in `archive/pixels`, and a file outside of it."""
    root = tmp_path / "archive"
    for folder in ("items", "pixels", "a b"):
        (root / folder).mkdir(parents=True)
    for file in ("items/B04.tif", "pixels/B04.tif", "a b/B 04.tif", "pixels/50%.tif"):
        (root / file).touch()
    (tmp_path / "secret.tif").touch()
    (root / "catalog.json").touch()
    return root


def reached(archive: Path, href: str) -> str:
    reach = Reach.of(str(archive / "catalog.json"))
    return str(Path(reach.address(str(archive / "items" / "item.json"), href)).relative_to(archive))


@pytest.mark.parametrize(
    ("href", "file"),
    [
        ("B04.tif", "items/B04.tif"),
        ("./B04.tif", "items/B04.tif"),
        ("../pixels/B04.tif", "pixels/B04.tif"),
        ("../a b/B 04.tif", "a b/B 04.tif"),
        ("../a%20b/B%2004.tif", "a b/B 04.tif"),
        ("../pixels/50%.tif", "pixels/50%.tif"),
        ("../pixels/50%25.tif", "pixels/50%.tif"),
        ("ROOT/pixels/B04.tif", "pixels/B04.tif"),
        ("file://ROOT/pixels/B04.tif", "pixels/B04.tif"),
        ("file:ROOT/pixels/B04.tif", "pixels/B04.tif"),
        ("FILE://localhostROOT/pixels/B04.tif", "pixels/B04.tif"),
        ("file://ROOT/a%20b/B%2004.tif", "a b/B 04.tif"),
        ("not-there.tif", "items/not-there.tif"),
    ],
)
def test_a_file_below_the_catalogue_is_reached_however_it_is_written(archive: Path, href: str, file: str) -> None:
    assert reached(archive, href.replace("ROOT", str(archive))) == file


@pytest.mark.parametrize(
    ("href", "why"),
    [
        ("../../secret.tif", "leads out of"),
        ("../items/../../secret.tif", "leads out of"),
        ("..%2f..%2fsecret.tif", "leads out of"),
        ("/etc/passwd", "leads out of"),
        ("//etc/passwd", "leads out of"),
        ("file:///etc/passwd", "leads out of"),
        ("linked.tif", "leads out of"),
        ("folder/secret.tif", "leads out of"),
        ("file://other-host/B04.tif", "another machine"),
        ("/vsicurl/http://127.0.0.1/a.tif", "a path of GDAL's"),
        ("/vsizip//vsicurl/http://127.0.0.1/a.zip/a.tif", "a path of GDAL's"),
        ("zip+https://host/a.zip!a.tif", r"an address of zip\+https://"),
        ("gs://bucket/a.tif", "an address of gs://"),
        ("a\0.tif", "null byte"),
    ],
)
def test_what_leads_out_of_the_catalogue_is_refused(archive: Path, href: str, why: str) -> None:
    (archive / "items" / "linked.tif").symlink_to(archive.parent / "secret.tif")
    (archive / "items" / "folder").symlink_to(archive.parent)
    with pytest.raises(ProductError, match=why) as refused:
        reached(archive, href)
    assert refused.value.kind is Reason.NOT_ALLOWED


def test_a_link_within_the_catalogue_is_followed(archive: Path) -> None:
    (archive / "items" / "linked.tif").symlink_to(archive / "pixels" / "B04.tif")
    assert reached(archive, "linked.tif") == "items/linked.tif"


def test_a_local_catalogue_may_name_the_web_and_buckets(archive: Path) -> None:
    reach, item = Reach.of(str(archive / "catalog.json")), str(archive / "items.json#one/two")
    assert reach.address(item, "HTTPS://host/a b/B04.tif?sig=a%2Fb") == "https://host/a%20b/B04.tif?sig=a%2Fb"
    assert reach.address(item, "s3://bucket/B04.tif") == "s3://bucket/B04.tif"
    (archive / "items.json").touch()
    assert reach.address(item, "pixels/B04.tif") == str(archive / "pixels" / "B04.tif")


@pytest.mark.parametrize("document", ["https://host/c/item.json", "s3://bucket/c/item.json"])
def test_a_catalogue_of_the_network_names_no_file(document: str) -> None:
    reach = Reach.of(document)
    root = document.removesuffix("c/item.json")
    assert reach.address(document, "B04.tif") == f"{root}c/B04.tif"
    assert reach.address(document, "/etc/passwd") == f"{root}etc/passwd", "a path of its own server"
    for href in ("file:///etc/passwd", "file:/etc/passwd", "file://localhost/etc/passwd", "/vsicurl/http://a/b"):
        with pytest.raises(ProductError) as refused:
            reach.address(document, href)
        assert refused.value.kind is Reason.NOT_ALLOWED
    # Also one that a catalogue of this machine leads to.
    with pytest.raises(ProductError, match="a file of this machine"):
        Reach(Path("/")).address(document, "file:///etc/passwd")


def test_the_networks_that_a_document_may_name_are_the_public_one_and_its_own() -> None:
    nowhere = Credentials()
    assert networks_for("http://127.0.0.1:8000/item.json", nowhere) == (Network.LOOPBACK, Network.PUBLIC)
    assert networks_for("http://localhost/item.json", nowhere) == (Network.LOOPBACK, Network.PUBLIC)
    assert networks_for("http://10.0.0.1/item.json", nowhere) == (Network.PRIVATE, Network.PUBLIC)
    assert networks_for("http://8.8.8.8/item.json", nowhere) == (Network.PUBLIC,)
    assert networks_for("s3://bucket/item.json", nowhere) == (Network.PUBLIC,)
    minio = Credentials(s3=S3Access(endpoint="http://127.0.0.1:9000", key=SecretStr("k"), secret=SecretStr("s")))
    assert networks_for("s3://bucket/item.json", minio) == (Network.LOOPBACK, Network.PUBLIC)
    assert Network.LINK_LOCAL not in networks_for("/archive/item.json", nowhere)
