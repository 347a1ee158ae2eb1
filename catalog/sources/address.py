"""Addresses of documents and files: paths of this machine and URLs."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urljoin


def is_url(place: str) -> bool:
    """True of http(s); every other place that documents are read from is a path."""
    return re.match(r"https?://", place) is not None


def join(base: str, href: str) -> str:
    """Where ``href`` leads that stands in the document ``base``."""
    href = href.removeprefix("file://")
    if re.match(r"[a-z0-9]+://", href):
        return href
    return urljoin(base, href) if is_url(base) else os.path.normpath(Path(base).parent / href)


def source_id(kind: str, name: str, address: str) -> str:
    """E.g. ``stac-flanders-2019-1a2b3c4d``: readable, and different for every address."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    return "-".join(part for part in (kind, slug, digest) if part)
