"""Settings of an installation: read once from environment variables that start with CROPLINE_."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from catalog.errors import RequestError
from catalog.guards.environment import variable
from catalog.guards.numbers import utc_time
from catalog.guards.paths import user_path
from catalog.guards.refusal import plain_message, reason
from catalog.quoting import shown
from catalog.storage.store import Store, open_store
from flows.credentials import load_credentials
from flows.own_server import OWN_PLACE, public_of, store_folder
from flows.web_folder import WebFolder, web_folder
from processors.engine.limits import Limits
from processors.engine.machine import usual_memory
from processors.engine.opening import open_engine
from processors.engine.protocol import Engine
from processors.mask.options import USUAL_MASK, MaskOptions

PREFIX = "CROPLINE_"

PLACE_NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
"""What the name of a place looks like: it names a work pool, and ends the names of deployments."""


class Settings(BaseSettings):
    """Settings, frozen; each field is the environment variable of its name in capitals, such as CROPLINE_STORE."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", allow_inf_nan=False)

    store: Annotated[
        str,
        Field(
            default_factory=lambda: str(store_folder()),
            description="folder of models, maps, subscriptions and runs; by default the nearest .cropline upwards",
        ),
    ]
    cubes: Annotated[
        str | None, Field(description="folder or s3://bucket/prefix of the cubes; by default a folder of the store")
    ] = None
    source: Annotated[str | None, Field(description="address of the source of requests that name none")] = None
    base: Annotated[
        Path | None, Field(description="folder that relative paths of a request start from; where the command runs")
    ] = None
    max_area_km2: Annotated[float, Field(gt=0, description="largest area of a request, km²")] = 2500
    workers: Annotated[int, Field(ge=1, description="acquisitions worked on at once")] = os.cpu_count() or 1
    downloads: Annotated[
        int,
        Field(
            ge=1, description="acquisitions of one source that are read over the network at once, by all runs together"
        ),
    ] = 4  # the connections that the Copernicus Data Space gives a user's key at once
    runs: Annotated[
        int | None,
        Field(ge=1, description="runs at once on the server of `cropline up`; by default from cores and memory"),
    ] = None
    place: Annotated[
        str,
        Field(
            pattern=PLACE_NAME,
            description="place that this machine's worker serves and local runs are in: the name of a work pool",
        ),
    ] = OWN_PLACE
    places: Annotated[
        Path | None,
        Field(
            description="JSON file of the places where data may be processed, and of rules; by default places.json of the store"
        ),
    ] = None
    api_insecure: Annotated[
        str | None,
        Field(description="address of a server on another machine that may do without TLS, such as http://server:4200"),
    ] = None
    database: Annotated[
        SecretStr | None,
        Field(
            description="PostgreSQL for the server of `cropline up`, postgresql://user:password@host:port/name; by default SQLite"
        ),
    ] = None
    redis: Annotated[
        SecretStr | None,
        Field(
            description="Redis beside it, redis://:password@host:port/0: events go through it to a process of their own"
        ),
    ] = None
    dask: Annotated[
        str, Field(description="where stages run: 'threads', 'local' (a Dask cluster of processes) or tls://…")
    ] = "threads"
    dask_insecure: Annotated[
        str | None, Field(description="address of a scheduler on another machine that may do without TLS")
    ] = None
    shared_store: Annotated[
        bool | None,
        Field(description="whether a scheduler's workers see this machine's files; by default those on it do"),
    ] = None
    processes: Annotated[
        int | None,
        Field(
            ge=1, description="processes that share the patches of an inference; by default one for each GPU, or one"
        ),
    ] = None
    ingest_retries: Annotated[int, Field(ge=0, description="attempts after the first at reading an acquisition")] = 3
    retry_delay: Annotated[float, Field(ge=0, description="pause before the first of these attempts, s; then x4")] = 5
    read_timeout: Annotated[
        float,
        Field(gt=0, description="longest that one reading of a file of a product may take, s; then it is left out"),
    ] = 300
    read_memory: Annotated[
        float | None,
        Field(gt=0, description="memory of the process that reads products, GB; by default half of this machine's"),
    ] = None
    mask: Annotated[
        MaskOptions,
        Field(description="how clear pixels are told: a JSON object of the options that differ, by level (l1c, l2a)"),
    ] = USUAL_MASK
    today: Annotated[
        datetime | None,
        Field(
            description="day or time (UTC) that is taken for now, to see what a season's map was then: later acquisitions aren't taken"
        ),
    ] = None
    reports: Annotated[
        str | None,
        Field(
            description="where deliveries are reachable by web, such as /data/maps=https://maps.example.org: artifacts link files in it"
        ),
    ] = None
    public_url: Annotated[
        str | None,
        Field(
            description="address at which a proxy with TLS shows the server of `cropline up` to others, such as https://maps.example.org"
        ),
    ] = None
    log_format: Annotated[
        Literal["text", "json"],
        Field(description="how server, worker and runs write their logs: text, or a JSON object a line"),
    ] = "text"
    debug: Annotated[bool, Field(description="show the traceback of an error")] = False

    @field_validator("dask")
    @classmethod
    def _dask_is_known(cls, dask: str) -> str:
        if dask not in ("threads", "local") and "://" not in dask:
            raise ValueError("none of 'threads', 'local', or an address such as tls://host:8786")
        return dask

    @field_validator("reports")
    @classmethod
    def _reports_are_a_folder_and_its_address(cls, reports: str | None) -> str | None:
        if reports is not None:
            web_folder(reports)
        return reports

    @field_validator("public_url")
    @classmethod
    def _the_public_address_is_one(cls, address: str | None) -> str | None:
        return None if address is None else public_of(address)

    @field_validator("today", mode="before")
    @classmethod
    def _today_is_over(cls, today: object) -> datetime | None:
        if today is None:
            return None
        time = utc_time(today.isoformat() if isinstance(today, datetime) else today)
        if time is None:
            raise ValueError("no date such as 2026-05-01, nor a time such as 2026-05-01T12:00")
        if time > datetime.now(UTC):
            raise ValueError("lies in the future")
        return time

    @property
    def web_folder(self) -> WebFolder | None:
        """The folder whose files are reachable by web."""
        return None if self.reports is None else web_folder(self.reports)

    @property
    def now(self) -> datetime:
        """The time that runs take for now, UTC."""
        return self.today or datetime.now(UTC)

    def open_store(self, create: bool = True) -> Store:
        """Open the store, created if need be; a command that only looks asks for ``create=False``. Raises `StoreError`."""
        # Credentials may have to be asked for: only where cubes lie in a bucket.
        in_bucket = self.cubes is not None and self.cubes.startswith("s3://")
        return open_store(self.store, self.cubes, load_credentials().s3 if in_bucket else None, create=create)

    def open_engine(self, store: Store) -> AbstractContextManager[Engine]:
        """Open the engine of the runs in that store. Raises `RequestError` where a scheduler can't be had or trusted."""
        return open_engine(
            self.dask,
            self.workers,
            resolve=load_credentials,
            insecure=self.dask_insecure,
            in_bucket=not isinstance(store.cubes, Path),
            shared_files=self.shared_store,
        )

    @property
    def read_limits(self) -> Limits:
        """Limits of the process that reads products."""
        return Limits(self.read_timeout, usual_memory() if self.read_memory is None else round(self.read_memory * 1e9))

    @property
    def folder(self) -> Path:
        """Folder that relative paths start from."""

        def refuse(why: str) -> RequestError:
            return RequestError(f"{PREFIX}BASE: {why}. Correct or unset it.")

        return user_path(self.base or Path.cwd(), refuse)


def load_settings() -> Settings:
    """The settings of this process. Raises `RequestError` naming the variable that can't be understood."""
    for field in Settings.model_fields:
        variable(PREFIX + field.upper())
    try:
        return Settings()
    except SettingsError as error:  # the mask alone is JSON; the cause says where it breaks
        raise RequestError(
            f"{PREFIX}MASK: no JSON object ({reason(error.__cause__ or error)}). Correct or unset it."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        name, *inside = map(str, first["loc"] or ("settings",))
        where = PREFIX + name.upper() + "".join(f" {part}" for part in inside)
        raise RequestError(
            f"{where}: {plain_message(first)}, got {shown(first['input'])}. Correct or unset it."
        ) from error
