"""Deliveries at the server of `cropline up`: their files, to whoever has the address, and nothing else of the machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog.errors import RequestError
from catalog.registry import Registry
from catalog.storage.store import Store, open_store
from catalog.storage.whole import write_json
from flows.delivery_address import PATH, key_of, reachable, served
from flows.own_server import SECRET_FILE, SERVER_FILE, public_address
from flows.prefect_process.delivery_files import files
from flows.settings import load_settings
from flows.web_folder import WebFolder

SECRET = "cropline:the-secret-of-the-server"
API = "http://127.0.0.1:4217/api"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    opened = open_store(str(tmp_path / "store"), None, None)
    opened.prefect.mkdir(parents=True)
    (opened.prefect / SECRET_FILE).write_text(SECRET)
    write_json(opened.prefect / SERVER_FILE, {"api": API})
    return opened


def address_of(store: Store, delivery: Path) -> str:
    folder = served(store, delivery, API)
    assert folder is not None
    return folder.address


@pytest.fixture
def delivery(store: Store, tmp_path: Path) -> Path:
    folder = tmp_path / "delivery"
    folder.mkdir()
    for name in ("report.html", "crop_map.tif", "notes.txt"):
        (folder / name).write_text(name)
    assets = {"report": {"href": "./report.html"}, "map": {"href": "./crop_map.tif"}, "up": {"href": "../outside.txt"}}
    write_json(folder / "item.json", {"id": "crop-map-2019-1", "assets": assets})
    Registry(store).add_map(folder / "item.json")
    return folder


class Client:
    """Asks the application, without a server."""

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=files())
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4217") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)


@pytest.fixture
def client() -> Client:
    return Client()


def test_an_address_leads_to_the_files_of_a_delivery(store: Store, delivery: Path, client: Client) -> None:
    address = address_of(store, delivery)
    assert address.startswith(f"http://127.0.0.1:4217{PATH}/crop-map-2019-1/")
    below = address.split(PATH)[1]
    assert SECRET not in address
    report = client.get(f"{below}/report.html")
    assert (report.status_code, report.text) == (200, "report.html")
    assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in report.headers["content-security-policy"], "it would share the UI's secret"
    assert client.get(below).headers["location"] == f"{PATH}{below}/report.html"
    part = client.get(f"{below}/crop_map.tif", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.text) == (206, "crop")


@pytest.mark.parametrize(
    "path",
    ["{}/notes.txt", "{}/../outside.txt", "{}/%2e%2e/outside.txt", "{}/..%2foutside.txt", "/other/{key}/report.html",
     "/crop-map-2019-1/0123/report.html", "/..%2f..%2fmaps/{key}/report.html", "{}//etc/passwd"],
)  # fmt: skip
def test_nothing_else_is_handed_out(store: Store, delivery: Path, client: Client, path: str) -> None:
    (delivery.parent / "outside.txt").write_text("private")
    below = address_of(store, delivery).split(PATH)[1]
    answer = client.get(path.format(below, key=key_of(SECRET, "other")))
    assert (answer.status_code, "private" in answer.text) == (404, False)


def test_nothing_is_changed_and_no_page_elsewhere_is_answered(store: Store, delivery: Path, client: Client) -> None:
    below = address_of(store, delivery).split(PATH)[1]
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, f"{below}/report.html").status_code == 405
    assert client.get(f"{below}/report.html", headers={"Host": "evil.example"}).status_code == 400


def test_only_the_own_server_s_deliveries_have_an_address(store: Store, delivery: Path, tmp_path: Path) -> None:
    assert served(store, delivery, "http://10.0.0.7:4200/api") is None
    assert served(store, delivery, None) is None
    assert served(store, tmp_path, API) is None, "not listed"
    (store.prefect / SECRET_FILE).unlink()
    assert served(store, delivery, API) is None


def test_the_address_that_an_installation_is_set_to_comes_first(
    store: Store, delivery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", API)
    set_to = WebFolder(delivery.parent, "https://maps.example.org")
    assert reachable(store, delivery, set_to) == set_to
    elsewhere = reachable(store, delivery, WebFolder(delivery.parent / "other", "https://maps.example.org"))
    assert elsewhere is not None
    assert elsewhere.address_of(delivery / "report.html") == f"{address_of(store, delivery)}/report.html"


PUBLIC = "https://maps.example.org"


def test_behind_a_proxy_addresses_are_its_own_and_its_name_is_answered(
    store: Store, delivery: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPLINE_PUBLIC_URL", f"{PUBLIC}/")
    address = address_of(store, delivery)
    assert address.startswith(f"{PUBLIC}{PATH}/crop-map-2019-1/")
    below = address.split(PATH)[1]
    assert client.get(f"{below}/report.html", headers={"Host": "maps.example.org"}).status_code == 200
    assert client.get(f"{below}/report.html", headers={"Host": "127.0.0.1:4217"}).status_code == 200
    assert client.get(f"{below}/report.html", headers={"Host": "elsewhere.example.org"}).status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        "http://maps.example.org",
        "maps.example.org",
        "https://maps.example.org/prefect",
        "https://me:word@maps.example.org",
        "https://",
    ],
)
def test_a_public_address_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPLINE_PUBLIC_URL", address)
    for ask in (public_address, load_settings):
        with pytest.raises(RequestError, match=r"^CROPLINE_PUBLIC_URL: .*https://maps.example.org, with https"):
            ask()
