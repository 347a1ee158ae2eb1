"""Files of the Planetary Computer: opened with a token that is asked for once, renewed, and told to nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import web_kit
from affine import Affine

from catalog.products import Asset
from catalog.sources.stac.item import item_assets, item_product
from processors.ingest import opening
from processors.ingest.opening import AssetOpener, MissingAssetError

TOKEN = "sv=2021-06-08&sig=the-secret%2Btoken"


class _Service(BaseHTTPRequestHandler):
    """Hands out tokens, and files to whoever shows one."""

    folder: Path
    asked: list[str]
    lasts: timedelta
    refuses: bool

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.asked.append(path)
        if path.startswith("/token/"):
            expiry = datetime.now(UTC) + self.lasts
            self._answer(200, json.dumps({"msft:expiry": f"{expiry:%Y-%m-%dT%H:%M:%SZ}", "token": TOKEN}).encode())
        elif query != TOKEN or self.refuses:
            self._answer(409, b"Public access is not permitted on this storage account.")
        else:
            content = (self.folder / path.lstrip("/")).read_bytes()
            first, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
            part = content[int(first) : int(last or len(content)) + 1]
            headers = {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"}
            self._answer(206, part, headers) if "Range" in self.headers else self._answer(200, content)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    for name in ("B04", "B08"):
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", driver="GTiff", width=8, height=8, count=1, dtype="uint16", crs="EPSG:32631",
            transform=Affine(10, 0, 500_000, 0, -10, 5_600_000),
        ) as file:  # fmt: skip
            file.write(np.full((8, 8), 1234, np.uint16), 1)
    state = {"folder": tmp_path, "asked": [], "lasts": timedelta(hours=1), "refuses": False}
    handler = type("Handler", (_Service,), state)
    server = ThreadingHTTPServer((web_kit.PUBLIC, 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    web_kit.pretended(monkeypatch)
    address = f"http://{web_kit.PUBLIC}:{server.server_port}"
    monkeypatch.setenv("VSICURL_PC_SAS_TOKEN_URL", f"{address}/token/")
    monkeypatch.setattr(opening, "_silent", {})
    yield address, handler
    server.shutdown()
    server.server_close()


def _read(asset: Asset) -> int:
    with rasterio.Env(**opening.GDAL_ENVIRONMENT), ExitStack() as stack:
        return int(AssetOpener(stack).open(asset).read(1).max())


def test_one_token_opens_all_files_until_it_expires(service: tuple[str, Any], request: pytest.FixtureRequest) -> None:
    address, handler = service
    name = request.node.name  # GDAL keeps tokens by collection, for the whole process
    for band in ("B04", "B08", "B04"):
        assert _read(Asset(href=f"{address}/{band}.tif", signed_for=name)) == 1234
    assert handler.asked.count(f"/token/{name}") == 1
    handler.lasts = timedelta(seconds=30)  # GDAL renews a minute before
    for _ in range(2):
        assert _read(Asset(href=f"{address}/B04.tif", signed_for=f"{name}-short")) == 1234
    assert handler.asked.count(f"/token/{name}-short") >= 2


def test_a_token_that_is_refused_is_told_to_nobody(
    service: tuple[str, Any], request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    address, handler = service
    handler.refuses = True
    asset = Asset(href=f"{address}/B04.tif", signed_for=request.node.name)
    with pytest.raises(MissingAssetError, match="access denied") as failure:
        _read(asset)
    for text in (str(failure.value), caplog.text, asset.model_dump_json(), repr(asset)):
        assert "sig=" not in text


def test_only_files_of_the_service_that_nobody_signed_are_signed() -> None:
    href = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/31/U/ES/2023/08/15/T31UES_B04_10m.tif"
    others = (f"{href}?sig=by-others", "https://other.blob.core.windows.net/B04.tif", "https://example.com/B04.tif")
    for address, signed in {href: "sentinel-2-l2a", **dict.fromkeys(others, "")}.items():
        item = {
            "type": "Feature",
            "id": "S2A_MSIL2A_20230815T095031_R079_T33TWM_20230816T012345",
            "geometry": {"type": "Polygon", "coordinates": [[[4, 50], [5, 50], [5, 51], [4, 51], [4, 50]]]},
            "properties": {"datetime": "2023-08-15T09:50:31Z", "platform": "Sentinel-2A"},
            "assets": {"B04": {"href": address}},
        }
        root = "https://planetarycomputer.microsoft.com/api/stac/v1/collections/sentinel-2-l2a/items/x"
        assert item_assets(item, root, item_product(item, root))["B04"].signed_for == signed
