"""The function that opens rasters: three formats, by themselves, from allowed networks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import rasterio
from rasterio.errors import RasterioIOError
from web_kit import INSIDE, Web, pretended, served

from catalog.networks import Network, RefusedAddressError
from catalog.storage.pixels import open_pixels
from catalog.storage.relay import the_relay

TRANSFORM = rasterio.Affine(10, 0, 500000, 0, -10, 5600000)


def raster(path: Path, value: int = 7, driver: str = "GTiff", **options: str) -> Path:
    with rasterio.open(
        path, "w", driver=driver, height=64, width=64, count=1, dtype="uint16", crs="EPSG:32631", transform=TRANSFORM, **options,
    ) as file:  # fmt: skip
        file.write(np.full((1, 64, 64), value, np.uint16))
    return path


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A server whose address passes for a public one."""
    pretended(monkeypatch)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "web").mkdir()
    with served(tmp_path / "web") as web:
        yield web


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Web]:
    """A server that only this machine reaches."""
    (tmp_path / "inside").mkdir()
    raster(tmp_path / "inside" / "secret.tif", 99)
    with served(tmp_path / "inside", INSIDE) as web:
        yield web


@pytest.mark.parametrize(
    ("name", "driver", "options"),
    [("a.tif", "GTiff", {}), ("a.tif", "COG", {}), ("a.jp2", "JP2OpenJPEG", {"QUALITY": "100", "REVERSIBLE": "YES"})],
)
def test_the_three_formats_are_opened(tmp_path: Path, name: str, driver: str, options: dict[str, str]) -> None:
    with open_pixels(str(raster(tmp_path / name, 7, driver, **options))) as file:
        assert int(file.read(1).max()) == 7
        assert file.crs.to_epsg() == 32631


def test_a_description_that_names_another_file_or_address_is_not_opened(tmp_path: Path, inside: Web) -> None:
    secret = raster(tmp_path / "secret.tif", 99)
    vrt = (
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    wms = (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{inside.address}/${{z}}/${{x}}/${{y}}.tif</ServerUrl></Service>'
        "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1</LowerRightX><LowerRightY>0</LowerRightY>"
        "<TileLevel>1</TileLevel></DataWindow><BandsCount>1</BandsCount></GDAL_WMS>"
    )
    for text in (vrt, wms):
        file = tmp_path / "B04.tif"
        file.write_text(text)
        with pytest.raises(RasterioIOError, match="not recognized"):
            open_pixels(str(file))
    assert inside.asked == []


def test_files_beside_a_raster_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(path, "w", driver="GTiff", height=64, width=64, count=1, dtype="uint16") as file,
    ):
        file.write(np.full((1, 64, 64), 7, np.uint16))
    (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n500005\n5599995\n")
    lead = "<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>mask.tif</MDI></Metadata></PAMDataset>"
    (tmp_path / "a.tif.aux.xml").write_text(lead)
    raster(tmp_path / "mask.tif", 0)
    shutil.copy(tmp_path / "mask.tif", tmp_path / "a.tif.msk")
    shutil.copy(tmp_path / "mask.tif", tmp_path / "a.tif.ovr")
    with open_pixels(str(path)) as file:
        assert file.crs is None
        assert file.files == [str(path)]
        assert file.overviews(1) == []
        assert file.dataset_mask().min() == 255


def test_of_what_lies_beside_a_raster_without_georeference_that_alone_is_taken(tmp_path: Path) -> None:
    with_it = raster(tmp_path / "b.tif", 7)
    path = tmp_path / "a.jp2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="JP2OpenJPEG",
            height=64,
            width=64,
            count=1,
            dtype="uint16",
            QUALITY="100",
            REVERSIBLE="YES",
        ) as file:
            file.write(np.full((1, 64, 64), 7, np.uint16))
    beside = tmp_path / "a.jp2.aux.xml"
    said = f"<SRS>{rasterio.crs.CRS.from_epsg(32632).to_wkt()}</SRS><GeoTransform>500000, 20, 0, 5600000, 0, -20</GeoTransform>"
    lead = f"<Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>{with_it}</MDI></Metadata>"
    beside.write_text(f"<PAMDataset>{said}{lead}</PAMDataset>")
    with open_pixels(str(path)) as file:
        assert file.crs.to_epsg() == 32632
        assert tuple(file.bounds) == (500000, 5600000 - 64 * 20, 500000 + 64 * 20, 5600000)
        assert file.files == [str(path)]
        assert file.overviews(1) == []
        assert int(file.read(1).max()) == 7
    for text in (
        "<PAMDataset>",
        "<PAMDataset/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><PAMDataset/>",
        said.join(["<a>", "</b>"]),
    ):
        beside.write_text(text)
        with open_pixels(str(path)) as file:
            assert file.crs is None
    # A raster's own georeference is the one that counts.
    (tmp_path / "b.tif.aux.xml").write_text(f"<PAMDataset>{said}</PAMDataset>")
    with open_pixels(str(with_it)) as file:
        assert (file.crs.to_epsg(), file.transform) == (32631, TRANSFORM)


