"""Addresses of documents and files: paths of this machine, URLs, and s3://bucket/key."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urljoin


def is_url(place: str) -> bool:
    """True of http(s)."""
    return re.match(r"https?://", place) is not None


def is_s3(place: str) -> bool:
    """True of ``s3://bucket/key``. What is neither this nor a URL is a path."""
    return place.startswith("s3://")


def join(base: str, href: str) -> str:
    """Where ``href`` leads that stands in the document ``base``."""
    href = href.removeprefix("file://")
    if re.match(r"[a-z0-9]+://", href):
        return href
    if is_s3(base):  # urljoin knows no such scheme
        return "s3" + urljoin("http" + base.removeprefix("s3"), href).removeprefix("http")
    return urljoin(base, href) if is_url(base) else os.path.normpath(Path(base).parent / href)


def source_id(kind: str, name: str, address: str) -> str:
    """E.g. ``stac-flanders-2019-1a2b3c4d``: readable, and different for every address."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return "-".join(part for part in (kind, slug, digest) if part)
