"""What every test may use."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pydantic import SecretStr

from catalog.bucket_path import BucketPath, file_system
from catalog.credentials import S3Access

# Property tests are judged by their results, not by how busy the machine is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Access]:
    """An S3 endpoint: moto's server, or the one that CROPLINE_TEST_S3_ENDPOINT names, entered with the usual AWS_ keys."""
    endpoint = os.environ.get("CROPLINE_TEST_S3_ENDPOINT")
    if endpoint:
        yield S3Access(
            endpoint=endpoint,
            region=os.environ.get("AWS_REGION"),
            key=SecretStr(os.environ["AWS_ACCESS_KEY_ID"]),
            secret=SecretStr(os.environ["AWS_SECRET_ACCESS_KEY"]),
        )
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield S3Access(
        endpoint=f"http://{host}:{port}",
        region="us-east-1",
        key=SecretStr("key-of-the-test"),
        secret=SecretStr("secret-of-the-test"),
    )
    server.stop()


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Access) -> Iterator[BucketPath]:
    """A bucket of this session, emptied and removed at its end."""
    files, name = file_system(s3_server), f"cropline-test-{uuid.uuid4().hex[:12]}"
    files.call_s3("create_bucket", Bucket=name)
    yield BucketPath(name, "", s3_server)
    files.rm(name, recursive=True)


@pytest.fixture
def bucket(s3_bucket: BucketPath) -> BucketPath:
    """A place in a bucket where nothing is yet."""
    return s3_bucket / uuid.uuid4().hex[:12]
