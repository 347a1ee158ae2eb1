"""What `cropline doctor` finds: each thing at fault by its name, with what to do, and nothing that is only said to be well."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catalog.errors import SourceError
from flows import doctor
from flows.commands.main import app

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    for name in [name for names in doctor.KEYS.values() for name in names]:
        monkeypatch.delenv(name, raising=False)


def findings(*words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = CliRunner().invoke(app, ["doctor", "--json", *words])
    return done.exit_code, {finding["check"]: finding for finding in json.loads(done.stdout.splitlines()[-1])}


def test_an_installation_that_works_is_told_so(tmp_path: Path) -> None:
    code, found = findings("--source", "mission:")
    assert code == 0
    assert {name: finding["state"] for name, finding in found.items() if finding["state"] != "ok"} == {
        "server": "warning", "worker": "warning",
    }  # fmt: skip
    assert "answers" in found["source"]["text"]
    assert not (tmp_path / "store").exists(), "nothing is made"
    lines = CliRunner().invoke(app, ["doctor"]).stdout.splitlines()
    assert lines[-1] == "Nothing is at fault."


def test_a_source_that_is_none_or_does_not_answer_is_at_fault() -> None:
    code, found = findings("--source", "nowhere:")
    assert (code, found["source"]["state"]) == (1, "fault")
    assert "Known are" in found["source"]["text"]
    code, found = findings("--source", "stac:http://127.0.0.1:9")
    assert (code, found["source"]["state"]) == (1, "fault")


@pytest.mark.parametrize("kind", doctor.KEYS)
def test_half_of_a_pair_of_keys_is_at_fault_and_no_key_is_shown(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = doctor.KEYS[kind]
    monkeypatch.setenv(first, "the-key-that-nobody-sees")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert f"{first} is set, {second} is not. Set both." in done.stdout
    monkeypatch.setenv(second, "the-other-one")
    code, found = findings()
    assert (code, found[f"credentials of {kind}"]["state"]) == (0, "ok")
    assert "nobody-sees" not in done.stdout + str(found)


@pytest.mark.parametrize(("free", "state"), [(500e9, "ok"), (5e9, "warning"), (1e8, "fault")])
def test_a_full_disk_is_told_before_a_run_finds_it(monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 0, free))
    assert findings()[1]["disk"]["state"] == state


def test_a_store_of_others_and_settings_that_make_no_sense_are_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    store.mkdir()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "touch", refuse)
        code, found = findings()
    assert (code, found["store"]["state"]) == (1, "fault")
    assert findings()[1]["store"]["state"] == "ok"
    assert list(store.iterdir()) == [], "the probe is gone"
    monkeypatch.setenv("CROPLINE_WORKERS", "many")
    code, found = findings()
    assert code == 1
    assert found["settings"]["text"].startswith("CROPLINE_WORKERS: ")


def test_a_bucket_that_does_not_answer_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    from catalog.storage import s3

    monkeypatch.setitem(s3._ATTEMPTS, "store", (1, 1))
    monkeypatch.setenv("CROPLINE_CUBES", "s3://bucket/cubes")
    for name, value in (("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), *((key, "k") for key in doctor.KEYS["s3://"])):
        monkeypatch.setenv(name, value)
    code, found = findings()
    assert (code, found["cubes"]["state"]) == (1, "fault")
    assert "can't be reached" in found["cubes"]["text"]


def test_a_plug_in_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from catalog import plugins

    offers = {
        "mine": [plugins.Offer("mine", "mine 1.0", EntryPoint("mine", "no_such_module:Mine", "cropline.processors"))]
    }
    monkeypatch.setattr(plugins, "offered", lambda group: offers if group == "cropline.processors" else {})
    code, found = findings()
    assert (code, found["processor mine"]["state"]) == (0, "warning")
    assert "can't be imported" in found["processor mine"]["text"]


def test_an_error_of_a_check_is_a_finding_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(settings: Any) -> None:
        raise SourceError("the server is away")

    monkeypatch.setattr("flows.prefect_process.status.look", away)
    code, found = findings("--source", "mission:")
    assert (code, found["server"]["text"], found["source"]["state"]) == (1, "the server is away", "ok")
