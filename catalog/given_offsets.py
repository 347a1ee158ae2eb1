"""Radiometric offsets that a request gives for products whose source says none, or a wrong one.

A cube is shared by all requests of a source, and a date that one of them reads with an offset of its own must not replace the date
that the others read. So the offset is part of the acquisition's name: ``S2A_20190401T105031_R008_offset-1000`` is a date of its
own beside ``S2A_20190401T105031_R008``, for all requests that give that offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from catalog.errors import RequestError
from catalog.products import Acquisition, Product
from catalog.storage.store import digest

_VARIANT = re.compile(r"_offset(?:-?\d+|s[0-9a-f]+)$")


def variant(acquisition: str) -> str:
    """The end of an acquisition's name that tells of given offsets; empty where there are none."""
    match = _VARIANT.search(acquisition)
    return match.group() if match else ""


def with_offsets(acquisitions: Iterable[Acquisition], offsets: Mapping[str, int]) -> tuple[Acquisition, ...]:
    """Acquisitions with the offsets given for them or for one of their products, in units of 1e-4 reflectance.

    A product's own offset goes before that of its acquisition. Raises `RequestError` for names that none of them has.
    """
    listed = tuple(acquisitions)
    known = {name for one in listed for name in (one.id, *(product.id for product in one.products))}
    if absent := sorted(offsets.keys() - known):
        raise RequestError(
            f"offset: no acquisition or product {', '.join(absent)} is ordered. Give the name as the report writes it; the "
            f"acquisitions are {', '.join(one.id for one in listed)}."
        )
    return tuple(_with_offsets(acquisition, offsets) for acquisition in listed)


def _with_offsets(acquisition: Acquisition, offsets: Mapping[str, int]) -> Acquisition:
    def given(product: Product) -> Product:
        offset = offsets.get(product.id, offsets.get(acquisition.id))
        # It is said of this version; another one may be of a baseline that needs another offset.
        return product if offset is None else product.model_copy(update={"offset": offset, "older": ()})

    products = tuple(map(given, acquisition.products))
    values = {product.offset for product in products}
    if values == {None}:
        return acquisition
    mixed = digest({product.id: product.offset for product in products})[:8]
    ending = f"_offset{values.pop()}" if len(values) == 1 else f"_offsets{mixed}"
    return acquisition.model_copy(update={"id": f"{acquisition.id}{ending}", "products": products})
