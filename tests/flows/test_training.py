"""A training that is a process of its own, and ends with the one that started it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from thematic_kit import write_model

from catalog.registry import Registry
from catalog.storage.store import open_store
from flows.training import taken_over

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


def _wait(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
