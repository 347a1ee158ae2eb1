"""Trees of files that products lie in: folders of this machine, buckets, and zip archives inside either."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from catalog.errors import ProductError, SourceError
from catalog.storage.system_errors import refusal

DOCUMENT = 64 * 2**20
"""The most bytes of one document: the longest real one, a datastrip's metadata, has 13 MB."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder inside a folder."""

    name: str
    is_folder: bool
    size: int
    """Bytes; 0 of folders."""
    state: str = field(default="", compare=False)
    """Changes when the file does: its time of writing, its ETag in a bucket, its checksum in an archive; empty of folders."""


class Files(Protocol):
    """A tree of files. Paths are relative to its root, with slashes; the root itself is the empty path."""

    @property
    def address(self) -> str:
        """Absolute path or s3://bucket/prefix; carries no credentials."""

    @property
    def gdal_env(self) -> Mapping[str, str]:
        """GDAL options that its paths need. May hold secrets: shown nowhere."""

    def list(self, path: str = "") -> list[Entry]:
        """The entries of a folder, by name. Raises `FileNotFoundError`, or `SourceError` where it can't be read."""

    def read(self, path: str, most: int = DOCUMENT) -> bytes:
        """A small document, whole. Raises as `list` does, and `ProductError` where it has more than ``most`` bytes."""

    def open(self, path: str) -> BinaryIO:
        """A file that can be sought in; the caller closes it. Raises as `list` does."""

    def gdal(self, path: str) -> str:
        """The path that GDAL opens."""


def join(*parts: str) -> str:
    """A path of its parts, those that are empty left out."""
    return "/".join(part for part in parts if part)


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


def too_long(where: str, size: int, most: int) -> ProductError:
    """The error that `Files.read` raises."""
    return ProductError(
        f"{where} has {size:,} bytes, a document of a product at most {most:,}. It is not what its name says."
    )


class LocalFiles:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = str(folder)
        self.gdal_env: Mapping[str, str] = {}

    def list(self, path: str = "") -> list[Entry]:
        """See `Files`."""
        folder = self._folder / path
        entries = []
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    is_folder = entry.is_dir()
                    try:
                        stat = None if is_folder else entry.stat()
                    except FileNotFoundError:  # a link to nothing, whose reading fails with its name
                        stat = None
                    size, state = (stat.st_size, str(stat.st_mtime_ns)) if stat else (0, "")
                    entries.append(Entry(entry.name, is_folder, size, state))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(f"no folder {folder}") from error
        except OSError as error:
            raise SourceError(f"{folder} can't be listed: {refusal(error)}.") from error
        return sorted(entries, key=lambda entry: entry.name)

    def read(self, path: str, most: int = DOCUMENT) -> bytes:
        """See `Files`."""
        with self.open(path) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise too_long(str(self._folder / path), (self._folder / path).stat().st_size, most)
        return content

    def open(self, path: str) -> BinaryIO:
        """See `Files`."""
        file = self._folder / path
        try:
            return file.open("rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(f"no file {file}") from error
        except OSError as error:
            raise SourceError(f"{file} can't be read: {refusal(error)}.") from error

    def gdal(self, path: str) -> str:
        """See `Files`."""
        return str(self._folder / path)
