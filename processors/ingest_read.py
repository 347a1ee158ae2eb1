"""Pixels of one asset on the grid: copied where they lie on it, warped where they don't, in the cube's numbers."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.session import Session
from rasterio.warp import reproject, transform_bounds
from rasterio.windows import Window as RasterWindow

from catalog.credentials import remedy
from catalog.errors import ProductError
from catalog.grid import PIXEL, Window
from catalog.products import ACCESS_DENIED, NO_DATA, NOT_REACHABLE, SATURATED, Asset

Values = npt.NDArray[np.uint16]

NATIVE_PIXELS = (10, 20, 60)
"""Pixel sizes of Sentinel-2, m: in the zone and on the grid these are copied."""

GDAL_ENVIRONMENT: dict[str, Any] = {
    # Blocks of a JP2 reach over several cells; kept until the next row of cells, each is decoded once. Bytes, of the process.
    "GDAL_CACHEMAX": 512 * 2**20,
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
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/http:/vsis3/",
}

SILENCE = 60.0
"""Seconds for which a host that didn't answer twice running isn't asked again: each asking takes the whole timeout."""

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
# Host -> how often running it didn't answer, when last (monotonic), what GDAL said. Of the process: acquisitions share hosts.
_silent: dict[str, tuple[int, float, str]] = {}


class MissingAssetError(Exception):
    """An asset isn't there: the product goes on without the band."""


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


class _Given(Session):  # type: ignore[misc]  # rasterio has no types
    """The options that an asset brings. rasterio takes secrets from a session only."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = dict(options)

    def get_credential_options(self) -> dict[str, str]:
        return self._options


class AssetOpener:
    """Opens assets for the length of an `ExitStack`, within an `Env` of `GDAL_ENVIRONMENT`, each with its own options.

    GDAL keeps a file's endpoint and credentials from its opening on, so those of one acquisition may differ.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def open(self, asset: Asset) -> rasterio.DatasetReader:
        """Raises `MissingAssetError` where nothing is or nobody answers, `ProductError` where a file can't be understood."""
        host = _host(asset)
        times, last, reason = _silent.get(host, (0, 0.0, ""))
        if times > 1 and time.monotonic() - last < SILENCE:
            raise MissingAssetError(_why_absent(asset, reason))
        if asset_state(asset) == "absent":
            raise MissingAssetError(f"{asset.href}: no such file")
        # Listing the folder of a remote file costs more than reading it; beside a local one its georeference may lie.
        listing = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR" if is_remote(asset) else "FALSE"}
        try:
            with rasterio.Env(session=_Given({**asset.gdal_env, **GDAL_ENVIRONMENT}), **listing):
                dataset = self._stack.enter_context(rasterio.open(asset.href))
        except RasterioError as error:
            reason = _cause(error)
            if is_remote(asset):
                if _NO_HOST.search(reason):
                    _silent[host] = times + 1, time.monotonic(), reason
                raise MissingAssetError(_why_absent(asset, reason)) from error
            raise ProductError(f"{asset.href} can't be opened, it may be truncated: {reason}") from error
        _silent.pop(host, None)
        if dataset.crs is None:
            raise ProductError(f"{_shown(asset, asset.href)} has no coordinate reference system")
        return dataset


def _host(asset: Asset) -> str:
    if not is_remote(asset):
        return ""
    return urlsplit(asset.href).netloc or asset.gdal_env.get("AWS_S3_ENDPOINT", "")


def _why_absent(asset: Asset, reason: str) -> str:
    """Why a remote asset can't be opened, in words that `LeftOut` tells apart."""
    if _DENIED.search(reason):
        text = f"{asset.href}: {ACCESS_DENIED}: {reason}. {remedy(asset.href)}"
    elif _ABSENT.search(reason):
        text = f"{asset.href}: {reason}"
    else:
        text = f"{asset.href}: {NOT_REACHABLE}: {reason}"
    return _shown(asset, text)


def _why_unread(asset: Asset, reason: str) -> str:
    """Why pixels of an open asset can't be read."""
    if not is_remote(asset):
        return f"{asset.href} can't be read, it may be truncated: {reason}"
    if _DENIED.search(reason):
        return _why_absent(asset, reason)
    return _shown(asset, f"{asset.href} can't be read, it may be truncated or {NOT_REACHABLE}: {reason}")


def _shown(asset: Asset, text: str) -> str:
    """A text without what opens the asset: tokens in addresses, and keys that a service repeats."""
    for name in _SECRETS:
        if secret := asset.gdal_env.get(name):
            text = text.replace(secret, "…")
    return re.sub(r"(https?://)(?:[^/\s?]*@)?([^?\s]*)(\?[^\s:]*)?", r"\1\2", text)


