"""A training that is a process of its own, and ends with the one that started it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from thematic_kit import write_model

from catalog.errors import ModelError
from catalog.registry import Registry
from catalog.season_state import SeasonState
from catalog.storage.store import open_store
from flows.agrunet_process import run_apart
from flows.checks import still_open
from flows.request import MapRequest
from flows.training import start_of, taken_over, training_command

PARENT = """
import sys
from pathlib import Path
from flows.agrunet_process import run_apart
child = "import sys; from pathlib import Path; Path({0!r}).touch(); sys.stdin.read(); Path({1!r}).touch()"
run_apart([sys.executable, "-c", child.format(*sys.argv[1:])], Path("none"), print)
"""


def test_a_training_learns_of_the_end_of_a_killed_parent(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    folder = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", PARENT, str(begun), str(ended)], cwd=folder) as process:
        _wait(begun)
        assert not ended.exists()
        process.kill()
    _wait(ended)


def test_a_model_that_was_damaged_before_it_was_added_is_trained_anew(tmp_path: Path) -> None:
    registry = Registry(open_store(str(tmp_path / "store")))
    checkpoint = write_model(tmp_path / "checkpoint", ("B04",))
    assert taken_over(tmp_path / "none", registry) is None
    added = taken_over(checkpoint, registry)
    assert added is not None
    shutil.rmtree(added)
    weights = checkpoint / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert taken_over(checkpoint, registry) is None
    assert not checkpoint.exists()


def test_nothing_is_learnt_from_a_season_that_is_not_over() -> None:
    season = SeasonState.of(2019, (1, 7), datetime(2019, 5, 1, tzinfo=UTC))
    assert still_open(season) == (
        "no model fits, and none is trained from a season that isn't over: April, May, June and July 2019 are open until 2019-08-08. "
        "Ask for months that are over, name a model, or wait (`cropline subscribe`)."
    )


_KILLED = """
import os, signal, sys
from pathlib import Path
times, folder = int(sys.argv[2]), Path(sys.argv[1])
begun = len(list(folder.glob("begun-*")))
(folder / f"begun-{begun}").touch()
if begun < times:
    os.kill(os.getpid(), int(sys.argv[3]))
(folder / "checkpoint").mkdir()
(folder / "checkpoint" / "item.json").touch()
"""


@pytest.mark.parametrize(
    ("times", "number", "begun"), [(2, signal.SIGKILL, 3), (3, signal.SIGKILL, 3), (1, signal.SIGTERM, 1)]
)
def test_a_training_that_is_killed_is_begun_three_times_at_most(
    times: int, number: int, begun: int, tmp_path: Path
) -> None:
    """Not one that was told to end: somebody cancels it."""
    command = [sys.executable, "-c", _KILLED, str(tmp_path), str(times), str(int(number))]
    fails = times >= begun
    with pytest.raises(ModelError, match=f"exit code -{int(number)}") if fails else nullcontext():
        run_apart(command, tmp_path / "checkpoint" / "item.json", lambda *_: None)
    assert len(list(tmp_path.glob("begun-*"))) == begun


_RANK = """
import os, signal, sys
from pathlib import Path
folder, rank = Path(sys.argv[1]), os.environ["RANK"]
begun = len(list(folder.glob(f"begun-{rank}-*")))
(folder / f"begun-{rank}-{begun}").touch()
if rank == "1" and begun < int(sys.argv[3]):
    if sys.argv[2] == "error":
        sys.exit("the patches are damaged")
    os.kill(os.getpid(), int(sys.argv[2]))
if rank == "0":
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "item.json").touch()
"""


@pytest.mark.parametrize(
    ("how", "times", "begun"), [(str(int(signal.SIGKILL)), 1, 2), (str(int(signal.SIGKILL)), 2, 3), ("error", 1, 1)]
)
def test_a_training_whose_process_is_killed_under_torchrun_is_begun_again(
    how: str, times: int, begun: int, tmp_path: Path
) -> None:
    """Where it fails with an error, that is what is told, not what the launcher makes of it."""
    script = tmp_path / "rank.py"
    # The first process waits for the other one's end, as a training does in its next exchange.
    script.write_text(
        _RANK.replace(
            'if rank == "0":', 'if rank == "0" and begun < int(sys.argv[3]):\n    signal.pause()\nif rank == "0":'
        )
    )
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script), str(tmp_path), how]
    made = tmp_path / "checkpoint" / "item.json"
    with (
        nullcontext()
        if how != "error"
        else pytest.raises(ModelError, match=r"exit code 1(?s:.*)\nthe patches are damaged$")
    ):
        run_apart([sys.executable, *launch, str(times)], made, lambda *_: None)
    assert made.exists() is (how != "error")
    assert len(list(tmp_path.glob("begun-1-*"))) == begun


def test_the_launcher_s_own_restarts_are_off(tmp_path: Path) -> None:
    """Of a restart's processes each looked for the others where those before them had been, and gave up."""
    command = training_command(tmp_path, tmp_path / "checkpoint", "quick", 2)
    assert command[command.index("--max-restarts") + 1] == "0"


def _wait(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_fine_tuned_model_goes_on_from_what_fits(tmp_path: Path) -> None:
    registry = Registry(open_store(str(tmp_path / "store")))
    asked = {"area": [4.0, 50.0, 4.1, 50.1], "year": 2019}
    shipped = start_of(MapRequest.model_validate(asked), registry)
    assert shipped is not None
    assert shipped.name == "simulated-18-crops"
    assert start_of(MapRequest.model_validate(asked | {"classifier": "forest"}), registry) is None
    other = MapRequest.model_validate(asked | {"months": [3, 9]})
    assert start_of(other, registry) is None
    with pytest.raises(
        ModelError, match=r"made for L2A, months 3 to 9, so none can be fine-tuned\. Name one in `start_from`"
    ):
        start_of(other.model_copy(update={"classifier": "fine-tuned"}), registry)
    named = other.model_copy(update={"classifier": "fine-tuned", "start_from": "simulated-18-crops"})
    assert start_of(named, registry) == shipped
    command = training_command(tmp_path, tmp_path / "c", "standard", 1, "fine-tuned", shipped)
    assert command[-4:] == ["--kind", "fine-tuned", "--start-from", str(shipped)]
