"""What names the content of a STAC item's files: another name is another version of the product, to be read again.

Where files lie on this machine, their sizes and times of writing; else the checksums and sizes that the item lists (file extension);
else when the item was updated. In any case its baseline, its time of generation and its offsets, which the pixels are read by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catalog.errors import ProductError
from catalog.products import Asset, Product
from catalog.sources.reach import Reach
from catalog.sources.stac.item import Item, item_assets
from catalog.storage.store import digest

_TOLD = ("file:checksum", "checksum:multihash", "file:size")


def with_content(product: Product, item: Item, href: str, reach: Reach | None = None) -> Product:
    """The product with the name of its content; without one where files are gone, which says nothing about what was read of them.

    ``reach``: of the item's catalogue, as `item_assets` has it.
    """
    reach = reach or Reach.of(href)
    try:
        assets = item_assets(item, href, product, reach=reach)
    except ProductError:
        assets = {}
    properties = item.get("properties")
    updated = properties.get("updated") if isinstance(properties, dict) else None
    states = [_state(asset) for asset in assets.values()]
    if "absent" in states:
        return product
    evidence: list[Any] = [state for state in states if state] or _told(item, href, assets, reach)
    if not evidence and updated is None:
        return product
    offsets = {name: asset.offset for name, asset in assets.items()}
    facts = [product.baseline, product.generation_time, offsets, evidence or updated]
    return product.model_copy(update={"content": digest(facts)})


def _state(asset: Asset) -> str:
    """Size and time of writing of a file of this machine, or ``absent``; empty of others."""
    path = asset.href.removeprefix("file://")
    if "://" in path or path.startswith("/vsi"):
        return ""
    try:
        stat = Path(path).stat()
    except OSError:
        return "absent"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def _told(item: Item, href: str, assets: dict[str, Asset], reach: Reach) -> list[Any]:
    """What the item says of the files that are read."""
    read = {_place(asset.href) for asset in assets.values()}
    listed = item.get("assets")
    told = []
    for name, asset in sorted(listed.items()) if isinstance(listed, dict) else ():
        if isinstance(asset, dict) and _address(asset, href, reach) in read:
            said = [asset[field] for field in _TOLD if asset.get(field) is not None]
            told += [[name, *said]] if said else []
    return told


def _address(asset: Item, href: str, reach: Reach) -> str:
    try:
        return _place(reach.address(href, str(asset.get("href", ""))))
    except ProductError:  # it may not be named, and so isn't read
        return ""


def _place(address: str) -> str:
    return address.removeprefix("s3://").removeprefix("/vsis3/")
