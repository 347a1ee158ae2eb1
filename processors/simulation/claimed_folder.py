"""A folder of simulated data: claimed by its settings, filled piece by piece by several processes, gone on with after a stop."""

from __future__ import annotations

import json
import re
import reprlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError, field_validator

from catalog.errors import RequestError, StoreError
from catalog.products import Frozen
from catalog.storage.system_errors import refusal
from catalog.storage.whole import write_json
from processors.engine.opening import open_engine
from processors.simulation.land.rotation import FARMING
from processors.simulation.mission.mission import VERSION, Mission
from processors.simulation.mission.overpass import BASELINE

SETTINGS = "simulated.json"
"""In the folder: what it is made from. Written first."""

Progress = Callable[[int, int], None]
"""Called with how many pieces are there, and how many there will be."""

_MODEST = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": "128MB",
}
"""Of processes that work side by side: one thread each, and little memory; GDAL would take a twentieth of the machine's in each."""

_LOCK = ".lock"
_LEFT_BEHIND = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?")
"""Names of files and folders that are being written: whoever is killed leaves them."""


class MissionSettings(Frozen):
    """The same settings make the same data."""

    further: ClassVar[tuple[str, ...]] = ()
    """Names of farming beside those of a mission."""

    seed: Annotated[int, Field(ge=0, lt=10**9)] = 0
    farming: str = "france"

    @field_validator("farming")
    @classmethod
    def _known(cls, value: str) -> str:
        known = (*FARMING, *cls.further)
        if value not in known:
            raise ValueError(f"one of {', '.join(known)}, not {value!r}")
        return value

    @property
    def mission(self) -> Mission:
        return Mission(self.seed, self.farming)


_Settings = TypeVar("_Settings", bound=Frozen)


def checked(kind: type[_Settings], **given: object) -> _Settings:
    """The settings given. Raises `RequestError` naming the first that can't be."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise RequestError(f"{where}{first['msg'].removeprefix('Value error, ')}. Correct it.") from error


@contextmanager
def claimed(folder: Path, settings: MissionSettings, growing: str | None = None) -> Iterator[None]:
    """Claim the folder for this process alone while the block runs: new, empty, or with part of what the same settings make.

    ``growing``: a number among the settings that may have been smaller before. What was half written goes, before and after. Raises
    `StoreError` where the folder holds anything else, is in use, or can't be written.
    """
    made_from = {**settings.model_dump(mode="json"), "baseline": BASELINE, "version": VERSION}
    path, lock = folder / SETTINGS, FileLock(folder / _LOCK)
    try:
        if folder.is_dir() and not path.is_file() and any(entry.name != _LOCK for entry in folder.iterdir()):
            raise StoreError(f"{folder} holds something else. Name a folder that is new or empty.")
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StoreError(f"another process writes into {folder}. Wait for it, or name another folder.") from error
    except OSError as error:
        raise StoreError(f"can't write into {folder}: {refusal(error, folder)}.") from error
    with lock:
        if path.is_file() and (others := _differences(_read(path), made_from, growing)):
            raise StoreError(
                f"{folder} was made from other settings: {'; '.join(others)}. Name another folder, or remove it."
            )
        write_json(path, made_from)
        _sweep(folder)
        try:
            yield
        finally:
            _sweep(folder)


def write_pieces(
    write: Callable[..., object], pieces: Sequence[tuple[Any, ...]], processes: int, progress: Callable[[int], None]
) -> None:
    """Call ``write`` with the arguments of each piece; ``progress`` is told how many are done.

    One process is this one; several have one thread each, and all are ended when one piece fails or this process is interrupted.
    Raises what ``write`` raised, or `WorkerError` where processes were killed.
    """
    processes = min(processes, len(pieces))
    if processes <= 1:
        for number, piece in enumerate(pieces, start=1):
            write(*piece)
            progress(number)
        return
    with open_engine("local", environments=[_MODEST] * processes) as engine:
        for number, _ in enumerate(engine.as_completed(partial(_call, write), pieces), start=1):
            progress(number)


def _call(write: Callable[..., object], piece: tuple[Any, ...]) -> None:
    write(*piece)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} can't be read ({error}). Remove {path.parent}, or name another folder.") from error
    return content if isinstance(content, dict) else {}


def _differences(existing: Mapping[str, Any], wanted: Mapping[str, Any], growing: str | None) -> list[str]:
    """Differences in words."""
    differing = [name for name in sorted(existing.keys() | wanted.keys()) if existing.get(name) != wanted.get(name)]
    if growing in differing and isinstance(existing.get(growing), int) and existing[growing] < wanted[growing]:
        differing.remove(growing)
    return [
        f"{name} {reprlib.repr(existing.get(name))} there, {reprlib.repr(wanted.get(name))} wanted"
        for name in differing
    ]


def _sweep(folder: Path) -> None:
    for path in [path for path in folder.rglob(".*") if _LEFT_BEHIND.fullmatch(path.name)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
