"""Checks of an installation: what of it works, what doesn't, and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from catalog.errors import CroplineError
from catalog.guards.environment import variable
from catalog.products import Frozen

if TYPE_CHECKING:
    from flows.settings import Settings

LOW_DISK, NO_DISK = 20e9, 1e9
"""Bytes free below which a season of a tile may not fit, and below which nothing does."""

DRIVERS = ("GTiff", "COG", "JP2OpenJPEG")
"""Of GDAL: what products are read by, and deliveries written."""

KEYS = {
    "s3://": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "cdse:": ("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"),
    "sentinelhub:": ("SH_CLIENT_ID", "SH_CLIENT_SECRET"),
}
"""Variables of each kind of source; one without the other opens nothing."""

LOOKED_AT = (4.06, 50.74, 4.07, 50.75)
"""West, south, east, north of the square that sources are asked for: all of them cover Belgium."""

State = Literal["ok", "warning", "fault"]


class Finding(Frozen):
    """Result of one check."""

    check: str
    state: Annotated[State, Field(description="a fault keeps requests from being worked on, a warning may")]
    text: str
    remedy: str = ""


def findings(sources: tuple[str, ...]) -> Iterator[Finding]:
    """All checks, one after another, what others rest on first."""
    yield from _software()
    yield from _plugins()
    yield from _machine()
    from flows.settings import load_settings

    try:
        settings = load_settings()
    except CroplineError as error:
        yield Finding(check="settings", state="fault", text=str(error))
        return
    yield _told("store", lambda: _store(settings))
    yield _told("disk", lambda: _disk(settings))
    yield _told("cubes", lambda: _cubes(settings))
    yield from _credentials()
    yield from _services(settings)
    for address in (*((settings.source,) if settings.source else ()), *sources):
        yield _told("source", lambda address=address: _source(address))  # type: ignore[misc]


def _told(check: str, work: Callable[[], Finding]) -> Finding:
    """What a check finds; an error that it raises says what is at fault and what to do."""
    try:
        return work()
    except CroplineError as error:
        return Finding(check=check, state="fault", text=str(error))


def _software() -> Iterator[Finding]:
    from importlib.metadata import version

    import rasterio

    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        check="software",
        state="ok",
        text=f"cropline {version('cropline')}, Python {python}, GDAL {rasterio.__gdal_version__}, torch {version('torch')}",
    )
    with rasterio.Env() as environment:
        missing = [driver for driver in DRIVERS if driver not in environment.drivers()]
    if missing:
        yield Finding(
            check="GDAL",
            state="fault",
            text=f"lacks {', '.join(missing)}.",
            remedy="Install rasterio from its wheel: pip install --force-reinstall --only-binary :all: rasterio",
        )


def _plugins() -> Iterator[Finding]:
    from catalog.plugins import load_offer, offered

    for kind, group in (("source", "cropline.sources"), ("processor", "cropline.processors")):
        for name, offers in offered(group).items():
            if len(offers) == 1 and offers[0].package.startswith("cropline "):
                continue
            where = " and ".join(offer.package for offer in offers)
            try:
                load_offer(kind, name, offers, (), "docs/processor.md")
                yield Finding(check=f"{kind} {name}", state="ok", text=f"from {where}")
            except CroplineError as error:
                yield Finding(check=f"{kind} {name}", state="warning", text=str(error))


def _machine() -> Iterator[Finding]:
    from flows.prefect_process.work_pool import MEMORY_OF_A_RUN, memory
    from processors.engine.machine import cores, gpus

    there = memory()
    enough = there >= MEMORY_OF_A_RUN
    yield Finding(
        check="machine",
        state="ok" if enough else "warning",
        text=f"{cores()} cores, {there / 1e9:.1f} GB of memory",
        remedy="" if enough else "A run takes up to 4 GB: set CROPLINE_WORKERS=1, or ask for smaller areas.",
    )
    names = gpus()
    if not names:
        yield Finding(check="GPU", state="ok", text="none; networks run on the CPU's cores")
        return
    from agrunet.bench.machine import usable_gpus

    if usable := usable_gpus():
        yield Finding(check="GPU", state="ok", text=", ".join(usable))
    else:
        yield Finding(
            check="GPU",
            state="warning",
            text=f"{len(names)} there, and torch can use none.",
            remedy="Install the build of torch for CUDA, or the driver that it asks for.",
        )


def _store(settings: Settings) -> Finding:
    from catalog.storage.scratch import scratch_folder
    from catalog.storage.system_errors import refusal

    store = settings.open_store(create=False)
    if not store.root.exists():
        return Finding(check="store", state="ok", text=f"{store.root}, not there yet: the first run makes it")
    probe = store.root / f".doctor-{os.getpid()}"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        return Finding(
            check="store",
            state="fault",
            text=f"{store.root} can't be written: {refusal(error, store.root)}.",
            remedy="Name a folder of yours by CROPLINE_STORE.",
        )
    with scratch_folder("doctor") as scratch:
        return Finding(check="store", state="ok", text=f"{store.root}; scratch files in {scratch.parent}")


def _disk(settings: Settings) -> Finding:
    from flows.checks import nearest_there

    store = settings.open_store(create=False)
    places = {"the store": store.root}
    if isinstance(store.cubes, Path):
        places["the cubes"] = store.cubes
    free = {name: shutil.disk_usage(nearest_there(path)).free for name, path in places.items()}
    least = min(free.values())
    state: State = "ok" if least >= LOW_DISK else "warning" if least >= NO_DISK else "fault"
    return Finding(
        check="disk",
        state=state,
        text=", ".join(f"{size / 1e9:.0f} GB free for {name}" for name, size in free.items()),
        remedy="" if state == "ok" else "`cropline prune cubes --keep GB` frees cells that were used least recently.",
    )


def _cubes(settings: Settings) -> Finding:
    store = settings.open_store(create=False)
    if isinstance(store.cubes, Path):
        return Finding(check="cubes", state="ok", text=str(store.cubes))
    there = store.cubes.exists()
    return Finding(check="cubes", state="ok", text=f"{store.cubes} answers{'' if there else ', empty so far'}")


def _credentials() -> Iterator[Finding]:
    for kind, names in KEYS.items():
        given = [name for name in names if variable(name)]
        if len(given) == len(names):
            yield Finding(check=f"credentials of {kind}", state="ok", text="set in the environment")
        elif given:
            (missing,) = set(names) - set(given)
            yield Finding(
                check=f"credentials of {kind}",
                state="fault",
                text=f"{given[0]} is set, {missing} is not.",
                remedy="Set both.",
            )
    if name := variable("CROPLINE_CREDENTIALS_BLOCK"):
        from flows.credentials import load_credentials

        def read() -> Finding:
            load_credentials()
            return Finding(check="credentials", state="ok", text=f"the block {name} answers")

        yield _told("credentials", read)


def _services(settings: Settings) -> Iterator[Finding]:
    from flows.prefect_process.status import look

    try:
        status = look(settings)
    except CroplineError as error:
        yield Finding(check="server", state="fault", text=str(error))
        return
    for check, runs, text in (
        ("server", status.server is not None, status.server or ""),
        ("worker", status.worker, "runs"),
    ):
        if runs:
            yield Finding(check=check, state="ok", text=text)
        else:
            needless = "`cropline run` needs none; `cropline up` starts it."
            yield Finding(check=check, state="warning", text="doesn't run.", remedy=needless)


def _source(address: str) -> Finding:
    from shapely.geometry import box

    from catalog.sources.registry import open_source
    from flows.credentials import load_credentials

    end = datetime.now(UTC) - timedelta(days=10)
    result = open_source(address, load_credentials()).search(box(*LOOKED_AT), (end - timedelta(days=20), end), "L2A")
    held = f"; {result.holds}" if result.holds else ""
    return Finding(
        check="source",
        state="ok",
        text=f"{address} answers: {len(result.products)} products of 20 days over Belgium{held}",
    )
