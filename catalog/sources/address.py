"""Addresses of documents and files: paths of this machine, URLs, and s3://bucket/key."""

from __future__ import annotations

import hashlib
import re

from catalog.guards.addresses import split_address


def is_url(address: str) -> bool:
    """True of an address of http(s)."""
    return re.match(r"https?://", address, re.IGNORECASE) is not None


def is_s3(address: str) -> bool:
    """True of ``s3://bucket/key``. What is neither this nor a URL is a path."""
    return address.startswith("s3://")


def may_hold_secret(url: str) -> bool:
    """True of a URL with a user name, a password or a query, or that can't be understood: addresses end in reports and logs."""
    try:
        parts = split_address(url, ValueError)
    except ValueError:
        return True
    return bool(parts.username or parts.password or parts.query)


def source_id(kind: str, name: str, address: str) -> str:
    """Identifier such as ``stac-flanders-2019-1a2b3c4d``: readable, and different for every address."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return "-".join(part for part in (kind, slug, digest) if part)
