"""Schedulers of others: with certificates, or refused; with the cubes in a bucket, or refused."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import dask
import engine_kit
import pytest

import processors.engine.scheduler
from catalog.errors import RequestError
from processors.engine.opening import open_engine
from processors.engine.scheduler import is_here


class Silent:
    """A client whose scheduler has a worker on another machine."""

    def __init__(self, address: str, **_: Any) -> None:
        self.address = address

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def scheduler_info(self, **_: Any) -> dict[str, Any]:
        return {"workers": {"tls://192.0.2.7:1": {}}}


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def knock(address: str, security: Any) -> None:
        """Somebody answers."""

    monkeypatch.setattr(processors.engine.scheduler, "_knock", knock)
    monkeypatch.setattr(processors.engine.scheduler, "Client", Silent)
    monkeypatch.setattr(
        processors.engine.scheduler, "Security", lambda: type("S", (), {"tls_ca_file": "a", "tls_client_cert": "b"})
    )


def test_this_machine_is_known_by_its_names_and_numbers() -> None:
    assert all(is_here(host) for host in ("localhost", "127.0.0.1", "127.3.2.1", "::1"))
    assert is_here(socket.gethostbyname(socket.gethostname()))
    assert not any(is_here(host) for host in ("192.0.2.7", "", "no-such-host.invalid"))


def test_a_scheduler_elsewhere_must_be_encrypted_or_be_allowed_by_name(silent: None) -> None:
    address = "tcp://192.0.2.7:8786"
    for allowed in (None, "tcp://192.0.2.8:8786"):
        with (
            pytest.raises(RequestError, match=f"not encrypted .* CROPLINE_DASK_INSECURE={address}"),
            open_engine(address, insecure=allowed, in_bucket=True),
        ):
            pass
    with open_engine(address, insecure=address, in_bucket=True) as engine:
        assert not engine.shares_files
    with open_engine("tls://192.0.2.7:8786", in_bucket=True) as engine:
        assert engine.is_scheduler


@pytest.mark.parametrize(
    ("address", "why"),
    [("tls://192.0.2.7:8786", "isn't on this machine"), ("tls://127.0.0.1:8786", "its worker 192.0.2.7 isn't")],
)
def test_without_a_bucket_workers_elsewhere_are_refused_unless_they_share_the_store(
    silent: None, address: str, why: str
) -> None:
    for shared in (None, False):
        with (
            pytest.raises(RequestError, match=f"{why}.* CROPLINE_CUBES .*CROPLINE_SHARED_STORE=true"),
            open_engine(address, shared_files=shared),
        ):
            pass
    with open_engine(address, shared_files=True) as engine:
        assert engine.shares_files


def test_certificates_are_asked_for_by_name() -> None:
    with (
        pytest.raises(RequestError, match=r"no certificates .*DASK_DISTRIBUTED__COMM__TLS__CA_FILE"),
        open_engine("tls://127.0.0.1:8786"),
    ):
        pass


def test_a_scheduler_takes_only_the_certificates_it_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_kit.cluster(tmp_path, workers=1) as cluster:
        assert cluster.address.startswith("tls://127.0.0.1:")
        with dask.config.set(engine_kit.client_settings(tmp_path / "tls")), open_engine(cluster.address) as engine:
            assert engine.run(abs, -3) == 3
            assert engine.shares_files
        engine_kit.write_certificates(tmp_path / "others")
        monkeypatch.setattr(processors.engine.scheduler, "_TIMEOUT", 2.0)
        with (
            dask.config.set(engine_kit.client_settings(tmp_path / "others")),
            pytest.raises(RequestError, match="no Dask scheduler answers"),
            open_engine(cluster.address),
        ):
            pass
