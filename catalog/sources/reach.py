"""What a catalogue may name: where the files and the documents that it leads to may lie.

A catalogue is written by others. One of this machine names files below its own folder; one that was read from the network names
none, and no address that only this machine or its neighbours reach, unless it lies there itself.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from catalog.errors import ProductError, Reason, RequestError
from catalog.guards.addresses import join_address
from catalog.guards.addresses import split_address as split_url
from catalog.networks import Network, networks_of_host
from catalog.sources.address import is_s3, is_url
from catalog.storage.credentials import Credentials
from catalog.storage.s3 import split_address

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?=//)|(?P<file>file):(?=/)", re.IGNORECASE)
_NEAR = (Network.PUBLIC, Network.PRIVATE, Network.LOOPBACK)
"""Networks that a document of this machine may name: who keeps it here is inside already."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What the documents of one catalogue may name."""

    root: Path | None
    """Folder below which its files lie; None of one that was read from the network."""

    @classmethod
    def of(cls, address: str) -> Reach:
        """The reach of a catalogue whose first document lies at a path of this machine, an s3:// address or a URL."""
        return cls(None if is_url(address) or is_s3(address) else Path(address).parent)

    def address(self, base: str, href: str) -> str:
        """The address (absolute path, s3://, URL) that ``href`` leads to where it stands in the document ``base``.

        Raises `ProductError` of the kind `NOT_ALLOWED` where the document may not name it, whatever lies there.
        """
        if "\0" in href:
            raise _refused(href, "holds a null byte")
        if href.startswith("/vsi"):
            raise _refused(href, "is a path of GDAL's, which may lead anywhere. Name the file itself")
        match = _SCHEME.match(href)
        scheme = (match["scheme"] or match["file"]).lower() if match else ""
        if scheme in ("http", "https"):
            return _url(f"{scheme}{href[len(scheme) :]}")
        if scheme == "s3":
            split_url(href, ProductError)
            return f"s3{href[2:]}"
        if scheme not in ("", "file"):
            raise _refused(href, f"is an address of {scheme}://. Only http(s)://, s3:// and files are read")
        if is_url(base) or is_s3(base):
            if scheme:
                raise _refused(href, f"is a file of this machine, which {base.partition('?')[0]} may not name")
            if is_url(base):
                return _url(join_address(base, href, ProductError))
            return "s3" + join_address("http" + base.removeprefix("s3"), href, ProductError).removeprefix(
                "http"
            )  # urljoin knows no s3
        return self._file(base, href[len("file:") :] if scheme else href, href)

    def _file(self, base: str, path: str, href: str) -> str:
        if path.startswith("//") and href != path:
            host, _, path = path.removeprefix("//").partition("/")
            if host.lower() not in ("", "localhost"):
                raise _refused(href, f"is a file of another machine, {host}")
            path = f"/{path}"
        named = Path(base)
        if not named.exists() and "#" in base:  # an item of a saved ItemCollection
            named = Path(base.partition("#")[0]) if Path(base.partition("#")[0]).exists() else named
        # Addresses are encoded; many write names as they are.
        spellings = dict.fromkeys(os.path.normpath(named.parent / text) for text in (path, unquote(path)))
        file = next((text for text in spellings if "\0" not in text and os.path.lexists(text)), next(iter(spellings)))
        root = self.root or named.parent
        if not _lies_below(file, root):
            raise _refused(
                href,
                f"leads out of {root}, and a catalogue names files below its own folder only. Move its first document to a folder "
                "above all its files",
            )
        return file


def networks_for(document: str, credentials: Credentials) -> tuple[Network, ...]:
    """The networks that a document may name addresses of: the public one, and those that it lies on itself."""
    if is_url(document):
        host = split_url(document, RequestError).hostname
    elif is_s3(document):
        try:
            endpoint = credentials.of_bucket(split_address(document)[0]).endpoint
        except RequestError:
            endpoint = None
        host = split_url(endpoint, RequestError).hostname if endpoint else None
    else:
        return _NEAR
    return tuple(sorted({Network.PUBLIC} | (networks_of_host(host) if host else frozenset())))


def _url(address: str) -> str:
    """The address with what no URL may hold encoded."""
    split_url(address.strip().replace(" ", "%20"), ProductError)
    return quote(address, safe="%/:?#[]@!$&'()*+,;=~-._")


def _lies_below(file: str, root: Path) -> bool:
    """True of a path below a folder, links resolved."""
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root))


def _refused(href: str, why: str) -> ProductError:
    shown = href.partition("?")[0]
    shown = shown if len(shown) <= 200 else f"{shown[:199]}…"
    return ProductError(f"{shown!r} {why}.", Reason.NOT_ALLOWED)
