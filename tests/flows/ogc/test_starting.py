"""The start of the interface: where it may listen, what is said where it can't be had, and what runs is found by its command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catalog.storage.store import Store
from flows.commands.main import app
from flows.ogc import starting
from flows.ogc.starting import Place, put_right
from flows.prefect_process import processes
from flows.prefect_process.api import ServiceError
from flows.prefect_process.server_file import Services
from flows.settings import load_settings

SERVICES = Services(api="http://127.0.0.1:4217/api", ui="http://127.0.0.1:4217")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (Place(host="0.0.0.0"), "--ogc-address: missing"),
        (Place(host="10.0.0.7"), "--ogc-address: missing"),
        (Place(host="maps.example.org"), "--ogc-host: 'maps.example.org' is no address"),
        (Place(address="maps.example.org"), "--ogc-address: no address such as"),
        (Place(address="https://name:word@maps.example.org"), "--ogc-address: no address such as"),
        (Place(address="ftp://maps.example.org"), "--ogc-address: no address such as"),
    ],
)
def test_what_would_lead_nowhere_or_tell_keys_is_refused(place: Place, why: str, store: Store) -> None:
    with pytest.raises(ServiceError, match=f"^{why}") as refused:
        put_right(load_settings(), SERVICES, place, print)
    assert "word" not in str(refused.value)
    assert processes.services_of(store, "ogc") == []


def test_the_extra_that_is_missing_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "find_spec", lambda _: None)
    with pytest.raises(ServiceError, match=r"pip install 'cropline\[ogc\]'"):
        put_right(load_settings(), SERVICES, Place(), print)


def test_nothing_is_started_that_is_not_wanted_and_does_not_run(store: Store) -> None:
    told: list[str] = []
    assert put_right(load_settings(), SERVICES, None, told.append) is None
    assert told == []


class Process:
    """A process with a command line."""

    def __init__(self, *options: str) -> None:
        self.words = ["python", "-m", "flows.ogc.serve", "serve", *options]

    def cmdline(self) -> list[str]:
        return self.words


@pytest.mark.parametrize(
    ("wanted", "stays"),
    [
        (None, True),
        (Place(), True),
        (Place(port=4281), True),
        (Place(port=4282), False),
        (Place(host="127.0.0.2"), False),
        (Place(address="https://maps.example.org/"), True),
        (Place(address="https://other.example.org"), False),
    ],
)
def test_one_that_runs_stays_where_it_is_wanted(wanted: Place | None, stays: bool) -> None:
    process: Any = Process("--host", "127.0.0.1", "--port", "4281", "--address", "https://maps.example.org")
    assert processes._is_service(process, "ogc")
    assert not processes._is_service(process, "server")
    assert starting._is_at(process, wanted) == stays


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--ogc-port", "4281"], "give --ogc, too"),
        (["--ogc-address", "https://maps.example.org"], "give --ogc, too"),
        (["--ogc", "--api", "http://127.0.0.1:4200"], "--ogc is for the machine of the"),
    ],
)
def test_options_that_do_not_go_together_are_said(words: list[str], why: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["up", *words], env={"CROPLINE_STORE": str(tmp_path / "store"), "COLUMNS": "200"})
    assert done.exit_code == 2
    assert why in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "store").exists()
