"""`cropline metrics`: what Prometheus is told, in the terminal or for a file that its node exporter reads."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from flows.commands.options import AsJson


def metrics(
    key: Annotated[
        bool, typer.Option("--key", help="Print the key that the server's page of metrics asks for, and nothing else.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the metrics of this store and machine, and of the runs of its server, in Prometheus' text format.

    Example: cropline metrics --json
    """
    from catalog.errors import StoreError
    from flows.own_server import METRICS, key_for, read_secret
    from flows.prefect_process.api import Api
    from flows.prefect_process.metrics import Metrics, exposition
    from flows.prefect_process.server_file import read_services, service_store
    from flows.settings import load_settings

    store = service_store(load_settings())
    if key:
        secret = read_secret(store.prefect)
        if secret is None:
            raise StoreError(f"the store {store.root} has no server yet, so there is no key. `cropline up` makes one.")
        typer.echo(key_for(secret, METRICS))
        return
    services = read_services(store)
    # Where this machine has but a worker, the server's own machine tells of the runs.
    own = services is not None and services.server is not None
    api = Api(services.api, read_secret(store.prefect)) if services is not None and own else None
    if as_json:
        samples = [sample for metric in Metrics(store, api).collect() for sample in metric.samples]
        typer.echo(json.dumps([{"name": one.name, "labels": one.labels, "value": one.value} for one in samples]))
    else:
        typer.echo(exposition(store, api).decode(), nl=False)
