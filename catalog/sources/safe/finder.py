"""The one finder of products in trees of files: by what folders hold, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from catalog.errors import SourceError
from catalog.products import UNKNOWN
from catalog.sources.product_name import ProductName, parse_name
from catalog.sources.safe.aws_tile import is_tile, tile_and_day
from catalog.sources.safe.product import holds_product
from catalog.storage.file_trees import Entry, Files, join, name_of

DEEPEST = 16
"""Folders inside folders; more are a link that leads back."""

Form = Literal["SAFE folder", "SAFE archive", "AWS tile", "loose files"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A folder or archive that looks like a product, unopened."""

    path: str
    form: Form
    name: ProductName | None

    @property
    def is_tile(self) -> bool:
        """True of a tile as AWS lays it out."""
        return self.form == "AWS tile"

    @property
    def tile(self) -> str:
        """`UNKNOWN` where only its metadata tell."""
        if self.name is not None:
            return self.name.tile
        of_tile = tile_and_day(self.path) if self.is_tile else None
        return of_tile[0] if of_tile else UNKNOWN

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """First and last instant at which it can have been sensed; None where only its metadata tell."""
        if self.name is not None:
            return self.name.start, self.name.end
        of_tile = tile_and_day(self.path) if self.is_tile else None
        return (of_tile[1], of_tile[1] + timedelta(days=1)) if of_tile else None


def is_product(address: str) -> bool:
    """True of the path of a ``.SAFE`` folder or a zip archive, by its name alone."""
    name = address.rstrip("/").lower()
    return name.endswith((".safe", ".zip"))


def form_of(entries: Iterable[Entry]) -> Form | None:
    """The form in which a folder is a product itself, by what it holds; None where it is none."""
    listed = list(entries)
    if is_tile(listed):
        return "AWS tile"
    return "SAFE folder" if holds_product(listed) else None


_Listing = tuple[str, list[Entry]]
_Map = Callable[[Callable[[str], _Listing], Iterable[str]], Iterable[_Listing]]


def find_products(files: Files, start: str = "", apply: _Map = map) -> Iterator[Candidate]:
    """Find what looks like products below a folder of a tree; ``apply`` maps a listing over folders, such as a pool's.

    Folders and archives that are called as products are, and bands that lie about without metadata, are found too: reading them
    tells why they are none. Raises `SourceError` where a folder can't be listed: an archive half seen would pass for a poorer one.
    """
    if is_product(start):
        form: Form = "SAFE archive" if start.lower().endswith(".zip") else "SAFE folder"
        yield Candidate(start, form, parse_name(name_of(start)))
        return

    def listing(folder: str) -> _Listing:
        try:
            return folder, files.list(folder)
        except FileNotFoundError:
            if folder == start:
                raise SourceError(
                    f"{join(files.address, start)}: there is no such folder. Check the address."
                ) from None
            return folder, []  # gone since

    folders = [start]
    for _ in range(DEEPEST):
        below: list[str] = []
        for folder, entries in apply(listing, folders):
            found = form_of(entries)
            name = parse_name(name_of(folder))
            if found is not None:
                yield Candidate(folder, found, name if found == "SAFE folder" else None)
                continue
            inner = [join(folder, entry.name) for entry in entries if entry.is_folder and entry.name[0] != "."]
            archives = [entry.name for entry in entries if not entry.is_folder and entry.name.lower().endswith(".zip")]
            for entry in entries:  # a link to nothing, such as to a disk that isn't mounted, or a file
                if (
                    not entry.is_folder
                    and entry.name not in archives
                    and (of_entry := parse_name(entry.name)) is not None
                ):
                    yield Candidate(join(folder, entry.name), "SAFE folder", of_entry)
            for archive in archives:
                yield Candidate(join(folder, archive), "SAFE archive", parse_name(archive))
            documents = {"productInfo.json", "metadata.xml"} & {
                entry.name for entry in entries
            }  # of AWS, apart from the tiles
            if name is not None and not inner and not archives and not documents:
                yield Candidate(folder, "SAFE folder", name)
            elif any(entry.name.lower().endswith(".jp2") for entry in entries):
                yield Candidate(folder, "loose files", None)
            for path in inner:
                # What is called .SAFE isn't listed before it is needed: an archive has thousands.
                if path.endswith(".SAFE"):
                    yield Candidate(path, "SAFE folder", parse_name(name_of(path)))
                else:
                    below.append(path)
        folders = below
        if not folders:
            return
    raise SourceError(
        f"{join(files.address, folders[0])}: folders lie more than {DEEPEST} deep. Is there a link that leads back? Remove it, or "
        "give a folder below."
    )
