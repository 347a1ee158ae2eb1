"""One run of a flow: its request, its folder, where its work is computed, and how far it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, wraps
from typing import ParamSpec, TypeVar

from filelock import FileLock, Timeout

from catalog.errors import RewrittenError, StoreError
from catalog.season_state import SeasonState
from catalog.storage.store import Store
from catalog.storage.system_errors import refusal
from catalog.storage.whole import write_json
from catalog.zone import Zone
from flows.leftovers import clear_leftovers, temporary_files_held
from flows.reporting.json_lines import logged_about
from flows.reporting.progress import Reporter, Several, Step, counted, step
from flows.request import MapRequest
from flows.request_ground import request_parcels
from flows.run_folder import RunFolder
from flows.settings import Settings
from flows.shared_store import exchange_models, hand_over_models, turn_among_machines
from flows.totals import count_delivery, count_stage
from processors.engine.protocol import Engine
from processors.views.declared import Declared

Given = ParamSpec("Given")
Made = TypeVar("Made")

REWRITTEN = 3
"""Times that a run begins again since other runs write dates anew that it reads."""


@dataclass(frozen=True)
class Run:
    """Run of a flow, as every stage is given it. Settings and folder could travel anywhere; engine and reporter live in this process."""

    request: MapRequest
    settings: Settings
    store: Store
    folder: RunFolder
    engine: Engine
    reporter: Reporter
    seconds: dict[str, float] = field(default_factory=dict)
    """Spent, by stage."""
    work: dict[str, float] = field(default_factory=dict)
    """Amounts that the stages' times grow with, by `flows.rates.Unit`, as far as the stages tell them."""
    reached: dict[str, datetime] = field(default_factory=dict)
    """Times at which each stage ended, and each acquisition was in the cube (by its name); UTC."""

    @cached_property
    def zone(self) -> Zone:
        return Zone.of(self.request.polygon)

    @cached_property
    def squares(self) -> str:
        """Number of squares around points that the area is made of, to be shown behind something; empty of other areas."""
        return f", under {counted(len(self.zone.squares), 'square')} around points" if self.zone.around_points else ""

    @cached_property
    def parcels(self) -> Declared | None:
        """The parcels that the request names, those in its area: read once, and looked at by several stages. Raises `RequestError`."""
        return request_parcels(self.request, self.zone)

    @cached_property
    def season(self) -> SeasonState:
        """The season asked for as it stood when the run first looked: the same until the run's end."""
        return SeasonState.of(self.request.year, self.request.season, self.settings.now)

    @contextmanager
    def step(self, name: str, waits_for: str, total: int = 1) -> Iterator[Step]:
        """Report a stage of ``total`` steps, and remember how long it took."""
        with step(self.reporter, name, waits_for, total) as under_way:
            yield under_way
        self.reached[name] = datetime.now(UTC)
        self.seconds[name] = round(self.seconds.get(name, 0.0) + under_way.seconds, 3)
        count_stage(self.store, name, under_way.seconds)


@contextmanager
def open_run(request: MapRequest, settings: Settings, *reporters: Reporter) -> Iterator[Run]:
    """Open a run with its folder locked, its request written there, and its engine.

    While the same request runs elsewhere it waits for the end of that: what is there then is taken, and the rest is done here.
    """
    store = settings.open_store()
    folder = RunFolder.of(store, request.digest)
    reporter = Several(*reporters)
    with logged_about(request.digest), _locked(folder, reporter):
        clear_leftovers(store, cubes=False)  # of its cells, whoever writes them clears
        write_json(folder.request, request.model_dump(mode="json"))
        count_delivery(store, request.processor, 0)
        with turn_among_machines(store, request.digest, reporter), temporary_files_held():
            exchange_models(store)
            with settings.open_engine(store) as engine:
                yield Run(request, settings, store, folder, engine, reporter)
            hand_over_models(store)  # before the turn of another machine, which may need what was trained


def again_where_rewritten(path: Callable[Given, Made]) -> Callable[Given, Made]:
    """Walk a path of stages again where a date was written anew while it was read: stages skip what is done, and read what is there now.

    The path raises `RewrittenError` where that goes on.
    """

    @wraps(path)
    def walk(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        for _ in range(REWRITTEN):
            try:
                return path(*args, **kwargs)
            except RewrittenError as error:
                logging.getLogger(__name__).warning("%s It is begun again.", error)
        return path(*args, **kwargs)

    return walk


@contextmanager
def _locked(folder: RunFolder, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of a run's folder, which goes with this process. Raises `StoreError` where the folder can't be written."""
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.lock, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            with step(reporter, "queue", "the same request, which is running now") as under_way:
                lock.acquire(poll_interval=0.5)
                under_way.outcome = "the same request has ended"
    except OSError as error:
        raise StoreError(f"can't write {folder.path}: {refusal(error, folder.path)}.") from error
    try:
        yield
    finally:
        lock.release()
