"""Keys of partners, in a file that only the user who started the server may read: a line each, and whose line is deleted is out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from catalog.storage.system_errors import refusal
from catalog.storage.whole import file_aside
from flows.prefect_process.api import ServiceError
from flows.prefect_process.private_files import USER

KEYS_FILE = "ogc-keys"
"""File in the store's folder `prefect`: lines ``name:key``, blanks around either, and remarks after ``#``."""

REALM = "Cropline"
"""What the interface calls itself to those who show no key."""

LEAST = 20
"""Fewest characters of a key: it is drawn, not thought of."""

_UNREADABLE = (-1, -1)


def keep_first_key(folder: Path) -> bool:
    """Make the file with one key where there is none; return whether it was made. To be called under `private_umask`.

    Raises `ServiceError` where it can't be written. An empty file stays empty: all keys are revoked.
    """
    file = folder / KEYS_FILE
    if file.exists():
        return False
    try:
        with file_aside(file) as temporary:
            temporary.write_text(f"{USER}:{secrets.token_urlsafe(32)}\n", encoding="utf-8")
    except OSError as error:
        raise ServiceError(f"can't write {file}: {refusal(error, folder)}.") from error
    return True


class Keys:
    """The keys in a file, read anew whenever it was changed; ``tell`` is given a line for each that can't be taken."""

    def __init__(self, file: Path, tell: Callable[[str], None]) -> None:
        self._file, self._tell = file, tell
        self._mark: tuple[int, int] | None = None
        self._keys: dict[str, str] = {}

    def name_of(self, authorization: str | None) -> str | None:
        """The name of the key that a header ``Authorization`` shows, ``Bearer KEY`` or ``Basic`` with name and key; None: none."""
        scheme, _, shown = (authorization or "").strip().partition(" ")
        name: str | None = None
        if scheme.lower() == "basic":
            try:
                name, _, shown = base64.b64decode(shown.strip(), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
        elif scheme.lower() != "bearer":
            return None
        given = _digest(shown.strip())
        # All are looked at, digests of one length each: the time that it takes tells nothing.
        found = [known for known, key in self._read().items() if hmac.compare_digest(given, _digest(key))]
        return next((known for known in found if name in (None, known)), None)

    def _read(self) -> dict[str, str]:
        try:
            state = self._file.stat()
            mark = state.st_mtime_ns, state.st_size
            if mark != self._mark:
                self._keys = self._parsed(self._file.read_text(encoding="utf-8"))
                self._mark = mark
        except (OSError, UnicodeDecodeError) as error:
            if self._mark != _UNREADABLE:
                self._tell(f"no key is taken: {self._file} can't be read ({type(error).__name__})")
            self._mark, self._keys = _UNREADABLE, {}
        return self._keys

    def _parsed(self, text: str) -> dict[str, str]:
        keys: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            name, key = (part.strip() for part in line.partition("#")[0].partition(":")[::2])
            if not name and not key:
                continue
            if not name or len(key) < LEAST or name in keys:
                self._tell(
                    f"{self._file.name}, line {number}: not taken; a line is NAME:KEY, each name once, a key has {LEAST} characters or more"
                )
                continue
            keys[name] = key
        return keys


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
