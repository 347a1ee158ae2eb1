"""Credentials come from the environment and are shown nowhere."""

from __future__ import annotations

import pytest

from flows.credentials import load_credentials

NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY")


def test_each_service_has_its_own_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, f"http://127.0.0.1/{name}" if name.endswith("URL") else f"the-{name}")
    found = load_credentials()
    assert (found.s3.endpoint, found.cdse.endpoint) == (
        "http://127.0.0.1/AWS_ENDPOINT_URL",
        "https://eodata.dataspace.copernicus.eu",
    )
    assert found.s3.secret is not None
    assert found.s3.secret.get_secret_value() == "the-AWS_SECRET_ACCESS_KEY"
    assert found.cdse.key is not None
    assert found.cdse.key.get_secret_value() == "the-CDSE_S3_ACCESS_KEY"
    for text in (repr(found), str(found), found.model_dump_json()):
        assert "the-" not in text


def test_without_them_requests_are_anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    found = load_credentials()
    assert (found.s3.key, found.cdse.key, found.sentinel_hub) == (None, None, None)
