"""Scratch folders of this machine: held by the process that made them, and known as left behind when it was killed."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.storage.holding import held, is_left

PREFIX = "cropline-scratch-"
"""Begin of their names: nobody else's folder is called so, for what nobody holds is removed."""

_NAME = re.compile(re.escape(PREFIX) + r"(\w+-)?\w{8}")


@contextmanager
def scratch_folder(purpose: str = "", within: Path | str | None = None) -> Iterator[Path]:
    """A folder among the temporary files (or in ``within``) that is gone when the block ends, and is held until then."""
    prefix = f"{PREFIX}{purpose}-" if purpose else PREFIX
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=within, ignore_cleanup_errors=True) as folder,
        held(Path(folder)),
    ):
        yield Path(folder)


def is_scratch(folder: Path) -> bool:
    """Return whether a folder has the name of a scratch folder."""
    return _NAME.fullmatch(folder.name) is not None


def left_behind() -> list[Path]:
    """Scratch folders of this user that killed processes left among the temporary files, sorted by name."""
    own = Path(tempfile.gettempdir())
    # Of a process whose temporary files are in a scratch folder itself, what lies beside that, too.
    places = [own, own.parent] if is_scratch(own) else [own]
    folders = sorted(folder for place in places for folder in place.glob(f"{PREFIX}*"))
    return [folder for folder in folders if is_scratch(folder) and folder.is_dir() and is_left(folder)]
