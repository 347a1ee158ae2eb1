"""`cropline subscribe`, `subscriptions` and `unsubscribe`: requests that are mapped again whenever their source has something new."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from flows.commands.options import AsJson, RequestFile, tell


def subscribe(file: RequestFile, as_json: AsJson = False) -> None:
    """Map this request again whenever its source has something new.

    Example: cropline subscribe aoi.json
    """
    from catalog.errors import RequestError
    from catalog.subscriptions import add
    from flows.checked_request import check_request
    from flows.prefect_process.server_file import works_for_another
    from flows.request import read_parameters
    from flows.settings import load_settings

    settings = load_settings()
    if works_for_another(settings):
        raise RequestError(
            "this store's worker asks a server on another machine, and subscriptions are renewed from the store there. Subscribe there."
        )
    request = check_request(read_parameters(file), settings.folder, settings, waits=True)
    path = add(settings.open_store(), request.model_dump(mode="json"))
    if as_json:
        typer.echo(json.dumps({"subscription": path.stem}))
        return
    typer.echo(f"{path.stem}  subscribed; `reprocess/seasonal` maps it when its source has something new")


def subscriptions(as_json: AsJson = False) -> None:
    """List the subscribed requests.

    Example: cropline subscriptions --json
    """
    from catalog.subscriptions import subscribed
    from flows.settings import load_settings

    requests = subscribed(load_settings().open_store(create=False))
    if as_json:
        typer.echo(json.dumps(requests))
        return
    for name, request in requests.items():
        typer.echo(
            f"{name}  {request.get('processor')} {request.get('year')} {request.get('months')} -> {request.get('output')}"
        )
    if not requests:
        tell("No subscriptions yet. `cropline subscribe aoi.json` adds one.")


def unsubscribe(
    name: Annotated[str, typer.Argument(help="Name that `cropline subscriptions` lists.")], as_json: AsJson = False
) -> None:
    """End a subscription; what was delivered stays.

    Example: cropline unsubscribe 0123456789ab
    """
    from catalog.subscriptions import remove
    from flows.settings import load_settings

    remove(load_settings().open_store(create=False), name)
    typer.echo(json.dumps({"unsubscribed": name}) if as_json else f"{name}  unsubscribed")
