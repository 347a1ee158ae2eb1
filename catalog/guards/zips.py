"""Zip archives of products: what their reading raises where they are damaged. What they may hold is in `catalog.storage.zip_files`."""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from catalog.guards.refusal import Refuse, reason

_FOREIGN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError, struct.error)


@contextmanager
def zip_errors(refuse: Refuse) -> Iterator[None]:
    """Turn what a damaged archive raises into the caller's error; what the disk or the network raises stays."""
    try:
        yield
    except _FOREIGN as error:
        raise refuse(reason(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the archive's start, where its tail is damaged
            raise
        raise refuse(reason(error)) from error
