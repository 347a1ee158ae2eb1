"""Opening assets: with the options that each needs, and words for what goes wrong on the way to a file."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError

from catalog.errors import ProductError, Reason
from catalog.guards.addresses import split_address
from catalog.networks import RefusedAddressError
from catalog.products import Asset
from catalog.storage.credentials import remedy
from catalog.storage.pixels import open_pixels
from processors.engine.limits import uninterruptible
from processors.ingest.turns import Turn

GDAL_ENVIRONMENT: dict[str, Any] = {
    # Bytes, of the process. No block is asked for twice, so GDAL needs no more than those that threads read just now.
    "GDAL_CACHEMAX": 64 * 2**20,
    # With more, GDAL 3.10 reads a truncated JP2 as zeros and says nothing. Acquisitions are read side by side anyway.
    "GDAL_NUM_THREADS": "1",
    # A dead server must not hold a request for ever. Retried is what may pass: 429, 5xx, a connection that broke or was not made.
    "GDAL_HTTP_CONNECTTIMEOUT": "5",
    "GDAL_HTTP_TIMEOUT": "60",
    "GDAL_HTTP_LOW_SPEED_TIME": "20",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_MAX_RETRY": "2",
    "GDAL_HTTP_RETRY_DELAY": "1",
    # GDAL keeps what a URL answered, failures and half an answer too: a later attempt would not ask again.
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/http:/vsicurl?:/vsis3/",
}

PATIENCE = 30.0
"""Seconds that a host which doesn't answer is waited for: one that starts anew, or a network that breaks off, is there again by then, and
no acquisition is lost to it."""

PAUSE = 1.0
"""Seconds between two askings of it. GDAL's own attempts are not for a connection that is refused."""

SILENCE = 60.0
"""Seconds for which a host that was waited for in vain isn't asked again: each asking takes the whole timeout."""

_REMOTE = re.compile(r"(?:/vsizip/\{?)?(?:[a-z][a-z0-9+.-]*://|/vsi(?:curl|s3|gs|az|swift)[a-z_]*/)")
_ARCHIVE = re.compile(r"/vsizip/\{?(?P<archive>.+?\.zip)(?:[}/]|$)", re.IGNORECASE)
_NO_HOST = re.compile(r"resolve|connect|timed out|timeout|too slow", re.IGNORECASE)
# GDAL hands down what S3 says in words, without the code. 409: what Azure answers where nothing may be read without a token.
_DENIED = re.compile(
    r"HTTP\D*40[139]\b|denied|forbidden|expired|unauthori[sz]ed|not authori[sz]ed|access key|signature|credential|invalid token",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"HTTP\D*(?:404|410)\b|does not exist|no such", re.IGNORECASE)
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# Host -> until when it isn't asked (monotonic), and what GDAL said. Of the process: acquisitions share hosts.
_silent: dict[str, tuple[float, str]] = {}


class MissingAssetError(ProductError):
    """An asset isn't there: the product can go on without the band."""


def is_remote(asset: Asset) -> bool:
    return _REMOTE.match(asset.href) is not None and not asset.href.startswith("file://")


def asset_state(asset: Asset) -> str:
    """Changes when the file of an asset does: its size and time of writing, ``absent`` or ``remote``."""
    if is_remote(asset):
        return "remote"
    archive = _ARCHIVE.match(asset.href)
    try:
        stat = Path(archive["archive"] if archive else asset.href.removeprefix("file://")).stat()
    except OSError:
        return "absent"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


