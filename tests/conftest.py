"""What every test may use."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
import sentinel_hub_kit
from filelock import FileLock
from hypothesis import settings
from pydantic import SecretStr
from refusing_store import Refusing
from shapely.geometry import box

from catalog.area import as_geojson
from catalog.grid import Window, to_lonlat
from catalog.storage.bucket_path import BucketPath
from catalog.storage.credentials import S3Access
from catalog.storage.s3 import s3_client
from processors.simulation.products.archive import ProductSettings, write_products

# Property tests are judged by their results, not by how busy the machine is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# A shell that starts the tests in the background has them ignore interrupts, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs and servers first: what takes long is not begun when all else is done."""
    items.sort(key=lambda item: "flows" not in item.path.parts)


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: while one waits for a server or a timeout, the others work."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real Sentinel-2 test data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CROPLINE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real test data at {folder}; set CROPLINE_TEST_DATA to their folder")
    return folder


@dataclass(frozen=True, slots=True)
class MissionArchive:
    """What the simulated mission wrote: an archive of L2A products, January to July 2019, and the truth beside it."""

    folder: Path
    source: str
    window: Window

    @property
    def labels(self) -> Path:
        """Crop codes of every pixel."""
        return self.folder / "truth" / "crops_2019.tif"

    @property
    def legend(self) -> Path:
        return self.folder / "truth" / "crops_2019.legend.csv"

    @property
    def parcels(self) -> Path:
        return self.folder / "truth" / "parcels_2019.parquet"

    @property
    def products(self) -> tuple[Path, ...]:
        """Their STAC items, by time."""
        items = (self.folder / "products" / "sentinel-2-l2a").glob("*/*.json")
        return tuple(sorted(items, key=lambda path: path.name.split("_")[2]))

    @property
    def area(self) -> dict[str, Any]:
        """GeoJSON polygon of the window, longitude and latitude."""
        return as_geojson(to_lonlat(box(*self.window.bounds), self.window.epsg))


def _archive(folder: Path, window: Window, **settings: Any) -> MissionArchive:
    area = as_geojson(to_lonlat(box(*window.bounds).buffer(-1), window.epsg))
    start, end = datetime(2019, 1, 1, tzinfo=UTC), datetime(2019, 8, 1, tzinfo=UTC)
    made = write_products(folder, ProductSettings(area=area, start=start, end=end, **settings), processes=2)
    return MissionArchive(folder, made.source, window)


@pytest.fixture(scope="session")
def write_mission_archive() -> Callable[..., MissionArchive]:
    """Writes an archive over a window into a folder; ``seed`` and ``farming`` as the mission has them."""
    return _archive


@pytest.fixture(scope="session")
def mission_archive(tmp_path_factory: pytest.TempPathFactory) -> MissionArchive:
    """What was seen of 60 x 60 pixels: 43 acquisitions, half of them clear. All processes of a run of tests read the same."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with FileLock(folder / "mission.lock"):  # who comes later finds it whole
        return _archive(folder / "mission", Window(32631, 57_804, 562_500, 60, 60), seed=8)


@pytest.fixture
def sentinel_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Sentinel Hub on this machine, a `sentinel_hub_server.SentinelHub` without scenes."""
    # Only there: its client sends secrets by https, and this one is no further than the loopback.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setattr("catalog.sources.sentinel_hub.client.PAUSE", 0.01)
    server = sentinel_hub_kit.SentinelHub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Access]:
    """How a local object store is entered; another one where CROPLINE_TEST_S3_ENDPOINT and the usual AWS_ variables are set."""
    endpoint = os.environ.get("CROPLINE_TEST_S3_ENDPOINT")
    if endpoint:
        yield S3Access(
            endpoint=endpoint,
            region=os.environ.get("AWS_REGION", "us-east-1"),
            key=SecretStr(os.environ["AWS_ACCESS_KEY_ID"]),
            secret=SecretStr(os.environ["AWS_SECRET_ACCESS_KEY"]),
        )
        return
    from moto.server import ThreadedMotoServer  # takes a second, and most tests need no object store

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    yield S3Access(
        endpoint=f"http://{host}:{port}",
        region="eu-central-1",
        key=SecretStr("the-s3-key"),
        secret=SecretStr("the-s3-secret"),
    )
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: S3Access) -> Iterator[tuple[str, Any]]:
    """Name of an empty bucket, and an s3fs file system to fill it with."""
    import s3fs

    assert s3_server.key is not None
    assert s3_server.secret is not None
    filesystem = s3fs.S3FileSystem(
        key=s3_server.key.get_secret_value(),
        secret=s3_server.secret.get_secret_value(),
        client_kwargs={"endpoint_url": s3_server.endpoint, "region_name": s3_server.region},
        use_listings_cache=False,
    )
    name = f"cropline-test-{uuid4().hex[:12]}"
    filesystem.mkdir(name)
    yield name, filesystem
    filesystem.rm(name, recursive=True)


