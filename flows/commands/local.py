"""Flows run in this process, with a Prefect of its own and progress in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from flows.commands.importing import without_collector
from flows.commands.interruption import remembered
from flows.prefect_process.isolation import isolated_prefect
from flows.prefect_process.temporary_server import TemporaryServer
from flows.reporting.delivery import Delivery
from flows.reporting.extracted import Extracted
from flows.reporting.progress import Reporter, Several, terminal
from flows.request import MapRequest, Promote
from flows.settings import Settings

if TYPE_CHECKING:
    from flows.training import Trained

Made = TypeVar("Made")


def run_in_process(request: MapRequest, settings: Settings, server: TemporaryServer) -> Delivery:
    """Run the stages of the flow `crop-map` here, with this server. Raises what a stage raised."""
    with _prefect(server) as reporter:
        with without_collector():
            from flows.crop_map import NAME, map_area
        server.wait()
        title = f"{request.processor} {request.year}"
        delivery, _ = _as_flow(NAME, title, lambda: map_area(request, settings, reporter))
        return delivery


def train_in_process(
    request: MapRequest, processes: int, promote: Promote, settings: Settings, server: TemporaryServer
) -> Trained:
    """Run the stages of the flow `retrain` here, with this server. Returns the model and what was decided; raises what a stage raised."""
    with _prefect(server) as reporter:
        with without_collector():
            from flows.retrain import NAME, learn_area
        server.wait()
        title = f"{NAME} {request.year}"
        return _as_flow(NAME, title, lambda: learn_area(request, processes, promote, settings, reporter))


def extract_in_process(
    request: MapRequest, table: Path, settings: Settings, server: TemporaryServer, *, offline: bool
) -> Extracted:
    """Run the stages that write a table of series here, with this server. Raises what a stage raised."""
    with _prefect(server) as reporter:
        with without_collector():
            from flows.extract import NAME, extract_area
        server.wait()
        title = f"{NAME} {request.year}"
        return _as_flow(NAME, title, lambda: extract_area(request, table, settings, reporter, offline=offline))


def _as_flow(name: str, title: str, stages: Callable[[], Made]) -> Made:
    """Run stages as a flow without parameters: settings and terminal are theirs already, and the request is checked."""
    from prefect import flow

    return flow(name=name, flow_run_name=title, persist_result=False)(stages)()


@contextmanager
def _prefect(server: TemporaryServer) -> Iterator[Reporter]:
    with ExitStack() as stack:
        interruption = stack.enter_context(remembered())
        reporter = Several(stack.enter_context(terminal()), interruption)
        reporter.stage("start", 1, "Prefect")
        with without_collector():
            stack.enter_context(isolated_prefect(server))
        yield reporter
