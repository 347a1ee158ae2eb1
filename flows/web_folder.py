"""A folder whose files are reachable by web: the address of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from catalog.guards.addresses import split_address


@dataclass(frozen=True, slots=True)
class WebFolder:
    """A folder and the address that serves it."""

    folder: Path
    address: str

    def address_of(self, path: Path) -> str | None:
        """The address of a file or folder (absolute); None for what lies elsewhere."""
        if not path.is_relative_to(self.folder):
            return None
        return f"{self.address}/{quote(path.relative_to(self.folder).as_posix())}"


def web_folder(text: str) -> WebFolder:
    """Read ``FOLDER=ADDRESS`` such as ``/data/maps=https://maps.example.org``. Raises `ValueError` where it isn't so, or has a password."""
    match = re.fullmatch(r"(?P<folder>/.*?)=(?P<address>https?://\S+)", text.strip())
    if match is None:
        raise ValueError("none such as /data/maps=https://maps.example.org, an absolute folder and its address")
    parts = split_address(match["address"], ValueError)
    if parts.username is not None or parts.query or parts.fragment or not parts.hostname:
        raise ValueError("its address holds a name, a password or a query, or no host")
    return WebFolder(Path(match["folder"]), match["address"].rstrip("/"))
