"""Pixels over HTTP and from object stores: whatever fails is told, nothing becomes zeros, and a later attempt asks again."""

from __future__ import annotations

import os
import pickle
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cube_kit
import numpy as np
import pytest
import rasterio
from pydantic import SecretStr

from catalog.errors import Reason
from catalog.grid import Cell
from catalog.networks import Network
from catalog.products import LEVEL_BANDS, Asset, LeftOut
from catalog.storage.credentials import S3Access
from catalog.storage.s3 import gdal_options
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest import opening as ingest_open
from processors.ingest.acquisition import IngestResult, extend_cells, ingest_acquisition

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)
L2A = LEVEL_BANDS["L2A"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses and time limits of seconds, without which these tests would take minutes; no host stays silent."""
    quick = {"GDAL_HTTP_RETRY_DELAY": "0.05", "GDAL_HTTP_LOW_SPEED_TIME": "1", "GDAL_HTTP_CONNECTTIMEOUT": "1"}
    for name, value in quick.items():
        monkeypatch.setitem(ingest_open.GDAL_ENVIRONMENT, name, value)
    monkeypatch.setattr(ingest_open, "_silent", {})
    for name, seconds in (("PATIENCE", 0.3), ("PAUSE", 0.1), ("SILENCE", 0.0)):
        monkeypatch.setattr(ingest_open, name, seconds)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 9000, (480, 480))


class Remote:
    """An archive of two complementary products, `a` whose B04 is served, and `b` on disk."""

    def __init__(self, store: Store, server: Any, driver: str = "GTiff") -> None:
        self.store, self.server = store, server
        self.archive = cube_kit.Archive(store.root / "archive")
        self.raw = noise(1)
        window = cube_kit.square(size=480)
        self.archive.add("a", {"B02": 50, "B04": self.raw, "SCL": 4}, window=window, datastrip="S1")
        source = store.root / "archive" / "a-B04.tif"
        self.name = "B04.tif" if driver == "GTiff" else "B04.jp2"
        self.file = server.folder / self.name
        if driver == "GTiff":
            self.file.write_bytes(source.read_bytes())
        else:
            with rasterio.open(source) as opened:
                profile = {**opened.profile, "driver": driver, "QUALITY": "100", "REVERSIBLE": "YES"}
                for name in ("compress", "interleave", "tiled", "blockxsize", "blockysize"):
                    profile.pop(name, None)
                with rasterio.open(self.file, "w", **profile) as written:
                    written.write(opened.read())
        self.href = f"{server.address}/{self.name}"
        self.archive.add("a", {"B02": 50, "SCL": 4}, window=window, datastrip="S1", hrefs={"B04": self.href})
        self.archive.add("b", {"B02": 60, "B04": 70, "SCL": 4}, window=window, datastrip="S2")

    def ingest(self) -> IngestResult:
        order = self.archive.order()
        extend_cells(self.store, order, [CELL])
        return ingest_acquisition(self.store, order, order.acquisitions[0].id, [CELL], order.source)

    def band(self, name: str) -> np.ndarray:
        cube = Cube(self.store.root / "cubes" / "kit" / "L2A" / f"{CELL.name}.zarr")
        return cube.read("reflectance", 0)[L2A.index(name), :480, :480]


@pytest.mark.parametrize(
    ("fault", "said", "kind", "most"),
    [
        ("401", "access denied: HTTP response code: 401. Check that it may be read", "denied", 2),
        ("403", "access denied: HTTP response code: 403", "denied", 2),
        ("404", "HTTP response code: 404", "", 2),
        ("429", "not reachable now: HTTP response code: 429", "passing", 6),
        ("500", "not reachable now: HTTP response code: 500", "passing", 6),
        ("503", "not reachable now: HTTP response code: 503", "passing", 6),
        ("silent", "not reachable now: ", "passing", 6),
    ],
)
def test_an_asset_that_fails_is_a_missing_band_with_its_reason(
    store: Store, file_server: Any, fault: str, said: str, kind: str, most: int
) -> None:
    remote = Remote(store, file_server)
    file_server.faults[remote.name] = fault
    result = remote.ingest()
    assert result.written == (CELL.name,)
    (dropped,) = result.dropped
    assert dropped.product == "a B04"
    assert dropped.reason.startswith(f"{remote.href}: {said}")
    assert dropped.kind == {"denied": Reason.ACCESS_DENIED, "passing": Reason.NOT_REACHABLE}.get(kind, Reason.NOT_THERE)
    assert (dropped.denied, dropped.passing) == (kind == "denied", kind == "passing")
    assert 1 <= file_server.asked[remote.name] <= most, "attempts are bounded"
    assert remote.band("B02")[0, 0] == 50, "the product's other bands are kept"
    assert remote.band("B04").max() == 0

    del file_server.faults[remote.name]
    again = remote.ingest()
    assert (again.written, again.dropped) == ((CELL.name,), ()), "a later attempt asks again"
    np.testing.assert_array_equal(remote.band("B04"), remote.raw)


@pytest.mark.parametrize("driver", ["GTiff", "JP2OpenJPEG"])
@pytest.mark.parametrize("how", ["drop", "truncated"])
def test_a_file_that_ends_in_its_middle_is_never_zeros(store: Store, file_server: Any, driver: str, how: str) -> None:
    remote = Remote(store, file_server, driver)
    whole = remote.file.read_bytes()
    if how == "drop":
        file_server.faults[remote.name] = "drop"
    else:
        remote.file.write_bytes(whole[: len(whole) * 2 // 3])
    result = remote.ingest()
    assert result.written == (CELL.name,)
    (dropped,) = result.dropped
    assert dropped.product == "a"
    assert dropped.reason.startswith(remote.href)
    assert dropped.passing
    assert np.unique(remote.band("B04")).tolist() == [70], "the other product is kept, nothing is of the broken one"
    assert np.unique(remote.band("B02")).tolist() == [60]

    file_server.faults.clear()
    remote.file.write_bytes(whole)
    again = remote.ingest()
    assert (again.written, again.dropped) == ((CELL.name,), ())
    np.testing.assert_array_equal(remote.band("B04"), remote.raw)


def test_a_host_that_starts_anew_is_waited_for(
    file_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a source that is away for some seconds while acquisitions are read side by side: none of them is lost."""
    monkeypatch.setattr(ingest_open, "PATIENCE", 20.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assets = [Asset(href=f"http://127.0.0.1:{port}/{number}.tif", networks=(Network.LOOPBACK,)) for number in range(4)]
    for number in range(4):
        (tmp_path / f"{number}.tif").write_bytes(raster(tmp_path / "made.tif", 7))
    with ThreadPoolExecutor(4) as readers:
        reading = [readers.submit(opened, asset) for asset in assets]
        time.sleep(0.5)
        begun = type(file_server)(tmp_path, port)
        try:
            assert [read.result() for read in reading] == [[7]] * 4
        finally:
            begun.close()


def test_a_host_that_was_waited_for_in_vain_is_not_asked_again_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_open, "SILENCE", 60.0)
    away = Asset(href="http://127.0.0.1:9/a.tif", networks=(Network.LOOPBACK,))
    with pytest.raises(ingest_open.MissingAssetError, match=r"not reachable now: .*connect"):
        opened(away)
    asked = Mock(side_effect=AssertionError("it is asked"))
    monkeypatch.setattr(ingest_open, "open_pixels", asked)
    with pytest.raises(ingest_open.MissingAssetError, match=r"not reachable now: .*connect") as raised:
        opened(away)
    assert raised.value.kind == Reason.NOT_REACHABLE


def test_tokens_in_addresses_are_not_told(store: Store, file_server: Any) -> None:
    remote = Remote(store, file_server)
    file_server.faults[remote.name] = "403"
    window = cube_kit.square(size=480)
    remote.archive.add(
        "a", {"B02": 50, "SCL": 4}, window=window, datastrip="S1", hrefs={"B04": f"{remote.href}?sig=the-token&sv=1"}
    )
    result = remote.ingest()
    assert result.dropped[0].reason.startswith(f"{remote.href}: access denied")
    assert "the-token" not in result.model_dump_json()
    cube = Cube(store.root / "cubes" / "kit" / "L2A" / f"{CELL.name}.zarr")
    assert "the-token" not in str(cube.values("left_out")[0])


def raster(path: Path, value: int) -> bytes:
    with rasterio.open(
        path, "w", driver="GTiff", height=16, width=16, count=1, dtype="uint16", crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
    ) as file:  # fmt: skip
        file.write(np.full((1, 16, 16), value, np.uint16))
    return path.read_bytes()


def opened(*assets: Asset) -> list[int]:
    """The value of each asset, all open at once."""
    with rasterio.Env(**ingest_open.GDAL_ENVIRONMENT), ingest_open.ExitStack() as stack:
        opener = ingest_open.AssetOpener(stack)
        files = [opener.open(asset) for asset in assets]
        return [int(file.read(1).max()) for file in files]


def test_each_asset_is_opened_with_its_own_endpoint_and_keys(
    s3_server: S3Access, s3_bucket: tuple[str, Any], file_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the environment, which belongs to a third store, nothing may be mixed in.
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another store")
    monkeypatch.setenv("AWS_S3_ENDPOINT", "127.0.0.1:9")
    name, store = s3_bucket
    store.pipe(f"{name}/a.tif", raster(tmp_path / "a.tif", 1))
    (file_server.folder / name).mkdir()
    (file_server.folder / name / "a.tif").write_bytes(raster(tmp_path / "b.tif", 2))
    signed = Asset(href=f"/vsis3/{name}/a.tif", gdal_env=gdal_options(s3_server, name))
    anonymous = Asset(href=f"/vsis3/{name}/a.tif", gdal_env=gdal_options(S3Access(endpoint=file_server.address), name))
    assert opened(signed, anonymous, pickle.loads(pickle.dumps(signed))) == [1, 2, 1]
    assert opened(anonymous, signed) == [2, 1]
    assert os.environ["AWS_S3_ENDPOINT"] == "127.0.0.1:9"


@pytest.mark.parametrize(
    ("fault", "kind"), [("expired", "denied"), ("403", "denied"), ("404", ""), ("500", "passing"), ("429", "passing")]
)
def test_a_bucket_that_fails_is_told_without_its_keys(
    file_server: Any, tmp_path: Path, fault: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    (file_server.folder / "eodata").mkdir()
    (file_server.folder / "eodata" / "a.tif").write_bytes(raster(tmp_path / "a.tif", 3))
    access = S3Access(
        endpoint=file_server.address,
        key=SecretStr("the-key"),
        secret=SecretStr("the-secret"),
        token=SecretStr("the-token"),
    )
    asset = Asset(href="/vsis3/eodata/a.tif", gdal_env=gdal_options(access, "eodata"))
    file_server.faults["a.tif"] = fault
    with pytest.raises(ingest_open.MissingAssetError) as failure:
        opened(asset)
    left = LeftOut.because("a", failure.value)
    assert (left.denied, left.passing) == (kind == "denied", kind == "passing"), left
    assert ("CDSE_S3_ACCESS_KEY" in left.reason) == left.denied
    assert file_server.asked["a.tif"] <= 9
    for secret in ("the-key", "the-secret", "the-token"):
        assert secret not in left.reason
        assert secret not in caplog.text
    file_server.faults.clear()
    assert opened(asset) == [3], "a later attempt asks again"


def test_a_refused_file_of_the_planetary_computer_says_where_its_token_comes_from() -> None:
    asset = Asset(href="https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/31/U/ES/B04.tif")
    for status in (403, 409):
        assert "gives a token for its files" in str(ingest_open._absent(asset, f"HTTP response code: {status}"))


def test_a_zip_archive_on_disk_is_there_and_one_in_a_bucket_remote(tmp_path: Path) -> None:
    (tmp_path / "p.zip").write_bytes(b"PK")
    inside = Asset(href=f"/vsizip/{{{tmp_path}/p.zip}}/P.SAFE/B04.jp2")
    assert not ingest_open.is_remote(inside)
    assert ingest_open.asset_state(inside).startswith("2:")
    (tmp_path / "p.zip").unlink()
    assert ingest_open.asset_state(inside) == "absent"
    assert ingest_open.is_remote(Asset(href="/vsizip/{/vsis3/b/p.zip}/P.SAFE/B04.jp2"))
    assert ingest_open.is_remote(Asset(href="/vsizip//vsicurl/http://host/p.zip/B04.jp2"))
