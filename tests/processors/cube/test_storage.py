"""What differs between a disk and a bucket: making a cell, the lock of its growth, and what is said when a bucket fails."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cube_kit import dates
from pydantic import SecretStr

from catalog.errors import StoreError, StoreUnreachableError
from catalog.grid import Cell
from catalog.storage.bucket_path import BucketPath, bucket_path
from catalog.storage.credentials import S3Access
from catalog.storage.store import CellPath, open_store
from processors.cube import lock
from processors.cube.cell import Cube, ensure_cell, extend
from processors.cube.lock import locked

CELL = Cell(32631, 56, 549)


def made(place: CellPath) -> CellPath:
    path = place / f"{CELL.name}.zarr"
    ensure_cell(path, CELL, "L2A", source="s", synthetic=True)
    return path


def test_the_files_of_a_new_cell_are_the_same_in_both_places(
    tmp_path: Path, bucket: BucketPath, cube_kit: ModuleType
) -> None:
    on_disk, in_bucket = made(tmp_path), made(bucket)
    assert cube_kit.files_of(on_disk) == cube_kit.files_of(in_bucket)
    assert (bucket / "elsewhere.zarr").exists() is False


@pytest.mark.parametrize("survived", [0, 5, 28])
def test_a_cell_whose_making_was_stopped_is_none_and_is_made_whole_later(
    bucket: BucketPath, tmp_path: Path, cube_kit: ModuleType, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    path, put, counting, puts = bucket / f"{CELL.name}.zarr", BucketPath.put, threading.Lock(), 0

    def stop_after(self: BucketPath, data: bytes, **condition: str) -> str | None:
        nonlocal puts
        with counting:
            puts += 1
            if puts > survived:
                raise KeyboardInterrupt
        return put(self, data, **condition)

    with monkeypatch.context() as patched:
        patched.setattr(BucketPath, "put", stop_after)
        with pytest.raises(KeyboardInterrupt):
            made(bucket)
    assert len(path.sizes()) == survived
    assert not path.exists()
    made(bucket)
    assert cube_kit.files_of(path) == cube_kit.files_of(made(tmp_path))


def test_making_a_cell_late_leaves_one_that_has_grown_as_it_is(
    bucket: BucketPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(bucket)
    extend(path, dates("a", 2))
    with monkeypatch.context() as patched:
        patched.setattr(BucketPath, "exists", lambda _: False)  # as it was when the late process looked
        made(bucket)
    assert Cube(path).acquisition_ids == ("a0", "a1")


_EXTEND = """
import sys
sys.path.insert(0, sys.argv[2])
from cube_kit import dates, place_at
from processors.cube.cell import extend
name = sys.argv[3]
print("ready", flush=True)
sys.stdin.readline()
for number in range(3):
    extend(place_at(sys.argv[1]), dates(name, 1, number + (10 if name == "b" else 0)))
"""


def child(code: str, path: CellPath, kit: ModuleType, repository: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(Path(kit.__file__).parent), *words],
        cwd=repository,
        env=kit.environment_for(path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_that_extend_one_cell_at_once_lose_no_date(
    place: CellPath, cube_kit: ModuleType, repository: Path
) -> None:
    path = made(place)
    writers = [child(_EXTEND, path, cube_kit, repository, name) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate(timeout=60) == ("", "")
        assert writer.returncode == 0
    cube = Cube(path)
    assert sorted(cube.acquisition_ids) == ["a0", "a1", "a2", "b10", "b11", "b12"]
    assert {array.shape[0] for array in cube.arrays.values()} == {6}
    assert [time.day for time in cube.times] == [1 + int(name[1:]) for name in cube.acquisition_ids]


_KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
import zarr
from cube_kit import dates, place_at
from processors.cube.cell import extend
resize, resized = zarr.Array.resize, 0

def pause(array, shape):
    global resized
    resize(array, shape)
    resized += 1
    if resized == 7:
        print("in the middle", flush=True)
        time.sleep(60)

zarr.Array.resize = pause
extend(place_at(sys.argv[1]), dates("b", 2, 1))
"""


