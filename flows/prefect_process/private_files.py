"""What only the user who started a server may read: its secret, its database, its logs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from catalog.storage.system_errors import refusal
from catalog.storage.whole import file_aside
from flows.own_server import SECRET_FILE, read_secret
from flows.prefect_process.api import ServiceError

USER = "cropline"
"""The name before the password: basic authentication has one, and nothing asks for it."""


@contextmanager
def private_umask() -> Iterator[int]:
    """In this block files and folders are made for their owner only, by this process and those it starts. Yields the usual umask."""
    usual = os.umask(0o077)
    try:
        yield usual
    finally:
        os.umask(usual)


def close_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, and close what lies in it already. Raises `ServiceError` where it is another user's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # a file of SQLite's that went meanwhile
                if not path.is_symlink():
                    path.chmod(0o700 if path.is_dir() else 0o600)
    except OSError as error:
        raise ServiceError(
            f"can't close {folder} to other users: {error}. Name a folder of your own by CROPLINE_STORE."
        ) from error


def kept_secret(folder: Path) -> tuple[str, bool]:
    """The secret in a folder, and whether it was made just now. To be called under `private_umask`.

    Raises `ServiceError` where it can't be written.
    """
    secret = read_secret(folder)
    if secret is not None:
        return secret, False
    secret = f"{USER}:{secrets.token_urlsafe(32)}"
    keep_secret(folder, secret)
    return secret, True


def keep_secret(folder: Path, secret: str) -> None:
    """Write a secret to where a store's commands find it, unless it is there. To be called under `private_umask`.

    Raises `ServiceError` where it can't be written.
    """
    if secret == read_secret(folder):
        return
    try:
        with file_aside(folder / SECRET_FILE) as temporary:
            temporary.write_text(f"{secret}\n", encoding="ascii")
    except UnicodeEncodeError:
        raise ServiceError("PREFECT_API_AUTH_STRING: letters of plain ASCII only, such as NAME:PASSWORD.") from None
    except OSError as error:
        raise ServiceError(f"can't write {folder / SECRET_FILE}: {refusal(error, folder)}.") from error
