"""One vocabulary for what object stores answer, and the error that it becomes for a store and for an archive."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from pydantic import SecretStr
from s3fs.errors import translate_boto_error

from catalog.errors import AccessError, SourceError, StoreError, StoreUnreachableError
from catalog.storage.credentials import S3Access
from catalog.storage.refusals import Refusal, archive_errors, refusal_of, store_errors
from catalog.storage.s3 import s3_client

KEYS = S3Access(endpoint="https://store", key=SecretStr("k"), secret=SecretStr("s"))


def answered(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said so"}}, "PutObject")


@pytest.mark.parametrize(
    ("code", "refusal", "of_store", "of_archive"),
    [
        ("NoSuchBucket", Refusal.NO_BUCKET, StoreError, FileNotFoundError),
        ("NoSuchKey", Refusal.MISSING, StoreError, FileNotFoundError),
        ("404", Refusal.MISSING, StoreError, FileNotFoundError),
        ("AccessDenied", Refusal.DENIED, StoreError, AccessError),
        ("401", Refusal.DENIED, StoreError, AccessError),
        ("TokenRefreshRequired", Refusal.DENIED, StoreError, AccessError),
        ("AllAccessDisabled", Refusal.DENIED, StoreError, AccessError),
        ("PreconditionFailed", Refusal.UNMET, StoreError, SourceError),
        ("416", Refusal.OUT_OF_RANGE, StoreError, SourceError),
        ("507", Refusal.FULL, StoreError, SourceError),
        ("NotImplemented", Refusal.UNSUPPORTED, StoreError, SourceError),
        ("SlowDown", Refusal.UNREACHABLE, StoreUnreachableError, SourceError),
        ("503", Refusal.UNREACHABLE, StoreUnreachableError, SourceError),
        ("400", Refusal.FAILED, StoreError, SourceError),
        ("Whatever", Refusal.FAILED, StoreError, SourceError),
    ],
)
def test_an_answer_means_the_same_whoever_raises_it(
    code: str, refusal: Refusal, of_store: type[Exception], of_archive: type[Exception]
) -> None:
    for error in (translate_boto_error(answered(code)), answered(code)):
        meant = refusal if code != "AllAccessDisabled" or isinstance(error, PermissionError) else Refusal.FAILED
        assert refusal_of(error, KEYS) is meant
    with pytest.raises(of_store, match=r"^s3://bucket/key: ") as failure, store_errors("s3://bucket/key", KEYS):
        raise translate_boto_error(answered(code))
    assert type(failure.value) is of_store
    with pytest.raises(of_archive, match=r"s3://bucket/key") as failure, archive_errors("s3://bucket/key", KEYS):
        raise translate_boto_error(answered(code))
    assert type(failure.value) is of_archive


def test_what_never_was_answered_is_told_apart() -> None:
    assert refusal_of(NoCredentialsError(), S3Access()) is Refusal.NO_KEYS
    assert refusal_of(EndpointConnectionError(endpoint_url="https://store"), KEYS) is Refusal.UNREACHABLE
    assert refusal_of(TimeoutError(), KEYS) is Refusal.UNREACHABLE
    assert refusal_of(OSError(errno.ENOSPC, "full"), KEYS) is Refusal.FULL
    assert refusal_of(OSError("other"), KEYS) is Refusal.FAILED


def test_a_wordless_400_is_a_denial_where_a_token_may_have_ended() -> None:
    ending = KEYS.model_copy(update={"token": SecretStr("t")})
    assert refusal_of(translate_boto_error(answered("400")), ending) is Refusal.DENIED


def test_an_archive_without_keys_is_asked_unsigned_and_a_store_with_the_machines_role() -> None:
    assert s3_client(S3Access(endpoint="https://store"), "archive").anon
    assert not s3_client(S3Access(endpoint="https://store"), "store").anon
    assert s3_client(KEYS, "store") is s3_client(KEYS, "store")


def test_the_client_is_imported_where_a_bucket_is_used() -> None:
    code = (
        "import sys, catalog.storage.store, catalog.storage.archives; print({'s3fs', 'aiobotocore'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
