"""The codecs that Zarr arrays go through. Zarr takes them from a setting of the process when an array is opened or made: set here alone.

The Rust codecs (`zarrs`) are several times faster and rewrite a shard in place. zarr-python's write each chunk aside and rename it: a
kill leaves the old value or the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import zarr

_RUST = "zarrs.ZarrsCodecPipeline"
_PLAIN = "zarr.core.codec_pipeline.BatchedCodecPipeline"
_LOCK = threading.RLock()

DAMAGE = (ValueError, RuntimeError, OSError, KeyError, TypeError, IndexError)
"""What codecs, and those who parse what they give, raise of a chunk that is cut, changed or half written."""

zarr.config.set({"codec_pipeline.path": _RUST})


def rust_codecs() -> AbstractContextManager[None]:
    """Arrays opened or made in the block use the Rust codecs, and keep them. One thread at a time is in such a block, of either kind."""
    return _codecs(_RUST)


def plain_codecs() -> AbstractContextManager[None]:
    """The same with zarr-python's codecs. Arrays of cells have those of their kind all the same."""
    return _codecs(_PLAIN)


@contextmanager
def _codecs(pipeline: str) -> Iterator[None]:
    with _LOCK, zarr.config.set({"codec_pipeline.path": pipeline}):
        yield