class BandReader:
    """One open band. ``categories``: class numbers (nearest, no offset) instead of reflectance (bilinear)."""

    def __init__(self, dataset: rasterio.DatasetReader, asset: Asset, *, categories: bool = False) -> None:
        self._dataset = dataset
        self._asset = asset
        self._categories = categories
        self.warped = asset.warped
        self._crs = dataset.crs
        self._epsg: int | None = dataset.crs.to_epsg()

    def off_grid(self, epsg: int) -> str | None:
        """What has to be warped onto the grid of a zone, or None where pixels are copied."""
        step = _grid_step(self._dataset.transform)
        if self._epsg == epsg and step is not None:
            return None
        place = f"EPSG:{self._epsg}" if self._epsg is not None else "another CRS"
        return f"{place}, {self._dataset.transform.a:.10g} m from {self._dataset.transform.c:.10g} {self._dataset.transform.f:.10g}"

    def read(self, window: Window) -> Values | None:
        """(H, W) in the cube's numbers (classes: as they are), 0 = no data; None where the band doesn't reach the window.

        Raises `ProductError` where the pixels can't be read.
        """
        try:
            return self._copy(window) if self.off_grid(window.epsg) is None else self._warp(window)
        except RasterioError as error:
            raise ProductError(_why_unread(self._asset, _cause(error))) from error

    def _copy(self, window: Window) -> Values | None:
        transform = self._dataset.transform
        step = round(transform.a) // PIXEL
        height, width = self._dataset.shape
        whole = Window(
            window.epsg, round(transform.c) // PIXEL, round(transform.f) // PIXEL, width * step, height * step
        )
        part = window.intersection(whole)
        if part is None:
            return None
        rows, columns = whole.slices(part)
        first_row, first_column = rows.start // step, columns.start // step
        raw = self._read_raw(
            first_column, first_row, -(-columns.stop // step) - first_column, -(-rows.stop // step) - first_row
        )
        values, valid = self._values(raw)
        values = np.where(valid, values, NO_DATA)
        if step > 1:
            values = values.repeat(step, axis=0).repeat(step, axis=1)
        skipped_rows, skipped_columns = rows.start - first_row * step, columns.start - first_column * step
        result = np.zeros(window.shape, np.uint16)
        result[window.slices(part)] = values[
            skipped_rows : skipped_rows + part.height, skipped_columns : skipped_columns + part.width
        ]
        return result

    def _warp(self, window: Window) -> Values | None:
        source = self._source_window(window)
        if source is None:
            return None
        column, row, width, height = source
        raw = self._read_raw(column, row, width, height)
        values, valid = self._values(raw)
        place: dict[str, Any] = {
            "src_crs": self._crs,
            "src_transform": self._dataset.transform @ Affine.translation(column, row),
            "dst_crs": f"EPSG:{window.epsg}",
            "dst_transform": window.transform,
        }
        if self._categories:
            classes = np.zeros(window.shape, np.uint16)
            reproject(np.where(valid, values, NO_DATA), classes, resampling=Resampling.nearest, **place)
            return classes
        reflectance = np.full(window.shape, np.nan, np.float32)
        known = np.where(valid, values, np.nan).astype(np.float32)
        reproject(
            known, reflectance, resampling=Resampling.bilinear, src_nodata=np.nan, dst_nodata=np.nan,
            init_dest_nodata=True, **place,
        )  # fmt: skip
        found = np.isfinite(reflectance)
        result = np.where(found, np.rint(np.clip(np.nan_to_num(reflectance), 1, SATURATED - 1)), NO_DATA)
        saturated = valid & (values == SATURATED)
        if saturated.any():
            # A pixel is saturated where any part of it comes from one that is: a mean of it and others means nothing.
            share = np.zeros(window.shape, np.float32)
            reproject(saturated.astype(np.float32), share, resampling=Resampling.bilinear, **place)
            result[found & (share > 0)] = SATURATED
        return result.astype(np.uint16)

    def _source_window(self, window: Window) -> tuple[int, int, int, int] | None:
        """Column, row, width, height of the pixels that a warp onto the window needs; None where there are none."""
        dataset = self._dataset
        bounds = transform_bounds(f"EPSG:{window.epsg}", self._crs, *window.bounds, densify_pts=21)
        corners = [~dataset.transform @ (x, y) for x in bounds[::2] for y in bounds[1::2]]
        # Bilinear needs a neighbour; where the source is finer than the grid, GDAL's kernel grows with the ratio.
        margin = 2 + 2 * math.ceil(PIXEL / min(abs(dataset.transform.a), abs(dataset.transform.e), PIXEL))
        if not all(math.isfinite(number) for corner in corners for number in corner):
            return None
        left = max(0, math.floor(min(x for x, _ in corners)) - margin)
        right = min(dataset.width, math.ceil(max(x for x, _ in corners)) + margin)
        top = max(0, math.floor(min(y for _, y in corners)) - margin)
        bottom = min(dataset.height, math.ceil(max(y for _, y in corners)) + margin)
        return None if left >= right or top >= bottom else (left, top, right - left, bottom - top)

    def _read_raw(self, column: int, row: int, width: int, height: int) -> npt.NDArray[Any]:
        raw: npt.NDArray[Any] = self._dataset.read(1, window=RasterWindow(column, row, width, height))
        return raw

    def _values(self, raw: npt.NDArray[Any]) -> tuple[Values, npt.NDArray[np.bool_]]:
        """The cube's numbers and where they are valid. No data and saturation are decided on the raw numbers."""
        nodata = self._asset.nodata
        valid = np.isfinite(raw) if raw.dtype.kind == "f" else np.ones(raw.shape, bool)
        if nodata is not None:
            valid &= raw != nodata
        if self._categories:
            return np.where(valid, raw, 0).astype(np.uint16), valid
        shifted = np.where(valid, raw, 0).astype(np.float64 if raw.dtype.kind == "f" else np.int64) + self._asset.offset
        values = np.clip(np.rint(shifted), 1, SATURATED - 1).astype(np.uint16)
        if raw.dtype == np.uint16:
            values[raw == SATURATED] = SATURATED
        return values, valid


def _grid_step(transform: Affine) -> int | None:
    """Pixels of the grid along one of the raster's, or None where its pixels don't lie on the grid."""
    a, b, c, d, e, f = transform[:6]
    if b or d or a != -e or a not in NATIVE_PIXELS or c % PIXEL or f % PIXEL:
        return None
    return int(a) // PIXEL


def _cause(error: BaseException) -> str:
    """GDAL's own words: rasterio keeps them in the cause of its error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().rstrip(".") or type(error).__name__
