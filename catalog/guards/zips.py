"""Zip archives of products: what their reading raises where they are damaged. What they may hold is in `catalog.storage.zip_files`."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from catalog.guards.refusal import Refuse, reason, refusing

_FOREIGN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError, struct.error)


@contextmanager
def zip_errors(refuse: Refuse) -> Iterator[None]:
    """Turn what a damaged archive raises into the caller's error; what the disk or the network raises stays."""
    with refusing(_FOREIGN, refuse):
        try:
            yield
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place before the archive's start, where its tail is damaged
                raise
            raise refuse(reason(error)) from error
