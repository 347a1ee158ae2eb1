"""A call that takes too long, too much memory or its process's life is ended with its process; the others are made again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engine_kit
import psutil
import pytest

from catalog.errors import ProductError, Reason, RequestError, WorkerError
from processors.engine.apart import call_apart
from processors.engine.limits import CALLS, MARKS, Limits, Marks, OverLimitError

LIMITS = Limits(seconds=2, memory=2 * 10**9)


def test_a_call_returns_what_it_returns_and_raises_what_it_raises() -> None:
    assert call_apart(LIMITS, engine_kit.double, 21) == 42
    assert call_apart(LIMITS, engine_kit.own_process) != os.getpid()
    with pytest.raises(ProductError, match="no such product") as refused:
        call_apart(LIMITS, engine_kit.refuse, "no such product")
    assert refused.value.kind is Reason.NOT_THERE
    with pytest.raises(WorkerError, match="_UnpackableError: so it is"):
        call_apart(LIMITS, engine_kit.fail_unpackably)


def test_calls_share_a_process_and_its_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        processes = list(pool.map(lambda _: call_apart(LIMITS, engine_kit.own_process, 0.2), range(4)))
    assert len(set(processes)) == 1


def test_what_ends_its_process_is_found_and_the_others_are_made_again(tmp_path: Path) -> None:
    limits = Limits(seconds=1, memory=2 * 10**9)
    with ThreadPoolExecutor(3) as pool:
        bad = pool.submit(call_apart, limits, engine_kit.hang)
        good = [pool.submit(call_apart, limits, engine_kit.long_work, tmp_path / name) for name in ("a", "b")]
        with pytest.raises(OverLimitError, match="one reading of it took over 1 s") as ended:
            bad.result(60)
        assert ended.value.kind is Reason.OVER_LIMIT
        assert [future.result(60) for future in good] == ["done", "done"]
    assert {(tmp_path / name).read_text() for name in ("a", "b")} <= {"begun", "begunbegun"}
    assert call_apart(limits, engine_kit.double, 1) == 2, "there is another process for what comes next"


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (engine_kit.swallow, "reading it took over 0.3 GB of memory"),
        (engine_kit.crash, r"it ended the process that read it \(exit code -11\)"),
    ],
)
def test_memory_and_crashes_end_a_process_too(harm: Callable[[], None], why: str) -> None:
    with pytest.raises(OverLimitError, match=why) as ended:
        call_apart(Limits(seconds=99, memory=3 * 10**8), harm)
    assert ended.value.kind is (Reason.ENDED_PROCESS if harm is engine_kit.crash else Reason.OVER_LIMIT)


@pytest.mark.parametrize("harm", [engine_kit.hang, engine_kit.swallow, engine_kit.crash])
def test_the_product_that_was_being_read_is_named_and_no_other(harm: Callable[[], None]) -> None:
    limits = Limits(seconds=1 if harm is engine_kit.hang else 99, memory=3 * 10**8)
    name = "S2A_" + "long" * 100 + "ä"
    with pytest.raises(OverLimitError) as ended:
        call_apart(limits, engine_kit.read_of, name, harm)
    assert ended.value.concerns(name)
    assert not ended.value.concerns("S2A_other")


def test_work_that_is_no_call_into_a_library_may_take_longer() -> None:
    assert call_apart(Limits(seconds=0.5, memory=2 * 10**9), engine_kit.own_process, 1.5)


def test_a_process_goes_with_the_one_that_started_it(tmp_path: Path) -> None:
    program = (
        "import engine_kit, sys, threading\n"
        "from processors.engine.apart import call_apart\n"
        "from processors.engine.limits import Limits\n"
        "threading.Thread(target=call_apart, args=(Limits(99, 10**10), engine_kit.hang), daemon=True).start()\n"
        "print(call_apart(Limits(99, 10**10), engine_kit.own_process), flush=True)\n"
        "sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=tmp_path
    ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))  # type: ignore[union-attr]
        parent.send_signal(signal.SIGKILL)
    child.wait(20)


def test_the_longest_call_is_told_and_ended_ones_are_forgotten() -> None:
    marks = Marks(memoryview(bytearray(MARKS)))
    assert marks.longest() == 0
    with marks.call():
        time.sleep(0.02)
        with marks.call():
            assert marks.longest() >= 0.02
    assert marks.longest() == 0


def test_more_calls_than_can_be_marked_are_made_all_the_same() -> None:
    marks, inside = Marks(memoryview(bytearray(MARKS))), threading.Barrier(CALLS + 2)

    def enter() -> None:
        with marks.call():
            inside.wait(30)

    threads = [threading.Thread(target=enter) for _ in range(CALLS + 1)]
    for thread in threads:
        thread.start()
    inside.wait(30)
    for thread in threads:
        thread.join(30)
    assert marks.longest() == 0


def test_errors_keep_their_kind_on_their_way() -> None:
    with pytest.raises(RequestError):
        call_apart(LIMITS, engine_kit.refuse_request)


_STOPPED = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import engine_kit
from processors.engine.apart import call_apart, stop_reading
from processors.engine.limits import Limits, StoppedError
outcome = []

def read():
    try:
        call_apart(Limits(seconds=60, memory=2 * 10**9), engine_kit.until_stopped, sys.argv[1])
    except StoppedError:
        outcome.append("stopped")

reading = threading.Thread(target=read)
reading.start()
while not (Path(sys.argv[1]) / "left").exists():
    time.sleep(0.02)
if sys.argv[3] == "killed":
    print("reading", flush=True)
    time.sleep(60)
stop_reading()
reading.join(30)
read()
print(outcome, flush=True)
"""


def test_who_is_about_to_end_stops_what_is_read_and_nothing_is_left(tmp_path: Path, repository: Path) -> None:
    """Nor is it begun again."""
    words = [sys.executable, "-c", _STOPPED, str(tmp_path), str(repository / "tests" / "kits"), "stopped"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=repository)
    assert done.stdout == "['stopped', 'stopped']\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_had_read_is_stopped_and_leaves_nothing(tmp_path: Path, repository: Path) -> None:
    words = [sys.executable, "-c", _STOPPED, str(tmp_path), str(repository / "tests" / "kits"), "killed"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=repository) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        (reader,) = psutil.Process(process.pid).children()
        process.kill()
    psutil.wait_procs([reader], timeout=30)
    assert list(tmp_path.iterdir()) == []
