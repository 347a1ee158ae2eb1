"""The sources there are: entry points of the group `cropline.sources`, in this distribution or any other."""

from __future__ import annotations

from catalog.errors import RequestError
from catalog.plugins import check_made, load_offer, offered
from catalog.sources.presets import PRESETS, address_of
from catalog.sources.protocol import Source
from catalog.storage.credentials import Credentials

GROUP = "cropline.sources"

_CLASS_ATTRIBUTES = ("usage", "search", "assets")
_OWN_ATTRIBUTES = ("address", "id")
"""What a source may set when it is made; the store is laid out by them."""
_CONTRACT = "catalog/sources/protocol.py"


def open_source(address: str, credentials: Credentials | None = None) -> Source:
    """The source at an address such as ``stac:archive/catalog.json``, or of a preset's name such as ``earth-search``.

    Relative paths start in the current folder. Only that kind's own module is imported, and nothing is asked of a service yet. Raises
    `RequestError` on an unknown kind of source or a path where nothing is.
    """
    address = address_of(address)
    kind, separator, rest = address.partition(":")
    offers = offered(GROUP)
    if not separator or kind not in offers:
        names = ", ".join(PRESETS)
        raise RequestError(f"source: {address!r} is of no known kind. Known are: {_usages()}. Or by name: {names}.")
    source: Source = _load(kind)(rest, credentials or Credentials())
    check_made("source", kind, source, _OWN_ATTRIBUTES, _CONTRACT)
    return source


def _usages() -> str:
    """The name of each kind of source in a request; those that can't be imported are left out."""
    usages = []
    for kind in offered(GROUP):
        try:
            usages.append(_load(kind).usage)
        except RequestError:
            continue
    return "; ".join(usages)


def _load(kind: str) -> type[Source]:
    source: type[Source] = load_offer("source", kind, offered(GROUP)[kind], _CLASS_ATTRIBUTES, _CONTRACT)
    return source
