"""XML documents of products."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError  # types only: documents are parsed by defusedxml

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from catalog.guards.refusal import Refuse, refusing

_FOREIGN = (ParseError, ValueError, LookupError, RecursionError)  # LookupError: an encoding that doesn't exist


def parse_xml(text: bytes, refuse: Refuse) -> Element:
    """The root of a document. The reason goes on after the document's name: it is no XML, or defines entities."""
    with refusing(_FOREIGN, lambda why: refuse(f"is no XML, it may be truncated ({why})")):
        try:
            root: Element = fromstring(text, forbid_dtd=True)
        except DefusedXmlException as error:
            raise refuse("defines entities or a document type, which metadata of Sentinel-2 never do") from error
    return root
