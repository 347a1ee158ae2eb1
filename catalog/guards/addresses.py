"""Addresses of services, documents and files."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urljoin, urlsplit

from catalog.guards.refusal import Refuse, refusing
from catalog.quoting import shown

LONGEST = 8000
"""Characters; longer ones no server takes."""

_FOREIGN = (ValueError,)  # an IPv6 number without its bracket, a port that is none, a host that can't be encoded
_IMPOSSIBLE = re.compile("[\x00-\x20\x7f\ud800-\udfff]")


def split_address(address: str, refuse: Refuse) -> SplitResult:
    """The parts of an address, its host and port among them. Raises what ``refuse`` makes."""
    if len(address) > LONGEST or _IMPOSSIBLE.search(address.strip()):
        raise refuse(f"{shown(address)} is no address")
    with refusing(_FOREIGN, lambda why: refuse(f"{shown(address)} is no address ({why})")):
        parts = urlsplit(address)
        _ = parts.port, parts.hostname  # read from the text when asked for
    return parts


def join_address(base: str, href: str, refuse: Refuse) -> str:
    """The address that a link leads to where it stands in the document ``base``. Raises what ``refuse`` makes."""
    if len(href) > LONGEST:
        raise refuse(f"{shown(href)} is no address")
    with refusing(_FOREIGN, lambda why: refuse(f"{shown(href)} is no address ({why})")):
        return urljoin(base, href)
