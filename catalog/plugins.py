"""Offers of installed packages under a name: the entry points of a group, in this distribution or any other."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import getattr_static
from typing import Any

from catalog.errors import RequestError


@dataclass(frozen=True)
class Offer:
    """What a package offers under a name. ``package``: that distribution's name and version; ``value``: ``module:class``."""

    name: str
    package: str
    entry_point: EntryPoint

    @property
    def value(self) -> str:
        return self.entry_point.value


def offered(group: str) -> dict[str, list[Offer]]:
    """The entry points of a group by their names, sorted. Nothing is imported."""
    return _offered(group, tuple(sys.path))


@cache
def _offered(group: str, path: tuple[str, ...]) -> dict[str, list[Offer]]:  # noqa: ARG001 - what is installed lies there
    # A source is opened for each acquisition, and reading what all packages offer takes as long as reading a band.
    # Names of packages are read with it: a path of the interpreter may be relative, and the program may then be in another folder.
    offers: dict[str, list[Offer]] = {}
    found = [
        Offer(entry_point.name, _package_of(entry_point), entry_point) for entry_point in entry_points(group=group)
    ]
    for offer in sorted(found, key=lambda offer: (offer.name, offer.package)):
        offers.setdefault(offer.name, []).append(offer)
    return offers


def load_offer(kind: str, name: str, offers: list[Offer], attributes: tuple[str, ...], contract: str) -> Any:
    """The class that is offered under a name; only its own module is imported.

    ``kind``: what it is in words, such as ``processor``. ``attributes``: what it must have, as the module at ``contract`` says. Raises
    `RequestError` where several packages offer the name, where it can't be imported, and where it lacks an attribute.
    """
    if len(offers) > 1:
        packages = " and ".join(offer.package for offer in offers)
        raise RequestError(f"{kind} {name}: {packages} both offer it. Uninstall one.")
    where = f"{kind} {name} of {offers[0].package} ({offers[0].value})"
    try:
        loaded = offers[0].entry_point.load()
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


def _package_of(entry_point: EntryPoint) -> str:
    return f"{entry_point.dist.name} {entry_point.dist.version}" if entry_point.dist else "an unnamed package"