class AssetOpener:
    """Opens assets for the length of an `ExitStack`, within an `Env` of `GDAL_ENVIRONMENT`, each with its own options.

    GDAL keeps a file's endpoint and credentials from its opening on, so those of one acquisition may differ.
    """

    def __init__(self, stack: ExitStack, turn: Turn | None = None) -> None:
        """``turn``: at the source, to be taken before anything is read that isn't on this machine."""
        self._stack, self._turn = stack, turn

    def wait_for_turn(self) -> None:
        """Return when it is this acquisition's turn to read from its source. Raises `StoreError`."""
        if self._turn is not None:
            self._turn.take()

    def open(self, asset: Asset) -> rasterio.DatasetReader:
        """Open an asset. Raises `MissingAssetError` where nothing is or nobody answers, `ProductError` where it can't be understood."""
        if asset_state(asset) == "absent":
            raise MissingAssetError(f"{asset.href}: no such file", Reason.NOT_THERE)
        if is_remote(asset):
            self.wait_for_turn()
        options = {**asset.gdal_env, **GDAL_ENVIRONMENT}
        awaited = _Awaited(_host(asset))
        while True:
            if (reason := awaited.silence()) is not None:
                raise _absent(asset, reason)
            try:
                with uninterruptible():
                    dataset = self._stack.enter_context(
                        open_pixels(asset.href, options, asset.networks, asset.signed_for)
                    )
                break
            except RefusedAddressError as error:
                raise ProductError(_shown(asset, f"{asset.href}: {error}"), Reason.NOT_ALLOWED) from error
            except RasterioError as error:
                reason = cause(error)
                if not is_remote(asset):
                    raise ProductError(f"{asset.href} can't be opened, it may be truncated: {reason}") from error
                if not (_NO_HOST.search(reason) and awaited.goes_on(reason)):
                    raise _absent(asset, reason) from error
        if dataset.crs is None:
            raise ProductError(f"{_shown(asset, asset.href)} has no coordinate reference system, it may be truncated")
        return dataset


class _Awaited:
    """A host that may not answer, for one opening."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._since: float | None = None

    def silence(self) -> str | None:
        """What GDAL said of the host while it isn't asked; None where it is."""
        until, reason = _silent.get(self._host, (0.0, ""))
        return reason if time.monotonic() < until else None

    def goes_on(self, reason: str) -> bool:
        """Wait before the next asking. False where it was waited for long enough: it is left in silence then, for every asset."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since + PAUSE > PATIENCE:
            _silent[self._host] = now + SILENCE, reason
            return False
        time.sleep(PAUSE)
        return True


def _host(asset: Asset) -> str:
    if not is_remote(asset):
        return ""
    return split_address(asset.href, ProductError).netloc or asset.gdal_env.get("AWS_S3_ENDPOINT", "")


def _absent(asset: Asset, reason: str) -> MissingAssetError:
    """Error for a remote asset that can't be opened. Its kind comes from GDAL's words, which are all it hands down of an answer."""
    if _DENIED.search(reason):
        kind, text = Reason.ACCESS_DENIED, f"{asset.href}: access denied: {reason}. {remedy(asset.href)}"
    elif _ABSENT.search(reason):
        kind, text = Reason.NOT_THERE, f"{asset.href}: {reason}"
    else:
        kind, text = Reason.NOT_REACHABLE, f"{asset.href}: not reachable now: {reason}"
    return MissingAssetError(_shown(asset, text), kind)


def unread(asset: Asset, reason: str) -> ProductError:
    """Error for pixels of an open asset that can't be read; its kind comes from GDAL's words."""
    if not is_remote(asset):
        return ProductError(f"{asset.href} can't be read, it may be truncated: {reason}")
    if _DENIED.search(reason):
        denied = _absent(asset, reason)
        return ProductError(str(denied), denied.kind)
    text = f"{asset.href} can't be read, it may be truncated or not reachable now: {reason}"
    return ProductError(_shown(asset, text), Reason.NOT_REACHABLE)


def _shown(asset: Asset, text: str) -> str:
    """A text without what opens the asset: tokens in addresses, and keys that a service repeats."""
    for name in _SECRETS:
        if secret := asset.gdal_env.get(name):
            text = text.replace(secret, "…")
    return re.sub(r"(https?://)(?:[^/\s?]*@)?([^?\s]*)(\?[^\s:]*)?", r"\1\2", text)


def cause(error: BaseException) -> str:
    """GDAL's own words: rasterio keeps them in the cause of its error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().rstrip(".") or type(error).__name__
