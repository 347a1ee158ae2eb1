"""XML documents of a product: parsed safely, and their values by the names of their elements."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, ParseError  # types only: documents are parsed by defusedxml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from catalog.errors import ProductError
from catalog.storage.file_trees import Files


def read_document(files: Files, path: str, product: str) -> Element:
    """An XML document of a product. Raises `ProductError` naming both, and `SourceError` where nothing can be read."""
    try:
        text = files.read(path)
    except FileNotFoundError as error:
        raise ProductError(f"{product}: {path} is missing. Get the product again.") from error
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise ProductError(
            f"{product}: {path} defines entities or a document type, which metadata of Sentinel-2 never do; it isn't read. "
            "Get the product from its publisher."
        ) from error
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that doesn't exist
        raise ProductError(
            f"{product}: {path} is no XML, it may be truncated ({error}). Get the product again."
        ) from error
    return root


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

    def number(self, *names: str) -> float | None:
        value = self.maybe(*names)
        if value is None:
            return None
        return self.as_number(names[0], value)

    def as_number(self, name: str, value: str | None) -> float:
        try:
            number = float(value or "")
        except ValueError as error:
            raise self.wrong(name, value, "it is no number") from error
        if not math.isfinite(number):
            raise self.wrong(name, value, "it is not finite")
        return number

    def time(self, *names: str) -> datetime | None:
        try:
            time = datetime.fromisoformat(self.maybe(*names) or "")
        except ValueError:
            return None
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)

    def all(self, *names: str) -> Iterator[Element]:
        for name in names:
            yield from self._elements.get(name, ())

    def wrong(self, name: str, value: str | None, why: str) -> ProductError:
        return ProductError(f"{self.where}: {name} is {value!r}: {why}. Get the product again.")
