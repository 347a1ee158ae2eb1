"""What killed processes left behind, cleared away by whoever starts next: `cropline up`, a worker, a run.

Everything is written in folders that its process holds, so what a living process writes is never touched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from catalog.storage.holding import held, is_left
from catalog.storage.scratch import is_scratch, left_behind
from catalog.storage.store import Store
from catalog.storage.whole import asides, clear_aside
from processors.cube.claim import forget_dead_writers, left_beside
from processors.cube.listing import cell_paths

_FOLDERS = (
    "models",
    "maps",
    "subscriptions",
    "areas",
    "prefect",
    "runs/*",
    "runs/*/mosaic",
    "runs/*/views",
    "runs/*/training/*",
)
"""Folders of a store in which things are written beside their place, but for the cubes."""


def leftovers(store: Store, *, cubes: bool = True) -> list[Path]:
    """Scratch folders of this machine, and what lies half written in a store; ``cubes``: also beside its cells.

    What others hold, or made just now, is not among it.
    """
    left = left_behind()
    for pattern in _FOLDERS:
        for folder in sorted(store.root.glob(pattern)):
            left += asides(folder)
    if cubes and isinstance(store.cubes, Path):
        for folder in sorted(store.cubes.glob("*/*")):
            left += asides(folder)
        for cell in cell_paths(store):
            left += left_beside(Path(str(cell)))
    return left


def clear_leftovers(store: Store, *, cubes: bool = True) -> int:
    """Clear away what `leftovers` lists. Returns how much that was."""
    left = leftovers(store, cubes=cubes)
    for path in left:
        remove_left(path)
    if cubes and isinstance(store.cubes, Path):
        for folder in store.cubes.glob("*/*"):
            forget_dead_writers(folder)
    return len(left)


def remove_left(path: Path) -> bool:
    """Remove what was left, unless somebody holds it by now; returns whether it did."""
    if not is_left(path, age=0):
        return False
    if path.is_dir():
        clear_aside(path)
    else:
        path.unlink(missing_ok=True)
    return True


@contextmanager
def temporary_files_held() -> Iterator[None]:
    """Hold the folder of this process's temporary files, where it is a worker's: they are in use, though that worker may be gone."""
    folder = Path(tempfile.gettempdir())
    with held(folder) if is_scratch(folder) else nullcontext():
        yield
