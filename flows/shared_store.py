"""What machines that share a bucket of cubes share besides: models and which of them are in use, long areas, and the turn of a request.

A store is a folder of one machine. Only where its cubes lie in a bucket, other machines make the same maps, and what a map depends on
besides the request has to be the same for all of them. It lies beside the cubes; what is there has no `.zarr` at the end of its name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.checkpoints import ITEM
from catalog.errors import ModelError, StoreUnreachableError
from catalog.promotions import RECORD, as_record, bring_together
from catalog.registry import Registry
from catalog.storage.bucket_path import BucketPath
from catalog.storage.scratch import scratch_folder
from catalog.storage.store import Store
from catalog.storage.whole import written_whole
from flows.reporting.progress import Reporter, step
from processors.cube.heartbeat import renewed
from processors.cube.lock import Lease

_AREAS, _MODELS, _TURNS = "areas", "models", "runs"

_AREA_FILE = re.compile(r"[0-9a-f]{12}\.geojson")
_MODEL_FILE = re.compile(r"\w[\w.+-]{0,250}(/\w[\w.+-]{0,250}){1,3}")
"""Names of a model's files below the models; nothing else is taken from there."""

_ATTEMPTS = 5
"""Times that the record is written again where another machine writes it at the same time; then it is left to the next run."""


@contextmanager
def turn_among_machines(store: Store, digest: str, reporter: Reporter) -> Iterator[None]:
    """Hold a request's turn among all machines that share the cubes. Waits for the one that has it; its turn ends with its process.

    Nothing is held where the cubes are in a folder: then the lock of the run's own folder is enough. Raises `StoreError`.
    """
    if not isinstance(store.cubes, BucketPath):
        yield
        return
    lease = Lease(store.cubes / _TURNS / f"{digest}.lock")
    if not lease.attempt():
        with step(reporter, "queue", "the same request, which is running on another machine") as under_way:
            lease.acquire()
            under_way.outcome = "the same request has ended"
    try:
        with renewed(lease):
            yield
    finally:
        try:
            lease.release()
        except StoreUnreachableError as error:  # what was made is made; the turn ends by itself
            logging.getLogger(__name__).warning("%s Until it is there again, the same request waits elsewhere.", error)


def take_area(store: Store, area: str) -> str:
    """The path of an area that a request names, taken from the bucket where another machine's store holds the file.

    Any other path or address stays as it is. Raises `StoreError`.
    """
    path = Path(area)
    if not isinstance(store.cubes, BucketPath) or not _is_kept_area(path) or path.is_file():
        return area
    own = store.areas / path.name
    if not own.is_file() and (shared := (store.cubes / _AREAS / path.name).read()) is not None:
        with written_whole(own) as temporary:
            temporary.write_bytes(shared[0])
    return str(own) if own.is_file() else area


def share_area(store: Store, area: object) -> None:
    """Put an area that a request names as a file of the store where other machines find it. Raises `StoreError`."""
    if isinstance(store.cubes, BucketPath) and isinstance(area, str) and Path(area).parent == store.areas:
        shared = store.cubes / _AREAS / Path(area).name
        if shared.etag() is None:
            shared.put(Path(area).read_bytes())


def exchange_models(store: Store) -> None:
    """Take the models that other machines trained, and give them those of this store; also the decisions which are in use.

    A model never changes once it is there, and isn't copied again. Nothing happens where the cubes are in a folder. Raises `StoreError`.
    """
    if not isinstance(store.cubes, BucketPath):
        return
    shared = store.cubes / _MODELS
    there: dict[str, list[str]] = {}
    for file in shared.sizes():
        if _MODEL_FILE.fullmatch(file):
            name, _, inside = file.partition("/")
            there.setdefault(name, []).append(inside)
    whole = {name: files for name, files in there.items() if ITEM in files}
    registry = Registry(store)
    own = {entry.name: entry.folder for entry in registry.models()}
    for name in sorted(whole.keys() - own.keys()):
        _take_model(registry, shared / name, whole[name])
    for name in sorted(own.keys() - whole.keys()):
        _give_model(own[name], shared / name)
    _exchange_record(store.models, shared / RECORD)


def _is_kept_area(path: Path) -> bool:
    return path.parent.name == _AREAS and _AREA_FILE.fullmatch(path.name) is not None


def _take_model(registry: Registry, model: BucketPath, files: list[str]) -> None:
    """Copy a model into the store; one that is damaged there is left alone, and said."""
    with scratch_folder("model") as folder:
        for file in files:
            content = (model / file).read()
            if content is not None:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(content[0])
        try:
            registry.add_model(folder)
        except ModelError as error:
            logging.getLogger(__name__).warning("%s is left out: %s", model, error)


def _give_model(folder: Path, model: BucketPath) -> None:
    """Copy a model into the bucket, its item last: with that it is whole."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in sorted(files, key=lambda path: path == folder / ITEM):
        (model / path.relative_to(folder).as_posix()).put(path.read_bytes())


def _exchange_record(models: Path, shared: BucketPath) -> None:
    """Bring the record of this store and the shared one to all the lines of both."""
    for _ in range(_ATTEMPTS):
        content = shared.read()
        theirs = [] if content is None else content[0].splitlines()
        together = bring_together(models, theirs)
        if together == theirs:
            return
        condition = {"IfNoneMatch": "*"} if content is None else {"IfMatch": content[1]}
        if shared.put(as_record(together), **condition) is not None:
            return


def hand_over_models(store: Store) -> None:
    """Do what `exchange_models` does, at the end of a run: where the bucket stays away what was made is made, and the next run does it."""
    try:
        exchange_models(store)
    except StoreUnreachableError as error:
        logging.getLogger(__name__).warning("%s Models are shared by the next run.", error)
