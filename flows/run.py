"""One run of a flow: its request, its folder in the store, where its stages are computed, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout
from shapely.geometry.base import BaseGeometry

from catalog.area import Area
from catalog.errors import StoreError
from catalog.grid import Cell, Window, cells_meeting, to_zone, utm_zone, window_around
from catalog.storage.store import Store, write_json
from flows.reporting.progress import Reporter, Several, Silent
from flows.request import MapRequest
from flows.settings import Settings
from processors.engine import Engine

REPORTER: ContextVar[Reporter] = ContextVar("reporter", default=Silent())  # noqa: B039 - it holds no state
"""Who is told how far the run is, beside Prefect: the terminal of `cropline run`."""

ENGINE: ContextVar[Engine] = ContextVar("engine")
"""Where tasks hand their work; set for the length of a run and seen by the threads that Prefect starts."""


Advance = Callable[[int, int | None], None]
"""Told how many steps of a stage are done, and of how many."""

ADVANCE: ContextVar[Advance] = ContextVar("advance", default=lambda done, total: None)  # noqa: ARG005
"""Told by tasks that run in the flow's own thread how far they are."""


@dataclass(frozen=True)
class Zone:
    """Where a request lies on the grid."""

    area: Area
    epsg: int

    @classmethod
    def of(cls, area: Area) -> Zone:
        """The UTM zone of the area's centroid."""
        return cls(area, utm_zone(area.centroid.x, area.centroid.y))

    @cached_property
    def geometry(self) -> BaseGeometry:
        """The area in the zone's metres."""
        return to_zone(self.area, self.epsg)

    @cached_property
    def window(self) -> Window:
        return window_around(self.geometry, self.epsg)

    @cached_property
    def cells(self) -> list[Cell]:
        return cells_meeting(self.geometry, self.epsg)


@dataclass
class Stage:
    """A stage under way."""

    advance: Advance
    outcome: str = "done"


@dataclass(frozen=True)
class Run:
    """What every stage of a run is told."""

    settings: Settings
    store: Store
    request: MapRequest
    folder: Path
    reporter: Reporter
    seconds: dict[str, float] = field(default_factory=dict)
    """Spent, by stage."""
    reached: dict[str, datetime] = field(default_factory=dict)
    """When each stage ended, and when each acquisition was in the cube, by the acquisition's name; UTC."""

    @cached_property
    def zone(self) -> Zone:
        return Zone.of(self.request.polygon)

    @property
    def request_file(self) -> Path:
        return self.folder / "request.json"

    @property
    def order_file(self) -> Path:
        return self.folder / "order.json"

    @property
    def season_file(self) -> Path:
        return self.folder / "season.json"

    @property
    def job_file(self) -> Path:
        return self.folder / "job.json"

    @contextmanager
    def stage(self, name: str, waits_for: str, total: int = 1) -> Iterator[Stage]:
        """Time a stage and say how far it is; ``total`` steps."""
        start = time.monotonic()
        self.reporter.stage(name, total, waits_for)
        stage = Stage(self.reporter.advance)
        token = ADVANCE.set(self.reporter.advance)
        try:
            yield stage
        finally:
            ADVANCE.reset(token)
        spent = time.monotonic() - start
        self.reached[name] = datetime.now(UTC)
        self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)
        self.reporter.finish(spent, stage.outcome)


@contextmanager
def open_run(request: MapRequest, settings: Settings, *reporters: Reporter) -> Iterator[Run]:
    """A run's folder, locked, with its request in it, and its engine. Raises `StoreError` while the same request runs."""
    store = settings.open_store()
    folder = store.runs / request.digest
    lock = _locked(folder)
    try:
        run = Run(settings, store, request, folder, Several(REPORTER.get(), *reporters))
        write_json(run.request_file, request.model_dump(mode="json"))
        with settings.open_engine(store) as engine:
            token = ENGINE.set(engine)
            try:
                yield run
            finally:
                ENGINE.reset(token)
    finally:
        lock.release()


def _locked(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", thread_local=False)
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"this request is being run already (lock in {folder}). Wait for it to end, then ask again."
        ) from None
    except OSError as error:
        raise StoreError(f"can't write {folder}: {error}. Free some space or check the permissions.") from error
    return lock
