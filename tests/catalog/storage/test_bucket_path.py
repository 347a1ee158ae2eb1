"""What is kept in a bucket: addresses, and what is said when the object store refuses or doesn't answer."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from catalog.errors import StoreError, StoreUnreachableError
from catalog.storage.bucket_path import BucketPath, bucket_path
from catalog.storage.credentials import S3Access


def test_an_endpoint_that_does_not_answer_is_named() -> None:
    path = BucketPath(
        "bucket", "cubes", S3Access(endpoint="http://127.0.0.1:9", key=SecretStr("k"), secret=SecretStr("s"))
    )
    with pytest.raises(
        StoreError, match=r"http://127\.0\.0\.1:9 can't be reached .* Check the network, AWS_ENDPOINT_URL"
    ):
        path.exists()


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


def test_an_address_without_a_bucket_is_refused() -> None:
    for address in ("s3://", "s3:///prefix"):
        with pytest.raises(StoreError, match="Write s3://bucket/prefix"):
            bucket_path(address, S3Access())
    assert str(bucket_path("s3://bucket", S3Access()) / "a" / "b") == "s3://bucket/a/b"
    assert str(bucket_path("s3://bucket/", S3Access())) == "s3://bucket"
