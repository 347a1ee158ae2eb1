"""The templates of a delivery's pages and sections."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_templates() -> Environment:
    """The templates by the names of their files: all text is escaped, and a name that isn't given is an error."""
    return Environment(
        loader=ChoiceLoader([PackageLoader("processors.delivery", "."), PackageLoader("processors.delivery.page")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
