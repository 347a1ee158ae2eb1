"""Freed memory stays with the process: the next array of the same size takes no fresh pages."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource
from agrunet.memory import keep_freed_memory

def fresh_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        b"x" * 64_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

as_it_comes = fresh_pages()
keep_freed_memory()
fresh_pages()
print(as_it_comes, fresh_pages())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only the GNU C library's allocator is told")
def test_the_next_array_of_the_same_size_takes_no_fresh_pages() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    as_it_comes, kept = map(int, done.stdout.split())
    assert as_it_comes > 1000, "five arrays of 64 MB, of pages of 4 KB"
    assert kept < as_it_comes / 100
