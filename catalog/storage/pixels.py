"""The one function that opens rasters which others name: GeoTIFF, COG and JP2 by themselves, and nothing that leads elsewhere.

GDAL opens descriptions of rasters too (VRT, WMS and others) that name any file and any address, and takes files beside a raster
for parts of it. Whoever writes a catalogue could read through them what only this machine may. Of what lies beside a file of this
machine the georeference alone is taken, where the file has none, and not by GDAL.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.session import Session

from catalog.guards.addresses import split_address
from catalog.networks import Network, RefusedAddressError, allowed_addresses
from catalog.storage.relay import forget_exceptions, has_own_proxy, the_relay
from catalog.storage.sidecar import Placed, georeference_in, sidecar_of

DRIVERS = ("GTiff", "JP2OpenJPEG")
"""GDAL's drivers of the formats; COGs are GeoTIFFs."""

BY_ITSELF: dict[str, Any] = {
    "GDAL_PAM_ENABLED": "NO",  # no .aux.xml
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no .ovr, .msk, world files; and listing a remote folder costs more than reading
    "GDAL_GEOREF_SOURCES": "INTERNAL",
}
"""Options under which a raster is what lies in its file."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


_QUERY = re.compile(r"(https?://[^\s?]*)\?[^\s:]*")


class _WithoutQueries(logging.Filter):
    """Takes the queries out of addresses in what GDAL says: the tokens of signed ones stand there."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _QUERY.sub(r"\1", record.getMessage()), ()
        return True


for _name in ("rasterio._env", "rasterio._err"):
    logging.getLogger(_name).addFilter(_WithoutQueries())


class _Given(Session):  # type: ignore[misc]  # rasterio has no types
    """The options that an asset brings. rasterio takes secrets from a session only."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)

    def get_credential_options(self) -> dict[str, str]:
        return self._options


def open_pixels(
    address: str,
    options: Mapping[str, str] = _NOTHING,
    networks: Collection[Network] = (Network.PUBLIC,),
    signed_for: str = "",
) -> DatasetReader | Placed:
    """Open a raster at a path of this machine, a path of GDAL's that this program made, or a URL; the caller closes it.

    ``options``: of GDAL, may hold secrets; ``networks``: those that a URL, and where it redirects to, may lie on; ``signed_for``:
    the collection of the Planetary Computer whose token a URL needs, which GDAL fetches, keeps, and renews a minute before it
    expires: it is in no address of this program. Raises `RasterioIOError` where it can't be opened or is of another format,
    `RefusedAddressError` where it lies elsewhere.
    """
    scheme = split_address(address, RasterioIOError).scheme if address.startswith(("http://", "https://")) else ""
    if not scheme:
        sidecar = sidecar_of(address)
        return _open(address, options) if sidecar is None else _open_beside(sidecar, address, options)
    path = f"/vsicurl/{address}"
    if signed_for:
        path = f"/vsicurl?{urlencode({'pc_url_signing': 'yes', 'pc_collection': signed_for, 'url': address})}"
    if has_own_proxy(scheme):
        _check_host(address, networks)
        return _open(path, options)
    forget_exceptions()
    relay = the_relay()
    proxy = relay.proxy(networks)
    try:
        return _open(path, {**options, "GDAL_HTTP_PROXY": proxy})
    except RasterioIOError as error:
        if (refusal := relay.refusal(_chain(error), networks)) is not None:
            raise RefusedAddressError(refusal) from error
        raise


def _open(path: str, options: Mapping[str, str]) -> DatasetReader:
    with rasterio.Env(session=_Given(options), **BY_ITSELF):
        return DatasetReader(path, driver=list(DRIVERS))


def _open_beside(sidecar: Path, path: str, options: Mapping[str, str]) -> DatasetReader | Placed:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # that is why there is a file beside it
        dataset = _open(path, options)
    georeference = georeference_in(sidecar) if dataset.crs is None else None
    return dataset if georeference is None else Placed(dataset, georeference)


def _check_host(address: str, networks: Collection[Network]) -> None:
    """Raise `RefusedAddressError` where the address itself is no allowed one. A proxy may know names that this machine doesn't."""
    parts = split_address(address, RasterioIOError)
    try:
        allowed_addresses(parts.hostname or "", parts.port or 0, networks)
    except OSError:
        return


def _chain(error: BaseException) -> str:
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    return " ".join(texts)
