"""Calls as bytes, without secrets: what opens a store stays in the process that was given it, and workers resolve their own."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from catalog.errors import WorkerError
from catalog.storage.credentials import Credentials, S3Access

Resolve = Callable[[], Credentials]
"""A module-level function that gives the credentials of the process it is called in."""


@dataclass(frozen=True, slots=True)
class PackedCall:
    """A function with its arguments."""

    data: bytes
    resolve: Resolve | None

    def __call__(self) -> Any:
        """Call the function, with this process's own credentials where the call holds any."""
        function, arguments = _Unpickler(self.data, self.resolve).load()
        return function(*arguments)


def pack(function: Callable[..., Any], arguments: tuple[Any, ...], resolve: Resolve | None) -> PackedCall:
    """Make a call that can be sent to a worker.

    In the place of `Credentials`, and of the `S3Access` of a store, workers put what ``resolve`` gives them there. Raises `WorkerError`
    where any other secret would be sent, or one without ``resolve``.
    """
    buffer = io.BytesIO()
    _Pickler(buffer, resolve).dump((function, arguments))
    return PackedCall(buffer.getvalue(), resolve)


class _Pickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, resolve: Resolve | None) -> None:
        super().__init__(buffer, pickle.HIGHEST_PROTOCOL)
        self._resolve = resolve

    def persistent_id(self, obj: Any) -> str | None:
        if self._resolve is not None and isinstance(obj, Credentials | S3Access):
            return type(obj).__name__
        if isinstance(obj, SecretStr):
            raise WorkerError(
                "a credential would be sent to workers, which must have their own. Report it: this is a fault of the program."
            )
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, resolve: Resolve | None) -> None:
        super().__init__(io.BytesIO(data))
        self._resolve = resolve

    def persistent_load(self, pid: Any) -> Credentials | S3Access:
        return self._credentials if pid == Credentials.__name__ else self._credentials.s3

    @cached_property
    def _credentials(self) -> Credentials:
        if self._resolve is None:
            raise WorkerError("this call needs credentials, and nobody said where they come from.")
        return self._resolve()
