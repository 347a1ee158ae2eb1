"""The maps of an installation by their names: where each was delivered."""

from __future__ import annotations

import re
from pathlib import Path

from catalog.errors import DeliveryError
from catalog.guards.json_text import parse_object
from catalog.guards.paths import user_path
from catalog.quoting import shortened, shown
from catalog.storage.store import Store

ITEM = "item.json"
"""A delivery's STAC item, in its folder."""

_IS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
"""What the name of a listed map looks like; see `catalog.registry.Registry.add_map`."""


def map_folder(store: Store, name: str, base: Path) -> Path:
    """The folder of a delivery: of the map of this installation that has that name, else at that path, from ``base``.

    Raises `DeliveryError` where there is neither.
    """
    listed = listed_folder(store, name)
    if listed is not None:
        return listed
    folder = user_path(name, lambda why: DeliveryError(f"map: {why}. Give the folder of a delivery."), base=base)
    if folder.is_file():  # the map itself
        folder = folder.parent
    if not folder.is_dir():
        names = [path.stem for path in sorted(store.maps.glob("*/*.json")) if delivered_to(path) is not None]
        held = shortened(", ".join(names), 300) or "none yet"
        raise DeliveryError(f"map {shown(name)}: neither the folder of a delivery nor a map of this store ({held}).")
    return folder


def name_of(store: Store, folder: Path) -> str | None:
    """The name under which a delivery's folder is a map of this installation; None where it isn't one."""
    return next((path.stem for path in sorted(store.maps.glob("*/*.json")) if delivered_to(path) == folder), None)


def listed_folder(store: Store, name: str) -> Path | None:
    """The folder of the map of this installation that has that name; None where there is none, or it is gone."""
    path = store.maps / name / f"{name}.json"
    return delivered_to(path) if _IS_NAME.fullmatch(name) and path.is_file() else None


def delivered_files(folder: Path) -> set[str]:
    """Names of the files of a delivery: those that its item names, and the item. Empty where it can't be read.

    What leads out of the folder is no file of the delivery, whoever wrote it into the item.
    """
    try:
        assets = parse_object((folder / ITEM).read_bytes(), ValueError)["assets"]
        named = {ITEM, *(str(asset["href"]).removeprefix("./") for asset in assets.values())}
        return {name for name in named if (folder / name).resolve().is_relative_to(folder.resolve())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def delivered_to(listed: Path) -> Path | None:
    """The folder that a listed item's map was delivered to; None where it is gone, or another map lies there by now."""
    try:
        item = parse_object(listed.read_bytes(), ValueError)
        delivered = Path(next(str(link["href"]) for link in item["links"] if link["rel"] == "canonical"))
        there = parse_object(delivered.read_bytes(), ValueError)
        return delivered.parent if there["id"] == item["id"] else None
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
