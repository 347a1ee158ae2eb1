"""Offers of installed packages under a name: the entry points of a group, in this distribution or any other."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import getattr_static
from typing import Any

from catalog.errors import RequestError


def offered(group: str) -> dict[str, list[EntryPoint]]:
    """The entry points of a group by their names, sorted. Nothing is imported."""
    return _offered(group, tuple(sys.path))


@cache
def _offered(group: str, path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:  # noqa: ARG001 - what is installed lies there
    # A source is opened for each acquisition, and reading what all packages offer takes as long as reading a band.
    offers: dict[str, list[EntryPoint]] = {}
    for entry_point in sorted(entry_points(group=group), key=lambda entry: (entry.name, package_of(entry))):
        offers.setdefault(entry_point.name, []).append(entry_point)
    return offers


def load_offer(kind: str, name: str, offers: list[EntryPoint], attributes: tuple[str, ...], contract: str) -> Any:
    """The class that is offered under a name; only its own module is imported.

    ``kind``: what it is in words, such as ``processor``. ``attributes``: what it must have, as the module at ``contract`` says. Raises
    `RequestError` where several packages offer the name, where it can't be imported, and where it lacks an attribute.
    """
    if len(offers) > 1:
        packages = " and ".join(package_of(offer) for offer in offers)
        raise RequestError(f"{kind} {name}: {packages} both offer it. Uninstall one.")
    where = f"{kind} {name} of {package_of(offers[0])} ({offers[0].value})"
    try:
        loaded = offers[0].load()
    except Exception as error:  # importing another's module may fail in any way; the others must go on
        raise RequestError(
            f"{where} can't be imported: {type(error).__name__}: {error}. Repair or uninstall that package."
        ) from error
    missing = [attribute for attribute in attributes if not hasattr(loaded, attribute)]
    if missing:
        raise RequestError(f"{where} is no {kind}: it has no {', '.join(missing)}. See {contract}.")
    return loaded


def check_made(kind: str, name: str, made: object, attributes: tuple[str, ...], contract: str) -> None:
    """Raises `RequestError` where what an offered class made lacks an attribute; none is evaluated."""
    absent = object()
    missing = [attribute for attribute in attributes if getattr_static(made, attribute, absent) is absent]
    if missing:
        raise RequestError(f"{kind} {name}, once made, has no {', '.join(missing)}. See {contract}.")


def package_of(offer: EntryPoint) -> str:
    """Name and version of the distribution that an entry point belongs to."""
    return f"{offer.dist.name} {offer.dist.version}" if offer.dist else "an unnamed package"
