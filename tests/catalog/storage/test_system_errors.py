"""What the system refuses is told with its own reason and the remedy that fits it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from catalog.storage.system_errors import refusal


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "No space left on device. Free some space"),
        (errno.EACCES, "Permission denied. Check the permissions"),
        (errno.EROFS, "Read-only file system. It is mounted to be read only: name another place"),
        (errno.EMFILE, "Too many open files. Raise the limit of open files (`ulimit -n`)"),
        (errno.ENOMEM, "Cannot allocate memory. Free some memory"),
    ],
)
def test_the_remedy_fits_the_reason(number: int, text: str) -> None:
    assert refusal(OSError(number, os.strerror(number), "file")) == text
    library = RuntimeError(f"cannot write: {os.strerror(number)} (os error {number})")
    assert refusal(library) == text, "a library keeps the text alone"
    outer = RuntimeError("Read failed. See previous exception for details.")
    outer.__cause__ = OSError(number, os.strerror(number))
    assert refusal(outer) == text


def test_what_is_not_known_is_told_in_its_own_words_and_ends_once() -> None:
    inner = ValueError("the tile is strange.")
    outer = RuntimeError("Read failed. See previous exception for details.")
    outer.__cause__ = inner
    assert refusal(outer) == "the tile is strange. Free some space or check the permissions"
    assert refusal(OSError()) == "OSError. Free some space or check the permissions"


def test_a_disk_that_is_full_is_asked_where_the_library_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("Read failed")
    assert refusal(error, tmp_path / "not" / "there").startswith("Read failed. ")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert refusal(error, tmp_path / "not" / "there") == "No space left on device. Free some space"
