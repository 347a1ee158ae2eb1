"""One module per place that products come from, all behind `Source`."""

from __future__ import annotations

from collections.abc import Callable

from catalog.credentials import Credentials
from catalog.errors import RequestError
from catalog.sources.cdse import CdseSource
from catalog.sources.mission import MissionSource
from catalog.sources.protocol import Downloading, SearchResult, Source
from catalog.sources.safe import SafeSource
from catalog.sources.sentinel_hub import SentinelHubSource
from catalog.sources.stac import StacSource

__all__ = ["Downloading", "SearchResult", "Source", "open_source"]

_KINDS: dict[str, tuple[Callable[[str, Credentials], Source], str]] = {
    "stac": (StacSource, "stac:PATH_OR_URL of a STAC catalogue or API, or stac:s3://BUCKET/catalog.json"),
    "safe": (SafeSource, "safe:PATH or safe:s3://BUCKET/PREFIX of a folder of SAFE products"),
    "cdse": (CdseSource, "cdse: for the Copernicus Data Space"),
    "sentinelhub": (SentinelHubSource, "sentinelhub: for the deployment that SH_BASE_URL names"),
    "mission": (MissionSource, "mission: or mission:seed=3,farming=flanders for simulated products"),
}


def open_source(address: str, credentials: Credentials | None = None) -> Source:
    """The source at an address such as ``stac:archive/catalog.json``; relative paths start in the current folder.

    Raises `RequestError` on an unknown kind of source or a path where nothing is. Nothing is asked of a service yet.
    """
    kind, separator, rest = address.partition(":")
    if not separator or kind not in _KINDS:
        known = "; ".join(description for _, description in _KINDS.values())
        raise RequestError(f"source: {address!r} is of no known kind. Known are: {known}.")
    make, _ = _KINDS[kind]
    return make(rest, credentials or Credentials())
