"""The flow `reprocess`: only what is new, and one failure doesn't stop the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog import subscriptions
from catalog.storage.store import open_store

SCRIPT = """
import json, os, pathlib
from flows.prefect_process.isolation import isolated_prefect
from flows.prefect_process.temporary_server import temporary_server
with temporary_server() as server, isolated_prefect(server):
    from flows.reprocess import ReprocessError, reprocess
    written = lambda: [file.stat().st_mtime_ns for file in pathlib.Path("good").iterdir()]
    first = reprocess(return_state=True)
    before = written()
    second = reprocess(return_state=True)
    after = written()
    os.environ["CROPLINE_MASK"] = json.dumps({"l2a": {"dilation": 80}})
    reprocess(return_state=True)
    print(json.dumps([str(first.message), str(second.message), before, after, written()]))
"""


@pytest.fixture(scope="module")
def outcome(
    tmp_path_factory: pytest.TempPathFactory, parameters: dict[str, Any], run_script: Callable[..., Any]
) -> tuple[Path, list[Any]]:
    """Two subscriptions, one of them broken, mapped twice in one process."""
    folder = tmp_path_factory.mktemp("subscribed")
    store = open_store(str(folder / "store"))
    subscriptions.add(store, {**parameters, "output": str(folder / "good")})
    subscriptions.add(store, {**parameters, "min_acquisitions": 100, "output": str(folder / "bad")})
    done = run_script(SCRIPT, folder, timeout=240)
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_one_failure_does_not_stop_the_others_and_is_named(outcome: tuple[Path, list[Any]]) -> None:
    folder, (message, *_) = outcome
    assert (folder / "good" / "item.json").is_file()
    assert not (folder / "bad").exists()
    assert "1 of 2 subscriptions failed" in message
    assert "min_acquisitions" in message


def test_what_has_nothing_new_is_not_made_again(outcome: tuple[Path, list[Any]]) -> None:
    _, (_, message, before, after, _) = outcome
    assert "1 of 2 subscriptions failed" in message, "the broken one is tried again"
    assert before
    assert after == before


def test_what_is_masked_otherwise_is_made_again(outcome: tuple[Path, list[Any]]) -> None:
    _, (*_, before, again) = outcome
    assert min(again) > max(before)  # with what changed beside it
