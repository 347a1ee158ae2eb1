"""The client of object stores: AWS, the Copernicus Data Space or any other S3 endpoint, for `s3fs` and for GDAL.

Listings are never remembered: other workers write beside this one, and a schedule has to see what is new.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from catalog.errors import RequestError
from catalog.guards import addresses
from catalog.quoting import shown
from catalog.storage.credentials import S3Access

if TYPE_CHECKING:
    from s3fs import S3FileSystem

Use = Literal["archive", "store"]
"""Archives are only read, and without a key requests aren't signed; a store is ours, and without a key the machine's role is used."""

_ATTEMPTS: dict[Use, tuple[int, int]] = {"archive": (3, 2), "store": (7, 5)}
"""Attempts at one request, with pauses that grow to some seconds, and at all of it where a body breaks off or the store is busy.

The store is waited for, half a minute on average: one that starts anew is there again by then, and whatever is under way goes on. An
attempt at a whole stage wouldn't do: a long one meets the next absence.
"""


@lru_cache(maxsize=64)
def s3_client(access: S3Access, use: Use, asynchronous: bool = False) -> S3FileSystem:
    """The client of this process for an access and a use; ``asynchronous``: called from a running event loop."""
    import s3fs  # slow to import, and needed by buckets alone

    attempts, rounds = _ATTEMPTS[use]
    client = s3fs.S3FileSystem(
        anon=use == "archive" and access.key is None,
        key=_revealed(access.key),
        secret=_revealed(access.secret),
        token=_revealed(access.token),
        endpoint_url=access.endpoint,
        client_kwargs={"region_name": access.region} if access.region else {},
        config_kwargs={
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"mode": "standard", "total_max_attempts": attempts},
            "max_pool_connections": 32,
        },
        requester_pays=access.requester_pays,
        max_concurrency=1,  # one request reads an object: in parts it might be parts of two, and its size is asked for first
        use_listings_cache=False,
        skip_instance_cache=True,  # fsspec keeps one per thread, and each a pool of connections
        asynchronous=asynchronous,
    )
    client.retries = rounds
    return client


def split_address(address: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``. Raises `RequestError`."""
    match = re.fullmatch(r"s3://([A-Za-z0-9][A-Za-z0-9._-]+)(?:/(.*))?", address)
    if match is None or not address.isprintable():
        raise RequestError(f"{shown(address)}: a bucket's address looks like s3://bucket/prefix.")
    return match[1], (match[2] or "").strip("/")


def gdal_options(access: S3Access, bucket: str) -> dict[str, str]:
    """All options that GDAL enters a bucket with; holds secrets.

    Complete, so that nothing of another endpoint or of the environment is mixed in.
    """
    endpoint = addresses.split_address(
        access.endpoint or "https://s3.amazonaws.com",
        lambda why: RequestError(f"AWS_ENDPOINT_URL: {why}. Correct or unset it."),
    )
    return {
        "AWS_S3_ENDPOINT": endpoint.netloc + endpoint.path.rstrip("/"),
        "AWS_HTTPS": "NO" if endpoint.scheme == "http" else "YES",
        # A certificate of *.s3.amazonaws.com doesn't hold for a bucket with a dot; other endpoints have no host for each bucket.
        "AWS_VIRTUAL_HOSTING": "TRUE" if access.endpoint is None and "." not in bucket else "FALSE",
        "AWS_REGION": access.region or "us-east-1",
        "AWS_NO_SIGN_REQUEST": "YES" if access.key is None else "NO",
        "AWS_ACCESS_KEY_ID": _revealed(access.key) or "",
        "AWS_SECRET_ACCESS_KEY": _revealed(access.secret) or "",
        "AWS_SESSION_TOKEN": _revealed(access.token) or "",
        "AWS_REQUEST_PAYER": "requester" if access.requester_pays else "",
    }


def _revealed(secret: Any) -> str | None:
    return None if secret is None else str(secret.get_secret_value())
