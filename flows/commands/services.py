"""`cropline up`, `down` and `status`: this store's Prefect server and worker."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.commands.options import AsJson, tell


def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The server's port; 4200 or a free one.")] = None,
    api: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Start no server: only a worker, for the server at this address."),
    ] = None,
    ogc: Annotated[bool, typer.Option("--ogc", help="Start the OGC API - Processes interface, too.")] = False,
    ogc_host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens.")] = "127.0.0.1",
    ogc_port: Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; 4280 or a free one.")] = None,
    ogc_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address by which others know it, such as that of a proxy.")
    ] = None,
    foreground: Annotated[
        Literal["server", "services", "worker"] | None,
        typer.Option(
            help="Become this one service, for systemd and containers: it runs in this process, and writes where that does."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="With --foreground server: name or number of this machine at which it listens.")
    ] = "127.0.0.1",
    health: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="With --foreground worker: answer at /health of this port while it asks for runs.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start this store's Prefect server and worker, and deploy the flows; with --api only a worker for another machine's server.

    Example: cropline up
    """
    from flows.ogc.starting import Place, put_right
    from flows.prefect_process.remote import join
    from flows.prefect_process.services import up as start
    from flows.settings import load_settings

    if api is not None and port is not None:
        raise typer.BadParameter("--port is for a server, and --api starts none.")
    if api is not None and ogc:
        raise typer.BadParameter("--ogc is for the machine of the server, and --api starts none.")
    if not ogc and (ogc_host != "127.0.0.1" or ogc_port is not None or ogc_address is not None):
        raise typer.BadParameter(
            "--ogc-host, --ogc-port and --ogc-address say where the interface is: give --ogc, too."
        )
    settings = load_settings()
    if foreground is not None:
        from flows.prefect_process.foreground import Ports, become

        of_server, of_worker = port is not None or host != "127.0.0.1", api is not None or health is not None
        if as_json or (of_server and foreground != "server") or (of_worker and foreground != "worker"):
            raise typer.BadParameter(
                "--foreground takes --host and --port for the server, --api and --health for a worker."
            )
        become(foreground, settings, Ports(host, port, api, health), tell)
    if host != "127.0.0.1" or health is not None:
        raise typer.BadParameter("--host and --health are for --foreground.")
    store = settings.open_store().root
    if not as_json:
        typer.echo(f"store    {store}")
    services = start(settings, port, tell) if api is None else join(settings, api, tell)
    place = Place(ogc_host, ogc_port, ogc_address) if ogc else None
    interface = put_right(settings, services, place, tell) if api is None else None
    if as_json:
        typer.echo(json.dumps({"store": str(store), "server": services.ui, "api": services.api, "ogc": interface}))
        return
    typer.echo(f"server   {services.ui}")
    typer.echo("worker   runs")
    if interface is not None:
        typer.echo(f"ogc      {interface}")
    typer.echo(f"request  {_switch()}prefect deployment run crop-map/request --params aoi.json --watch")
    typer.echo("stop     cropline down")


def _switch() -> str:
    """Setting that lets `prefect` take a request's file, as the shell takes it; empty where this folder's prefect.toml has it on."""
    try:
        plugins = tomllib.loads(Path("prefect.toml").read_text(encoding="utf-8")).get("plugins")
    except (OSError, ValueError):  # no file, or one that Prefect can't read either
        plugins = None
    return "" if isinstance(plugins, dict) and plugins.get("enabled") is True else "PREFECT_PLUGINS_ENABLED=true "


def down(as_json: AsJson = False) -> None:
    """Stop this store's Prefect server and worker.

    Example: cropline down
    """
    from flows.prefect_process.services import down as stop
    from flows.settings import load_settings

    stopped = stop(load_settings(), tell)
    if as_json:
        typer.echo(json.dumps({"stopped": stopped}))
    else:
        typer.echo("Stopped." if stopped else "Nothing was running.")


def status(as_json: AsJson = False) -> None:
    """Say where the store lies, whether its server and worker run, and how many runs wait.

    Example: cropline status --json
    """
    from flows.prefect_process.status import look
    from flows.settings import load_settings

    found = look(load_settings())
    if as_json:
        typer.echo(found.model_dump_json())
        return
    typer.echo(f"store    {found.store}{'' if found.exists else ', not there yet'}")
    typer.echo(f"server   {found.server or 'not running. `cropline up` starts it.'}")
    typer.echo(f"worker   {'runs' if found.worker else 'not running. `cropline up` starts it.'}")
    if found.ogc:
        typer.echo(f"ogc      {found.ogc}")
    typer.echo(
        f"queue    {'unknown' if found.waiting is None else f'{found.waiting} waiting, {found.running} running'}"
    )
    if found.paused:
        typer.echo(f"paused   {found.paused}")
    if found.database:
        typer.echo(f"database {found.database}")
