"""Pruning of a store: what runs left in it, cells that no request has read for long, and scratch of killed processes.

What is removed is made anew by a run that needs it. What a run uses is left, models and deliveries are never touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from catalog.errors import RequestError
from catalog.guards.json_text import parse_object
from catalog.products import Frozen
from catalog.storage.holding import is_left
from catalog.storage.store import Store
from catalog.subscriptions import subscribed
from catalog.zone import Zone
from flows.leftovers import leftovers, remove_left
from flows.request import MapRequest
from flows.run_folder import RunFolder
from processors.cube.healing import DAMAGED
from processors.cube.listing import cell_name, cell_paths, cell_state
from processors.cube.removal import remove_cell
from processors.thematic.run_results import forget_shared

DAMAGED_KEPT = 24 * 3600.0
"""Seconds for which a damaged cell that was moved away is kept."""


class Kind(StrEnum):
    """Kind of what can be removed."""

    RUNS = "runs"
    CUBES = "cubes"
    SCRATCH = "scratch"


class Prunable(Frozen):
    """One thing that can be removed."""

    kind: Kind
    name: Annotated[str, Field(description="address, or path")]
    size: Annotated[int, Field(description="bytes")]
    last_used: Annotated[datetime, Field(description="UTC")]


@dataclass(frozen=True, slots=True)
class _Candidate:
    shown: Prunable
    in_use: Callable[[], bool]
    remove: Callable[[], bool]
    """Removes it unless it is in use; returns whether it did."""


def prune(
    store: Store,
    kinds: Sequence[Kind],
    older_than: timedelta | None,
    keep: int | None,
    *,
    dry_run: bool = False,
) -> tuple[list[Prunable], list[Prunable]]:
    """Remove what was last used longer ago than ``older_than``, and of each kind the oldest until at most ``keep`` bytes are left.

    Scratch goes where the process that made it is gone, whatever its age and size. ``dry_run``: nothing is removed. Returns what was
    (or would be) removed, and what was left since something uses it now. Raises `StoreError`.
    """
    removed: list[Prunable] = []
    used: list[Prunable] = []
    for kind in kinds:
        candidates = sorted(_CANDIDATES[kind](store), key=lambda candidate: candidate.shown.last_used)
        for candidate in candidates if kind is Kind.SCRATCH else _due(candidates, older_than, keep):
            gone = not candidate.in_use() if dry_run else candidate.remove()
            (removed if gone else used).append(candidate.shown)
    return removed, used


def runs_that_go_on(store: Store) -> list[str]:
    """Names of the runs of a store that go on now on this machine, those of commands among them."""
    return [f"runs/{folder.path.name}" for folder in _run_folders(store) if _goes_on(folder)]


def _due(candidates: list[_Candidate], older_than: timedelta | None, keep: int | None) -> list[_Candidate]:
    """The first of candidates, which are sorted from the least recently used on."""
    left = sum(candidate.shown.size for candidate in candidates)
    now = datetime.now(UTC)
    due = []
    for candidate in candidates:
        too_old = older_than is not None and now - candidate.shown.last_used > older_than
        too_much = keep is not None and left > keep
        if too_old or too_much:
            due.append(candidate)
            left -= candidate.shown.size
    return due


def _runs(store: Store) -> Iterator[_Candidate]:
    kept = _subscribed_digests(store)
    for folder in _run_folders(store):
        files = [path for path in folder.path.rglob("*") if path.is_file()]
        keeps = folder.delivered if folder.path.name in kept else None
        size = sum(path.stat().st_size for path in files if path != keeps)
        if size:
            last = _last_run(folder) or max(map(_written, files))
            shown = Prunable(kind=Kind.RUNS, name=str(folder.path), size=size, last_used=last)
            yield _Candidate(shown, partial(_goes_on, folder), partial(_remove_run, store, folder, keeps))
    yield from _areas(store)


def _areas(store: Store) -> Iterator[_Candidate]:
    """Areas kept in files, which go after the last run that names them."""
    subscribed_areas = [parameters.get("area") for parameters in subscribed(store).values()]
    lately = {area: _last_run(folder) for folder in _run_folders(store) if (area := _area_file(folder))}
    for path in sorted(store.areas.glob("*.geojson")):
        if str(path) not in subscribed_areas:
            last = max(time for time in (_written(path), lately.get(str(path))) if time)
            shown = Prunable(kind=Kind.RUNS, name=str(path), size=path.stat().st_size, last_used=last)
            yield _Candidate(shown, lambda: False, partial(_remove_area, store, path))


def _cubes(store: Store) -> Iterator[_Candidate]:
    requested: dict[str, datetime] = {}
    for folder in _run_folders(store):
        if began := _last_run(folder):
            requested |= {name: max(began, requested.get(name, began)) for name in _cells_of(folder)}
    for path in cell_paths(store):
        name = cell_name(path)
        size, written = cell_state(path)
        last = max(time for time in (written or datetime.now(UTC), requested.get(name)) if time)
        shown = Prunable(kind=Kind.CUBES, name=str(path), size=size, last_used=last)
        needed = partial(_needed_now, store, name)
        yield _Candidate(shown, needed, partial(remove_cell, path, needed))


def _scratch(store: Store) -> Iterator[_Candidate]:
    for path in [*leftovers(store), *_damaged(store)]:
        files = [file for file in (path, *path.rglob("*")) if file.is_file() and not file.is_symlink()]
        size = sum(file.stat().st_size for file in files)
        shown = Prunable(kind=Kind.SCRATCH, name=str(path), size=size, last_used=_written(path))
        yield _Candidate(shown, partial(_held_again, path), partial(remove_left, path))


def _held_again(path: Path) -> bool:
    return not is_left(path, age=0)


_CANDIDATES: dict[Kind, Callable[[Store], Iterator[_Candidate]]] = {
    Kind.RUNS: _runs,
    Kind.CUBES: _cubes,
    Kind.SCRATCH: _scratch,
}


def _run_folders(store: Store) -> list[RunFolder]:
    folders = sorted(store.runs.iterdir()) if store.runs.is_dir() else []
    return [RunFolder(path) for path in folders if path.is_dir() and not path.name.startswith(".")]


def _remove_run(store: Store, folder: RunFolder, keeps: Path | None) -> bool:
    """Remove what a run left, but for the record of its delivery where a subscription compares it with what is new."""
    with _free(folder) as free:
        if not free:
            return False
        forget_shared(folder.shared_results, store.cubes)
        for path in folder.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path not in (folder.lock, keeps):
                path.unlink(missing_ok=True)
        if keeps is None:
            folder.lock.unlink(missing_ok=True)  # who waits for it notices, and makes a new one
            folder.path.rmdir()
    return True


def _remove_area(store: Store, path: Path) -> bool:
    """Remove the file of an area unless the folder of a run names it."""
    if any(_area_file(folder) == str(path) for folder in _run_folders(store)):
        return False
    path.unlink(missing_ok=True)
    return True


def _area_file(folder: RunFolder) -> str | None:
    """Path of the file that holds a run's area, where its request names one."""
    area = _request_of(folder).get("area")
    return area if isinstance(area, str) else None


