"""What is kept in a bucket: addresses, and what is said when the object store refuses or doesn't answer."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from catalog.errors import StoreError, StoreUnreachableError
from catalog.guards import addresses
from catalog.storage import s3
from catalog.storage.bucket_path import BucketPath, bucket_path
from catalog.storage.credentials import S3Access

RELAY = Path(__file__).resolve().parents[2] / "chaos" / "relay.py"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that give up early: how long they wait is no matter here."""
    monkeypatch.setitem(s3._ATTEMPTS, "store", (2, 2))


@pytest.mark.usefixtures("impatient")
def test_an_endpoint_that_does_not_answer_is_named() -> None:
    path = BucketPath(
        "bucket", "cubes", S3Access(endpoint="http://127.0.0.1:9", key=SecretStr("k"), secret=SecretStr("s"))
    )
    with pytest.raises(
        StoreError, match=r"http://127\.0\.0\.1:9 can't be reached .* Check the network, AWS_ENDPOINT_URL"
    ):
        path.exists()


def test_an_object_store_that_starts_anew_is_waited_for(s3_server: S3Access, s3_bucket: tuple[str, Any]) -> None:
    """Every single request waits: what is under way when the store goes away goes on when it is there again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = addresses.split_address(str(s3_server.endpoint), ValueError).port
    access = s3_server.model_copy(update={"endpoint": f"http://127.0.0.1:{port}"})
    relays: list[subprocess.Popen[bytes]] = []

    def come_back() -> None:
        relays.append(subprocess.Popen([sys.executable, str(RELAY), str(port), str(target)]))

    timer = threading.Timer(2, come_back)
    timer.start()
    try:
        path = BucketPath(s3_bucket[0], "there", access)
        path.put(b"content")
        relays[0].kill()
        relays.pop().wait()
        timer = threading.Timer(2, come_back)
        timer.start()
        assert path.read() is not None
    finally:
        timer.join()
        for relay in relays:
            relay.kill()
            relay.wait()


@pytest.mark.usefixtures("impatient")
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


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_breaks_in_the_middle_of_an_object_may_come_back(refusing: Any) -> None:
    with pytest.raises(StoreUnreachableError, match="can't be reached"):
        refusing(200, "", cut=True).read()


def test_an_address_without_a_bucket_is_refused() -> None:
    for address in ("s3://", "s3:///prefix"):
        with pytest.raises(StoreError, match="Write s3://bucket/prefix"):
            bucket_path(address, S3Access())
    assert str(bucket_path("s3://bucket", S3Access()) / "a" / "b") == "s3://bucket/a/b"
    assert str(bucket_path("s3://bucket/", S3Access())) == "s3://bucket"