def test_a_raster_that_names_another_as_its_overview_does_not_lead_there(tmp_path: Path, inside: Web) -> None:
    path = raster(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{inside.address}/secret.tif")
    with open_pixels(str(path)) as file:
        assert int(file.read(1).max()) == 7
    assert inside.asked == []


def test_a_raster_on_the_web_is_read_through_redirects_and_with_its_query(web: Web) -> None:
    raster(web.folder / "a.tif")
    web.moved["/moved.tif"] = f"{web.address}/a.tif?sig=a%2Fb"
    for address in (f"{web.address}/a.tif?sig=a%2Fb%3D", f"{web.address}/moved.tif"):
        with open_pixels(address) as file:
            read: list[int] = []
            # Another thread has none of the options that it was opened with.
            thread = threading.Thread(target=lambda file=file, read=read: read.append(int(file.read(1).max())))
            thread.start()
            thread.join()
            assert read == [7]
    assert any("sig=a%2Fb%3D" in path for path in web.asked)


@pytest.mark.parametrize("exceptions", [None, INSIDE, "*"])
def test_a_redirect_to_where_only_this_machine_reaches_is_not_followed(
    web: Web, inside: Web, exceptions: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        if exceptions is not None:
            monkeypatch.setenv(name, exceptions)
    web.moved["/a.tif"] = f"{inside.address}/secret.tif"
    with pytest.raises(RefusedAddressError, match=rf"{INSIDE} is loopback"):
        open_pixels(f"{web.address}/a.tif")
    assert inside.asked == []
    # GDAL remembers what an address answered.
    with open_pixels(f"{web.address}/a.tif?again", networks=(Network.PUBLIC, Network.LOOPBACK)) as file:
        assert int(file.read(1).max()) == 99


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "2130706434", "[::ffff:127.0.0.2]"])
def test_an_address_that_means_this_machine_is_refused_however_it_is_written(inside: Web, host: str) -> None:
    port = inside.address.rpartition(":")[2]
    with pytest.raises(RefusedAddressError, match="loopback"):
        open_pixels(f"http://{host}:{port}/secret.tif")
    assert inside.asked == []


def test_behind_a_proxy_of_the_environment_the_address_itself_is_judged(
    inside: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(RefusedAddressError, match="loopback"):
        open_pixels(f"{inside.address}/secret.tif")
    assert inside.asked == []


READING = """
import os, sys
import psutil
from catalog.networks import Network
from catalog.storage.pixels import open_pixels
with open_pixels(sys.argv[1], networks=(Network.LOOPBACK,)) as file:
    print(*file.overviews(1), int(file.read(1, window=((0, 64), (0, 64))).max()))
print(psutil.Process().children()[0].pid, flush=True)
os._exit(0)  # as one that is killed
"""


def test_a_raster_whose_directories_lie_far_into_its_file_is_read(file_server: Any) -> None:
    """GDAL reads them when rasterio asks for masks, which holds the interpreter's lock: what carries the bytes may not need it."""
    path = file_server.folder / "far.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=4096, width=4096, count=1, dtype="uint16", crs="EPSG:32631", transform=TRANSFORM,
        tiled=True, blockxsize=64, blockysize=64, compress="deflate", sparse_ok=True,
    ) as file:  # fmt: skip
        file.write(np.full((1, 64, 64), 7, np.uint16), window=((0, 64), (0, 64)))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    command = [sys.executable, "-c", READING, f"{file_server.address}/far.tif"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    *read, relay = done.stdout.split()
    assert read == ["2", "4", "7"], done.stderr
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(relay)).wait(20)


def test_a_relay_that_was_killed_is_begun_anew(file_server: Any) -> None:
    raster(file_server.folder / "a.tif")
    address, loopback = f"{file_server.address}/a.tif", (Network.LOOPBACK,)
    with open_pixels(f"{address}?1", networks=loopback) as file:
        assert int(file.read(1).max()) == 7
    (relay,) = [child for child in psutil.Process().children() if "catalog.storage.relay" in child.cmdline()]
    relay.kill()
    relay.wait()
    with open_pixels(f"{address}?2", networks=loopback) as file:
        assert int(file.read(1).max()) == 7
    with pytest.raises(RefusedAddressError, match=r"127\.0\.0\.1 is loopback"):
        open_pixels(f"{address}?3")


def test_what_was_refused_for_one_catalogue_is_not_said_of_another() -> None:
    nobody = "http://127.0.0.1:9/a.tif"
    with pytest.raises(RefusedAddressError, match="loopback"):
        open_pixels(nobody)
    with pytest.raises(RasterioIOError, match="connect"):
        open_pixels(f"{nobody}?1", networks=(Network.LOOPBACK,))


def test_the_relay_serves_nobody_without_its_password(inside: Web) -> None:
    port = int(the_relay().proxy([Network.LOOPBACK]).rpartition(":")[2])
    for password in (b"", b"0" * 32):
        with socket.create_connection(("127.0.0.1", port), 5) as client:
            client.sendall(b"\x05\x01\x02")
            assert client.recv(2) == b"\x05\x02"
            client.sendall(b"\x01\x08loopback" + bytes([len(password)]) + password)
            assert client.recv(2) == b"\x01\x01"
            assert client.recv(1) == b""
    assert inside.asked == []
