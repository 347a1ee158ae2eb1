"""Memory that is freed stays with the process, for the arrays that it will ask for next."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of `mallopt` (malloc.h of the GNU C library)."""

_MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Have the C library's allocator reuse what is freed. Elsewhere than with the GNU C library it does nothing.

    It asks the system for every array above 32 MB and gives it back at once, so that each layer of a network gets fresh pages, which are
    cleared one by one as they are touched: a fifth of the time of an inference on CPUs.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, _MOST)