def test_a_killed_extension_is_taken_over(
    place: CellPath, cube_kit: ModuleType, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(place)
    extend(path, dates("a", 1))
    process = child(_KILLED, path, cube_kit, repository)
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert Cube(path).acquisition_ids == ("a0",)
    monkeypatch.setattr(lock, "LEASE", 1.0)
    extend(path, dates("c", 1, 5))
    cube = Cube(path)
    assert cube.acquisition_ids == ("a0", "c5")
    assert {array.shape[0] for array in cube.arrays.values()} == {2}


def test_a_lock_waits_for_a_holder_that_lives(place: CellPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEASE", 0.8)
    path, order = made(place), []

    def second() -> None:
        with locked(path):
            order.append("second")

    with locked(path) as still_held:
        waiting = threading.Thread(target=second)
        waiting.start()
        for _ in range(8):  # twice the lease, renewed all the time
            time.sleep(0.2)
            still_held()
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_who_lost_its_lock_writes_no_more_and_leaves_the_lock_alone(
    bucket: BucketPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE", 0.5)
    path = bucket / "cell.zarr"
    with pytest.raises(StoreError, match="another one took its lock"), locked(path) as still_held:  # noqa: SIM117
        with locked(path):  # it stood still: another one takes over
            still_held()
    with locked(path) as still_held:
        still_held()


def test_conditions_that_are_ignored_are_found_out(bucket: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    put = BucketPath.put
    monkeypatch.setattr(BucketPath, "put", lambda self, data, **_: put(self, data))
    with pytest.raises(StoreError, match="ignores the conditions"), locked(bucket / "cell.zarr"):
        pass


def test_a_bucket_that_is_not_there_is_named(bucket: BucketPath) -> None:
    nowhere = BucketPath("no-such-bucket-of-cropline", "cubes", bucket.access)
    with pytest.raises(StoreError, match=r"no bucket no-such-bucket-of-cropline .* Make it, or correct CROPLINE_CUBES"):
        made(nowhere)
    with pytest.raises(StoreError, match="no bucket"):
        nowhere.folders()


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    path = BucketPath(
        "bucket", "cubes", S3Access(endpoint="http://127.0.0.1:9", key=SecretStr("k"), secret=SecretStr("s"))
    )
    with pytest.raises(
        StoreError, match=r"http://127\.0\.0\.1:9 can't be reached .* Check the network, AWS_ENDPOINT_URL"
    ):
        path.exists()


class Refusing:
    """An S3 endpoint that answers every request with one error, or stops in the middle of its answer."""

    def __init__(self, status: int, code: str, cut: bool = False) -> None:
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        body = f"<Error><Code>{code}</Code><Message>told by the endpoint</Message></Error>".encode()

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) + (1000 if cut else 0)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def path(self) -> BucketPath:
        access = S3Access(
            endpoint=f"http://127.0.0.1:{self.server.server_port}",
            key=SecretStr("the-key"),
            secret=SecretStr("the-secret"),
        )
        return BucketPath("bucket", "cubes", access)


@pytest.fixture
def refusing() -> Iterator[Any]:
    servers: list[Refusing] = []

    def start(status: int, code: str, cut: bool = False) -> BucketPath:
        servers.append(Refusing(status, code, cut))
        return servers[-1].path()

    yield start
    for one in servers:
        one.server.shutdown()
        one.server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "AccessDenied", r"denies access .* Check AWS_ACCESS_KEY_ID.* may list, read, write and delete"),
        (403, "InvalidAccessKeyId", "denies access"),
        (400, "ExpiredToken", "denies access .* AWS_SESSION_TOKEN"),
        (507, "XMinioStorageFull", "the object store is full .* Free some space"),
        (501, "NotImplemented", "lacks what cubes need"),
        (400, "Whatever", "the object store failed"),
        (500, "InternalError", "can't be reached"),
    ],
)
def test_what_an_object_store_refuses_is_told_with_what_to_do(refusing: Any, status: int, code: str, told: str) -> None:
    path = refusing(status, code)
    with pytest.raises(StoreError, match=rf"(?s)^{path}/lock: .*{told}"):
        (path / "lock").put(b"")


def test_a_connection_that_breaks_in_the_middle_of_an_object_may_come_back(refusing: Any) -> None:
    with pytest.raises(StoreUnreachableError, match="can't be reached"):
        refusing(200, "", cut=True).read()


def test_reading_a_cell_that_may_not_be_read_is_the_same_error(refusing: Any) -> None:
    path = refusing(403, "AccessDenied")
    for ask in (path.exists, path.sizes, path.folders, path.read, lambda: Cube(path), lambda: made(path)):
        with pytest.raises(StoreError, match="denies access"):
            ask()


def test_an_error_in_the_middle_of_reading_is_told_too(bucket: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(bucket)
    extend(path, dates("a", 1))
    cube = Cube(path, "r+")

    async def refuse(*arguments: Any, **named: Any) -> bytes:
        raise PermissionError("Forbidden")

    store: Any = cube.arrays["clear"].store
    monkeypatch.setattr(store.fs, "_cat_file", refuse)
    monkeypatch.setattr(store.fs, "_pipe_file", refuse)
    with pytest.raises(StoreError, match="denies access"):
        cube.flags("ingested")
    with pytest.raises(StoreError, match="denies access"):
        cube.read("clear", 0)
    with pytest.raises(StoreError, match="denies access"):
        cube.set(0, ingested=1)
    with pytest.raises(StoreError, match="denies access"):
        cube.write_slab("clear", 0, np.ones((1024, 1024), np.uint8))


def test_keys_travel_to_other_processes_and_show_nowhere(caplog: pytest.LogCaptureFixture, refusing: Any) -> None:
    caplog.set_level(logging.DEBUG, logger="catalog")
    path: BucketPath = refusing(403, "AccessDenied")
    store = open_store(".", str(path), path.access)
    shown = [repr(store), str(store), repr(path), str(path), repr(store.cube("s", "L2A", CELL)), caplog.text]
    with pytest.raises(StoreError) as refused:
        made(path)
    shown += [str(refused.value), repr(refused.value)]
    assert not [text for text in shown if "the-key" in text or "the-secret" in text]
    again = pickle.loads(pickle.dumps(store))
    assert again.cubes.access.secret.get_secret_value() == "the-secret"
    with pytest.raises(TypeError):
        json.dumps(path)


def test_an_address_without_a_bucket_is_refused() -> None:
    for address in ("s3://", "s3:///prefix"):
        with pytest.raises(StoreError, match="Write s3://bucket/prefix"):
            bucket_path(address, S3Access())
    assert str(bucket_path("s3://bucket", S3Access()) / "a" / "b") == "s3://bucket/a/b"
    assert str(bucket_path("s3://bucket/", S3Access())) == "s3://bucket"
