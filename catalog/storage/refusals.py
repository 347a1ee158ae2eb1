"""Answers of an object store: what they mean, and the error and remedy that they become in a store we write or an archive we read."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from catalog.errors import AccessError, SourceError, StoreError, StoreUnreachableError
from catalog.storage.credentials import S3Access, remedy


class Refusal(Enum):
    """A reason of an object store for not doing what it was asked."""

    NO_BUCKET = auto()
    MISSING = auto()
    """No such object is there."""
    NO_KEYS = auto()
    """Requests have to be signed, and there is nothing to sign them with."""
    DENIED = auto()
    UNMET = auto()
    """The condition of a put does not hold."""
    OUT_OF_RANGE = auto()
    """An object has no such bytes."""
    FULL = auto()
    UNSUPPORTED = auto()
    """The endpoint lacks a part of S3."""
    UNREACHABLE = auto()
    """Nobody answers, or the store is busy: it may come back."""
    FAILED = auto()


_BY_CODE = {
    code: refusal
    for refusal, codes in {
        Refusal.NO_BUCKET: ("NoSuchBucket",),
        Refusal.MISSING: ("NoSuchKey", "404"),
        Refusal.DENIED: (
            *("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "401", "403"),
            *("ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
        ),
        Refusal.UNMET: ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"),
        Refusal.OUT_OF_RANGE: ("InvalidRange", "416"),
        Refusal.FULL: ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"),
        Refusal.UNSUPPORTED: ("NotImplemented", "501"),
        Refusal.UNREACHABLE: (
            *("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout"),
            *("500", "502", "503", "504"),
        ),
    }.items()
    for code in codes
}
"""Keyed by the object store's own word, or by the HTTP status where its answer had none."""


def refusal_of(error: BaseException, access: S3Access) -> Refusal:
    """The meaning of an error that the client raised."""
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    code = _code(error)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Refusal.NO_KEYS
    # An answer to HEAD has no body to say that the token has expired.
    if isinstance(error, PermissionError) or (code == "400" and access.token is not None):
        return Refusal.DENIED
    if isinstance(error, FileNotFoundError):
        return Refusal.MISSING
    if getattr(error, "errno", None) == errno.ENOSPC:
        return Refusal.FULL
    if isinstance(error, BotoCoreError | ClientError | ConnectionError | TimeoutError):
        return Refusal.UNREACHABLE
    return Refusal.FAILED


@contextmanager
def store_errors(address: str, access: S3Access) -> Iterator[None]:
    """Turn errors of the client into `StoreError`, those that may go away into `StoreUnreachableError`; ``address``: what was asked for."""
    try:
        yield
    except _client_errors() as error:
        refusal, endpoint = refusal_of(error, access), access.endpoint or "AWS"
        if refusal is Refusal.UNREACHABLE:
            raise StoreUnreachableError(
                f"{address}: {endpoint} can't be reached ({error}). Check the network, AWS_ENDPOINT_URL and "
                "AWS_REGION, and run again; what was finished is kept."
            ) from error
        texts = {
            Refusal.NO_BUCKET: f"there is no bucket {address.removeprefix('s3://').partition('/')[0]} at {endpoint}. "
            "Make it, or correct CROPLINE_CUBES.",
            Refusal.NO_KEYS: "no keys to the object store. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            Refusal.DENIED: f"{endpoint} denies access ({error}). Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
            "AWS_SESSION_TOKEN, and that their owner may list, read, write and delete there.",
            Refusal.FULL: f"the object store is full ({error}). Free some space and run again; what was finished is kept.",
            Refusal.UNSUPPORTED: f"{endpoint} lacks what cubes need, puts with a condition among it ({error}). "
            "Use another object store.",
        }
        failed = f"the object store failed ({error}). Run again; what was finished is kept."
        raise StoreError(f"{address}: {texts.get(refusal, failed)}") from error


@contextmanager
def archive_errors(address: str, access: S3Access) -> Iterator[None]:
    """Turn errors of the client into `AccessError`, `SourceError` or, where nothing lies at ``address``, `FileNotFoundError`."""
    try:
        yield
    except _client_errors() as error:
        refusal = refusal_of(error, access)
        if refusal in (Refusal.MISSING, Refusal.NO_BUCKET):
            raise FileNotFoundError(f"no {address}: {error}") from error
        if refusal in (Refusal.DENIED, Refusal.NO_KEYS):
            raise AccessError(f"{address} may not be read: {_words(error)}. {remedy(address)}") from error
        raise SourceError(
            f"{address} can't be read: {_words(error)}. Check that {access.endpoint or 'AWS'} can be reached, and try again later."
        ) from error


def _client_errors() -> tuple[type[Exception], ...]:
    # Looked up where something has failed: these packages are slow to import.
    import aiohttp
    import botocore.exceptions

    return (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, aiohttp.ClientError)


def _code(error: BaseException) -> str:
    """The object store's own word for an error, or the HTTP status where its answer had none; empty where it didn't answer."""
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _words(error: BaseException) -> str:
    code, text = _code(error), str(getattr(error, "strerror", None) or error).strip().rstrip(".")
    return f"{code}: {text}" if code and code not in text else text
