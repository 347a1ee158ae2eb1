"""Credentials come from the environment or a block, and are shown nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from catalog.errors import RequestError, SourceError
from flows.credentials import BLOCK, CredentialValues, load_credentials
from flows.request import absolute_source, check_request
from flows.settings import Settings

NAMES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    "AWS_REQUEST_PAYER", "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY", "CDSE_S3_ENDPOINT", "SH_CLIENT_ID", "SH_CLIENT_SECRET",
    "SH_BASE_URL", "SH_TOKEN_URL", BLOCK, "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_each_service_has_its_own_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES[:11]:
        monkeypatch.setenv(name, f"http://127.0.0.1/{name}" if "URL" in name or "ENDPOINT" in name else f"the-{name}")
    found = load_credentials()
    assert (found.s3.endpoint, found.cdse.endpoint) == (
        "http://127.0.0.1/AWS_ENDPOINT_URL_S3",
        "http://127.0.0.1/CDSE_S3_ENDPOINT",
    )
    assert found.s3.secret is not None
    assert found.s3.secret.get_secret_value() == "the-AWS_SECRET_ACCESS_KEY"
    assert found.s3.token is not None
    assert found.s3.token.get_secret_value() == "the-AWS_SESSION_TOKEN"
    assert found.cdse.key is not None
    assert found.cdse.key.get_secret_value() == "the-CDSE_S3_ACCESS_KEY"
    assert found.sentinel_hub is not None
    assert found.sentinel_hub.client_secret.get_secret_value() == "the-SH_CLIENT_SECRET"
    for text in (repr(found), str(found), found.model_dump_json()):
        assert "the-" not in text


def test_without_them_requests_are_anonymous() -> None:
    found = load_credentials()
    assert (found.s3.key, found.cdse.key, found.sentinel_hub) == (None, None, None)
    assert found.cdse.endpoint == "https://eodata.dataspace.copernicus.eu"


@pytest.mark.parametrize(
    ("base", "token", "base_url", "token_url"),
    [
        (
            None,
            None,
            "https://services.sentinel-hub.com",
            "https://services.sentinel-hub.com/auth/realms/main/protocol/openid-connect/token",
        ),
        (
            "https://sh.dataspace.copernicus.eu/",
            None,
            "https://sh.dataspace.copernicus.eu",
            "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token",
        ),
        ("http://127.0.0.1:1", "http://127.0.0.1:2/token", "http://127.0.0.1:1", "http://127.0.0.1:2/token"),
    ],
)
def test_tokens_are_had_where_the_deployment_gives_them(
    base: str | None, token: str | None, base_url: str, token_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SH_CLIENT_ID", "id")
    assert load_credentials().sentinel_hub is None, "a client is an id and its secret"
    monkeypatch.setenv("SH_CLIENT_SECRET", "secret")
    for name, value in (("SH_BASE_URL", base), ("SH_TOKEN_URL", token)):
        if value is not None:
            monkeypatch.setenv(name, value)
    hub = load_credentials().sentinel_hub
    assert hub is not None
    assert (hub.base_url, hub.token_url) == (base_url, token_url)


class _Api(BaseHTTPRequestHandler):
    """One question to a Prefect server."""

    documents: dict[str, Any]
    asked: list[tuple[str, str | None]]
    status = 200

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        name = self.path.rsplit("/", 1)[-1].partition("?")[0]
        status = self.status if name in self.documents else 404
        body = json.dumps({"data": self.documents.get(name)}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Api]]:
    block = {"s3_key": "block-key", "s3_secret": "block-secret", "s3_endpoint": "http://127.0.0.1:3"}
    block |= {"cdse_key": "block-cdse", "cdse_secret": "block-secret"}
    handler = type("Handler", (_Api,), {"documents": {"shared": block, "odd": {"s3_key": ["block-key"]}}, "asked": []})
    answering = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=answering.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{answering.server_port}/api")
    yield handler
    answering.shutdown()
    answering.server_close()


def test_the_environment_overrules_the_block_service_by_service(
    server: type[_Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "own-cdse")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "own-secret")
    assert load_credentials().s3.key is None
    assert server.asked == [], "no block is named"
    monkeypatch.setenv(BLOCK, "shared")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:pass")
    found = load_credentials()
    assert (found.s3.key, found.s3.endpoint) == (SecretStr("block-key"), "http://127.0.0.1:3")
    assert (found.cdse.key, found.cdse.secret) == (SecretStr("own-cdse"), SecretStr("own-secret"))
    assert server.asked == [
        (
            "/api/block_types/slug/cropline-credentials/block_documents/name/shared?include_secrets=true",
            "Basic bWU6cGFzcw==",
        )
    ]


def test_the_secret_of_the_store_s_server_is_told_to_that_server_only(
    server: type[_Api], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path))
    monkeypatch.setenv(BLOCK, "shared")
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "secret").write_text("me:pass\n")
    load_credentials()
    (tmp_path / "prefect" / "server.json").write_text(json.dumps({"api": os.environ["PREFECT_API_URL"]}))
    load_credentials()
    assert [header for _, header in server.asked] == [None, "Basic bWU6cGFzcw=="]


@pytest.mark.parametrize(
    ("name", "status", "kind", "said"),
    [
        ("none", 200, RequestError, "'none' is not at http.*Cropline credentials"),
        ("shared", 500, SourceError, "HTTP 500"),
        ("odd", 200, SourceError, r"'odd' can't be had .*ValidationError"),
    ],
)
def test_a_block_that_cannot_be_had(
    server: type[_Api],
    name: str,
    status: int,
    kind: type[Exception],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.status = status
    monkeypatch.setenv(BLOCK, name)
    with pytest.raises(kind, match=said) as failure:
        load_credentials()
    assert "block-key" not in str(failure.value)


def test_without_a_server_there_is_no_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv(BLOCK, "shared")
    with pytest.raises(SourceError, match="cropline up"):
        load_credentials()


def test_a_run_goes_on_with_what_it_read_while_the_server_is_away(
    server: type[_Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BLOCK, "shared")
    read = load_credentials()

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError(ConnectionRefusedError())

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert load_credentials() == read
    monkeypatch.setenv(BLOCK, "never-read")
    with pytest.raises(SourceError, match="URLError"):
        load_credentials()


def test_credentials_are_looked_up_without_prefect(server: type[_Api], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BLOCK, "shared")
    program = (
        "import sys\nfrom flows.credentials import load_credentials\n"
        "assert load_credentials().s3.key\nprint('prefect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_block_has_the_fields_that_are_read() -> None:
    from flows.prefect_process.credentials_block import CroplineCredentials

    assert CroplineCredentials.get_block_type_slug() == "cropline-credentials"
    fields = {name for name in CroplineCredentials.model_fields if not name.startswith("_")}
    assert fields == set(CredentialValues.model_fields)
    schema = CroplineCredentials.model_json_schema()
    assert set(schema["secret_fields"]) == {
        "s3_key", "s3_secret", "s3_token", "cdse_key", "cdse_secret", "sh_client_id", "sh_client_secret",
    }  # fmt: skip
    assert all(field.get("description") for field in schema["properties"].values())
    block = CroplineCredentials(s3_secret=SecretStr("the-secret"))
    assert "the-secret" not in repr(block)


def test_a_request_of_the_data_space_needs_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert absolute_source("cdse:", tmp_path) == "cdse:"
    assert absolute_source("mission:seed=3", tmp_path) == "mission:seed=3"
    assert absolute_source("cdse:https://host/stac", tmp_path) == "cdse:https://host/stac"
    assert absolute_source("stac:s3://bucket/catalog.json", tmp_path) == "stac:s3://bucket/catalog.json"
    parameters = {"area": [4.2, 50.2, 4.21, 50.21], "year": 2023, "source": "cdse:", "processor": "vegetation"}
    settings = Settings(store=str(tmp_path / "store"))
    with pytest.raises(RequestError, match=r"source: cdse: .*CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY"):
        check_request(parameters, tmp_path, settings)
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "the-key")
    monkeypatch.setenv("CDSE_S3_SECRET_KEY", "the-secret")
    request = check_request(parameters, tmp_path, settings)
    assert request.source == "cdse:"
    assert "the-" not in request.model_dump_json()
