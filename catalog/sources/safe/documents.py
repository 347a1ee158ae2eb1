"""XML documents of a product: parsed safely, and their values by the names of their elements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from xml.etree.ElementTree import Element  # a type only: documents are parsed by defusedxml

from catalog.errors import ProductError
from catalog.guards.numbers import utc_time
from catalog.guards.xml_text import parse_xml
from catalog.quoting import shown
from catalog.storage.file_trees import Files

LARGEST = 1e9
"""No number in a product's metadata is larger."""


def read_document(files: Files, path: str, product: str) -> Element:
    """An XML document of a product. Raises `ProductError` naming both, and `SourceError` where nothing can be read."""
    try:
        text = files.read(path)
    except FileNotFoundError as error:
        raise ProductError(f"{product}: {path} is missing. Get the product again.") from error
    return parse_xml(text, lambda why: ProductError(f"{product}: {path} {why}. Get the product again."))


class Document:
    """Values of an XML document by the names of their elements, wherever they stand."""

    def __init__(self, root: Element, where: str) -> None:
        self.where = where
        # One pass: a search from the root for each name takes as long as the parsing.
        self._elements: dict[str, list[Element]] = {}
        for element in root.iter():
            self._elements.setdefault(element.tag.rpartition("}")[2], []).append(element)

    def first(self, name: str) -> Element | None:
        return next(iter(self._elements.get(name, ())), None)

    def maybe(self, *names: str) -> str | None:
        """The text of the first element of one of these names; None where there is none or it is empty."""
        for name in names:
            element = self.first(name)
            if element is not None and element.text and element.text.strip():
                return element.text.strip()
        return None

    def text(self, *names: str) -> str:
        value = self.maybe(*names)
        if value is None:
            raise ProductError(f"{self.where} says no {names[0]}, it may be truncated. Get the product again.")
        return value

    def number(self, name: str, least: float = -LARGEST, most: float = LARGEST) -> float | None:
        value = self.maybe(name)
        return None if value is None else self.as_number(name, value, least, most)

    def as_number(self, name: str, value: str | None, least: float = -LARGEST, most: float = LARGEST) -> float:
        """The number in a text. Raises `ProductError` where it is none, or lies outside of what it can be."""
        try:
            number = float(value or "")
        except ValueError as error:
            raise self.wrong(name, value, "it is no number") from error
        if not math.isfinite(number):
            raise self.wrong(name, value, "it is not finite")
        if not least <= number <= most:
            raise self.wrong(name, value, f"it lies outside of {least:g} to {most:g}")
        return number

    def time(self, *names: str) -> datetime | None:
        return utc_time(self.maybe(*names))

    def all(self, *names: str) -> Iterator[Element]:
        for name in names:
            yield from self._elements.get(name, ())

    def wrong(self, name: str, value: str | None, why: str) -> ProductError:
        return ProductError(f"{self.where}: {name} is {shown(value)}: {why}. Get the product again.")
