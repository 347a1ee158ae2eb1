"""Workers: threads, processes, schedulers, one behaviour."""

from __future__ import annotations

import math
import operator
import os
import threading
import time
from collections.abc import Iterator

import engine_kit
import pytest
from distributed import LocalCluster

from catalog.errors import RequestError
from processors.engine.opening import open_engine
from processors.engine.protocol import Engine


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with two workers, as somebody else keeps it running."""
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module", params=["threads", "local", "address"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    address = request.getfixturevalue("scheduler") if request.param == "address" else request.param
    with open_engine(address, 2) as opened:
        yield opened


def test_results_come_in_the_order_of_the_items(engine: Engine) -> None:
    assert list(engine.map(math.sqrt, [float(number * number) for number in range(20)])) == list(range(20))
    assert engine.run(operator.add, 2, 3) == 5


def test_an_error_of_a_worker_is_raised_here(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(engine.map(math.sqrt, [1.0, -1.0, 4.0]))
    with pytest.raises(ZeroDivisionError):
        engine.run(operator.truediv, 1, 0)


def test_results_come_with_their_items_as_they_end_and_words_on_the_way(engine: Engine) -> None:
    heard: list[int] = []
    assert dict(engine.as_completed(engine_kit.squared, range(7), heard.append)) == {n: n * n for n in range(7)}
    assert sorted(heard) == list(range(7))
    with pytest.raises(ValueError, match="-1 is negative"):
        list(engine.as_completed(engine_kit.squared, [1, -1, 2]))
    assert list(engine.as_completed(engine_kit.squared, [])) == []


def test_what_still_runs_after_a_failure_learns_that_nobody_waits(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("failing")
    with pytest.raises(ValueError, match="failed, as it should"):
        list(engine.as_completed(engine_kit.fail_or_go_on, [str(folder / "go-on"), str(folder / "fail")]))
    deadline = time.monotonic() + 30
    while not list(folder.glob("ended-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_equal_calls_are_all_made(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("calls") / "made"
    engine.run(os.mkdir, str(folder))
    engine.run(os.rmdir, str(folder))
    engine.run(os.mkdir, str(folder))  # not answered from the first call's result
    assert folder.is_dir()


def test_only_threads_run_in_this_process(engine: Engine, request: pytest.FixtureRequest) -> None:
    threads = request.node.callspec.params["engine"] == "threads"
    assert (engine.run(os.getpid) == os.getpid()) is threads


def test_threads_run_at_once() -> None:
    barrier = threading.Barrier(2, timeout=10)
    with open_engine("threads", 2) as engine:
        assert sorted(engine.map(lambda _: barrier.wait(), range(2))) == [0, 1]


@pytest.mark.parametrize(("address", "workers", "says"), [("dusk", 1, "'dusk': unknown"), ("threads", 0, "got 0")])
def test_what_cannot_be_is_refused(address: str, workers: int, says: str) -> None:
    with pytest.raises(RequestError, match=says), open_engine(address, workers):
        pass


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import processors.engine.scheduler

    async def silent(address: str, **_: object) -> None:
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(processors.engine.scheduler, "connect", silent)
    with (
        pytest.raises(RequestError, match=r"tcp://127\.0\.0\.1:1: no Dask scheduler answers"),
        open_engine("tcp://127.0.0.1:1"),
    ):
        pass