def _request_of(folder: RunFolder) -> dict[str, Any]:
    """The request of a run as it is written there; empty where it can't be read."""
    try:
        return parse_object(folder.request.read_bytes(), RequestError)
    except (OSError, RequestError):
        return {}


def _damaged(store: Store) -> list[Path]:
    """Damaged cells in whose place others were made, a day after that."""
    paths = sorted(store.cubes.glob(f"*/*/*{DAMAGED}*")) if isinstance(store.cubes, Path) else []
    return [path for path in paths if is_left(path, DAMAGED_KEPT)]


@contextmanager
def _free(folder: RunFolder) -> Iterator[bool]:
    """Hold a run's lock; False while the run goes on."""
    lock = FileLock(folder.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _needed_now(store: Store, name: str) -> bool:
    """Return whether a run that goes on now reads or writes cells of that name."""
    return any(_goes_on(folder) and name in _cells_of(folder) for folder in _run_folders(store))


def _goes_on(folder: RunFolder) -> bool:
    with _free(folder) as free:
        return not free


def _cells_of(folder: RunFolder) -> frozenset[str]:
    """Names of the cells that a run's area touches; none where its request can't be read."""
    try:
        request = MapRequest.model_validate_json(folder.request.read_bytes())
        return frozenset(cell.name for cell in Zone.of(request.polygon).cells)
    except (OSError, ValidationError, RequestError):
        return frozenset()


def _subscribed_digests(store: Store) -> frozenset[str]:
    """Names of the folders of subscribed requests."""
    digests = []
    for parameters in subscribed(store).values():
        try:
            digests.append(MapRequest.model_validate(parameters).digest)
        except ValidationError:  # `reprocess` tells of it
            continue
    return frozenset(digests)


def _last_run(folder: RunFolder) -> datetime | None:
    """Time at which a run began last; None where that isn't known."""
    return _written(folder.request) if folder.request.is_file() else None


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