@pytest.fixture
def refusing() -> Iterator[Callable[..., BucketPath]]:
    """Starts an object store that answers every request with one status and code, and gives a path in it."""
    servers: list[Refusing] = []

    def start(status: int, code: str, cut: bool = False) -> BucketPath:
        servers.append(Refusing(status, code, cut))
        return servers[-1].path()

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


class FileServer:
    """Files over HTTP, on 127.0.0.1, from a server that misbehaves where it is told to. Also an S3 endpoint, as far as reading goes."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.faults: dict[str, str] = {}
        """By file name, ``*`` for every raster: an HTTP status, ``expired`` (S3's word for a token), ``drop`` (in the middle of
        the file), ``silent``."""
        self.faults_left: dict[str, int] = {}
        """Requests after which a fault ends, by file name; one that isn't here stays."""
        self.asked: Counter[str] = Counter()
        """Requests by file name."""
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"files": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fault_of(self, name: str) -> str:
        """The fault of one request."""
        left = self.faults_left.get(name)
        if left is not None:
            self.faults_left[name] = left - 1
            if left <= 0:
                return ""
        return self.faults.get(name, self.faults.get("*", "") if name.endswith(".tif") else "")

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: FileServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = path.rsplit("/", 1)[-1]
        self.files.asked[name] += 1
        fault = self.files.fault_of(name)
        file = self.files.folder / path.lstrip("/")
        if fault == "silent":
            self.files.closing.wait(30)
            self.close_connection = True
        elif fault == "expired":
            self._answer(
                400, b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
            )
        elif fault.isdigit():
            self._answer(int(fault), b"", {"Retry-After": "1"} if fault == "429" else {})
        elif not file.is_file():
            self._answer(404, b"")
        else:
            content = file.read_bytes()
            first, last = self._range(len(content))
            part = content[first : last + 1]
            half = len(part) // 2 if fault == "drop" and last >= len(content) // 2 else len(part)
            headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}"} if "Range" in self.headers else {}
            self._answer(206 if headers else 200, part[:half], headers, length=len(part))

    def _range(self, size: int) -> tuple[int, int]:
        first, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        return int(first), min(int(last or size), size - 1)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"Accept-Ranges": "bytes", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length is not None and length != len(body):
            self.wfile.flush()
            self.close_connection = True


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[FileServer]:
    """Serves the folder `served` of the test's own."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = FileServer(folder)
    yield server
    server.close()


@pytest.fixture(scope="session")
def cubes_bucket(s3_server: S3Access) -> Iterator[BucketPath]:
    """A bucket of this session, emptied and removed at its end."""
    files, name = s3_client(s3_server, "store"), f"cropline-test-{uuid4().hex[:12]}"
    files.mkdir(name)
    yield BucketPath(name, "", s3_server)
    files.rm(name, recursive=True)


@pytest.fixture
def bucket(cubes_bucket: BucketPath) -> BucketPath:
    """A place in a bucket where nothing is yet."""
    return cubes_bucket / uuid4().hex[:12]
