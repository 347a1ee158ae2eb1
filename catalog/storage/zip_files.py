"""A zip archive seen as a tree of files. Nothing is ever unpacked: documents are read in memory, pixels by GDAL."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from typing import IO, BinaryIO, cast

from catalog.errors import ProductError
from catalog.guards.zips import zip_errors
from catalog.quoting import MOST_QUOTED, shortened, shown
from catalog.storage.file_trees import DOCUMENT, Entry, Files, join, name_of, parent, too_long

MOST_MEMBERS = 20_000
"""A product has some hundred files; the products of 2015 and 2016, of up to twenty granules each, some thousand."""

DEEPEST = 20
"""Folders inside folders. Products have six."""

MOST_BYTES = 32 * 2**30
"""Unpacked. The largest products have 8 GB."""

MOST_RATIO = 200
"""Unpacked bytes by packed ones, of members over 1 MB. Real metadata packs to a twentieth, JP2 hardly at all."""

_SMALL = 2**20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DRIVE = re.compile(r"[A-Za-z]:")


class ZipFiles:
    """The members of one archive of a tree. Its directory is read once and judged before anything else is."""

    def __init__(self, files: Files, path: str) -> None:
        """Raises `ProductError` where it is no zip archive, is encrypted, or isn't safe; `FileNotFoundError`, `SourceError`."""
        self._files, self._path = files, path
        self.address = join(files.address, path)
        self.gdal_env: Mapping[str, str] = files.gdal_env
        with files.open(path) as file, zip_errors(self._damaged):
            size = file.seek(0, io.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
        _check(self.address, members, size)
        self._members = {member.filename: member for member in members if not member.is_dir()}
        self._folders = _tree(members)

    def list(self, path: str = "") -> list[Entry]:
        """See `Files`."""
        if path not in self._folders:
            raise FileNotFoundError(f"no folder {path} in {self.address}")
        return sorted(self._folders[path].values(), key=lambda entry: entry.name)

    def read(self, path: str, most: int = DOCUMENT) -> bytes:
        """See `Files`."""
        member = self._member(path)
        if member.file_size > most:
            raise too_long(f"{self.address}/{path}", member.file_size, most)
        with (
            self._files.open(self._path) as file,
            zip_errors(
                lambda why: ProductError(f"{path} in {self.address} can't be unpacked: {why}. Get the archive again.")
            ),
            zipfile.ZipFile(file) as archive,
            archive.open(member) as inside,
        ):
            return inside.read(most)

    def open(self, path: str) -> BinaryIO:
        """See `Files`."""
        member = self._member(path)
        with ExitStack() as stack, zip_errors(self._damaged):
            archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(self._files.open(self._path))))
            inside = stack.enter_context(archive.open(member))
            return _Opened(inside, stack.pop_all())

    def gdal(self, path: str) -> str:
        """See `Files`."""
        return f"/vsizip/{{{self._files.gdal(self._path)}}}/{path}"

    def _damaged(self, why: str) -> ProductError:
        return ProductError(
            f"{self.address} is no zip archive that can be read, it may be truncated ({why}). Get it again."
        )

    def _member(self, path: str) -> zipfile.ZipInfo:
        if path not in self._members:
            raise FileNotFoundError(f"no file {path} in {self.address}")
        return self._members[path]


class _Opened(io.BufferedReader):
    """A member, with the archive that is open for it alone."""

    def __init__(self, inside: IO[bytes], opened: ExitStack) -> None:
        super().__init__(cast("io.RawIOBase", inside))
        self._opened = opened

    def close(self) -> None:
        super().close()
        self._opened.close()


def _check(address: str, members: list[zipfile.ZipInfo], size: int) -> None:
    """``size``: bytes of the archive. Raises `ProductError`."""
    if len(members) > MOST_MEMBERS:
        raise _unsafe(address, f"it says to hold {len(members):,} files, more than {MOST_MEMBERS:,}")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise _unsafe(address, "it holds several files of one name")
    for member in members:
        name = member.filename
        if (
            not name.isprintable()
            or name.startswith("/")
            or "\\" in name
            or "\0" in member.orig_filename
            or _DRIVE.match(name)
        ):
            raise _unsafe(address, f"its member {shown(name)} is no relative path")
        if name.count("/") > DEEPEST:
            raise _unsafe(address, f"its member {shown(name)} lies {name.count('/')} folders deep")
        if ".." in name.split("/"):
            raise _unsafe(address, f"its member {shown(name)} leads out of it")
        if member.flag_bits & 0x1:
            raise ProductError(
                f"{address} is encrypted ({shortened(name, MOST_QUOTED)}). Pack it again without a password."
            )
        if member.compress_type not in _METHODS:
            raise ProductError(
                f"{address} packs {shortened(name, MOST_QUOTED)} by method {member.compress_type}, "
                "only stored and deflated files are read. Pack it again."
            )
        if member.file_size > _SMALL and member.file_size > MOST_RATIO * member.compress_size:
            raise _unsafe(
                address,
                f"its member {shown(name)} would grow from {member.compress_size:,} to {member.file_size:,} bytes",
            )
    if (whole := sum(member.file_size for member in members)) > MOST_BYTES:
        raise _unsafe(address, f"unpacked it would have {whole:,} bytes, more than {MOST_BYTES:,}")
    if sum(member.compress_size for member in members) > size:
        raise _unsafe(address, "its members overlap")


def _unsafe(address: str, why: str) -> ProductError:
    return ProductError(f"{address} is not a safe archive: {why}. Get the product from its publisher again.")


def _tree(members: list[zipfile.ZipInfo]) -> dict[str, dict[str, Entry]]:
    folders: dict[str, dict[str, Entry]] = {"": {}}

    def folder(path: str) -> dict[str, Entry]:
        # Archives needn't list their folders.
        if path not in folders:
            folders[path] = {}
            folder(parent(path))[name_of(path)] = Entry(name_of(path), True, 0)
        return folders[path]

    for member in members:
        path = member.filename.rstrip("/")
        if member.is_dir():
            folder(path)
        else:
            folder(parent(path))[name_of(path)] = Entry(name_of(path), False, member.file_size, f"{member.CRC:08x}")
    return folders
