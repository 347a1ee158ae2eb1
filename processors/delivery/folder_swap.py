"""A folder that is whole or not there: made beside its place, then swapped in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.delivered_maps import ITEM
from catalog.errors import DeliveryError
from catalog.guards.json_text import parse_object
from catalog.guards.paths import user_path
from catalog.storage.system_errors import refusal
from catalog.storage.whole import asides, clear_aside, folder_aside

DIGEST = "cropline:request_digest"
"""Property of the item that names the request."""


def check_target(folder: Path, request_digest: str, *, replace: bool = False) -> None:
    """Raise `DeliveryError` where a folder can't take a request's delivery: it holds something else.

    ``replace``: the delivery of another request may be replaced; what is no delivery never is.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise DeliveryError(f"output {folder}: is a file. Give the name of a folder.")
    found = delivered_digest(folder)
    if found is None:
        raise DeliveryError(
            f"output {folder}: holds files that are no delivery; they are never overwritten. "
            "Give another folder, or empty it."
        )
    if found != request_digest and not replace:
        raise DeliveryError(
            f"output {folder}: holds the delivery of another request ({found}, this one is {request_digest}). "
            'Give another folder, or ask to replace it: `cropline run --replace`, or "replace": true in the request.'
        )


@contextmanager
def swapped_in(folder: Path, request_digest: str, *, replace: bool = False) -> Iterator[Path]:
    """A new folder beside ``folder``; takes its place when the block ends well, is removed when it fails.

    An earlier delivery of the same request (with ``replace``, of any) is replaced, and put back where that fails. What a killed run
    left behind is cleared first. Raises `DeliveryError` as `check_target` does, and where folders can't be made or renamed.
    """
    folder = user_path(folder, lambda why: DeliveryError(f"output: {why}. Give the path of a folder."))
    check_target(folder, request_digest, replace=replace)
    for left in asides(folder.parent, age=0, name=folder.name):
        clear_aside(left)
    try:
        with folder_aside(folder) as aside:
            yield aside
            check_target(folder, request_digest, replace=replace)
    except OSError as error:
        raise unwritable(folder, error) from error


def delivered_digest(folder: Path) -> str | None:
    """The digest of the request whose delivery a folder holds; None where it isn't a delivery."""
    try:
        properties = parse_object((folder / ITEM).read_bytes(), ValueError)["properties"]
        return str(properties[DIGEST])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def unwritable(folder: Path, error: Exception) -> DeliveryError:
    """Error for a delivery that the system doesn't let be written."""
    return DeliveryError(f"output {folder}: can't be written: {refusal(error, folder)}, or give another folder.")
