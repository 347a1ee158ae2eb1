"""The pages for browsers: pygeoapi's templates in a frame of our own, which asks no other address and runs no script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pygeoapi.util import DATETIME_FORMAT, render_j2_template

from flows.ogc.documents import Interface

TEMPLATES = Path(__file__).with_name("templates")
STYLE = Path(__file__).with_name("static")

POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
"""Content security policy of the pages."""


def page(interface: Interface, template: str, data: Mapping[str, Any]) -> str:
    """A page of a document; ``template``: its name among pygeoapi's."""
    now = datetime.now(UTC).strftime(DATETIME_FORMAT)
    made: str = render_j2_template(
        interface.tpl_config, {"path": str(TEMPLATES)}, template, {**data, "now": now}, interface.default_locale
    )
    return made
