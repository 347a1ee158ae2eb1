"""A command seen from outside: what it and its children hold, read and write counts, by what they are at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flows.bench.process_tree import ProcessTree

CHILD = """
import sys
held = bytearray(120_000_000)
open(sys.argv[1], "wb").write(held[:30_000_000])
sys.stdout.write("written\\n"); sys.stdout.flush()
sys.stdin.readline()
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
sys.stdout.write("written\\n"); sys.stdout.flush()
sys.stdin.readline()
child.communicate("over\\n")
sys.stdout.write("alone\\n"); sys.stdout.flush()
sys.stdin.readline()
"""


def test_children_count_while_they_live_and_their_bytes_for_ever(tmp_path: Path) -> None:
    file, at = tmp_path / "file", "both"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(file), CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process, ProcessTree(process.pid, lambda: at) as tree:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        _look_again(tree, at)
        process.stdin.write("on\n")
        process.stdin.flush()
        process.stdout.readline()
        at = "parent"
        _look_again(tree, at)
        process.communicate("over\n")
    assert tree.usage["both"].peak_bytes > 120_000_000
    assert tree.usage["parent"].peak_bytes < 100_000_000
    assert 30_000_000 < tree.usage["both"].written_bytes < 31_000_000
    assert tree.usage["parent"].written_bytes < 1_000_000


def _look_again(tree: ProcessTree, at: str) -> None:
    """Wait until there were looks that began after this moment."""
    tree.wait_for_looks(2)
    assert at in tree.usage
