"""Flows run in this process, with a Prefect of its own and progress in the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flows.commands.importing import without_collector
from flows.prefect_process.isolation import isolated_prefect
from flows.prefect_process.temporary_server import TemporaryServer
from flows.reporting.delivery import Delivery
from flows.reporting.progress import terminal
from flows.request import TRAINING_PARAMETERS, MapRequest
from flows.settings import PREFIX, Settings


def run_in_process(request: MapRequest, settings: Settings, server: TemporaryServer) -> Delivery:
    """Run the flow `crop-map` here, with this server. Raises what a stage raised."""
    with _prefect(settings, server):
        with without_collector():
            from flows.crop_map import crop_map
        server.wait()
        return Delivery.model_validate(crop_map(**request.model_dump(mode="json")))


def train_in_process(request: MapRequest, processes: int, settings: Settings, server: TemporaryServer) -> Path:
    """Run the flow `retrain` here, with this server. Returns the model's folder in the store; raises what a stage raised."""
    with _prefect(settings, server):
        with without_collector():
            from flows.retrain import retrain
        server.wait()
        return Path(retrain(**request.model_dump(mode="json", include=set(TRAINING_PARAMETERS)), processes=processes))


@contextmanager
def _prefect(settings: Settings, server: TemporaryServer) -> Iterator[None]:
    """The flow reads its settings from the environment, as it does in a worker: those given are put there."""
    store = settings.open_store()
    os.environ[f"{PREFIX}STORE"] = str(store.root)
    os.environ.pop(f"{PREFIX}CUBES", None)
    if store.cubes_at is not None:
        os.environ[f"{PREFIX}CUBES"] = str(store.cubes_at)
    os.environ[f"{PREFIX}BASE"] = str(settings.folder)
    with ExitStack() as stack:
        reporter = stack.enter_context(terminal())
        reporter.stage("start", 1, "Prefect")
        with without_collector():
            stack.enter_context(isolated_prefect(server))
            from flows.run import REPORTER

        token = REPORTER.set(reporter)
        try:
            yield
        finally:
            REPORTER.reset(token)
