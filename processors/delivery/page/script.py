"""The browser code of a report's page: Leaflet as its makers publish it, then this project's own, one script and one style."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files

PARTS = ("bytes.js", "raster.js", "outlines.js", "canvas.js", "curve.js", "place.js", "switches.js", "page.js")
"""This project's code, in the order in which it is needed."""


@dataclass(frozen=True, slots=True)
class BrowserCode:
    """Script and style that stand in the page, and the policy that lets them alone run and nothing be asked for."""

    script: str
    style: str

    @property
    def policy(self) -> str:
        """Content security policy: this very script, styles and pictures of the page itself, no request to anywhere."""
        digest = base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()
        return (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'"
        )


@cache
def browser_code() -> BrowserCode:
    """The code, put together."""
    licence = _text("leaflet/LICENSE").strip()
    # Neither its source map nor its pictures travel: controls that would ask for them aren't used.
    leaflet = re.sub(r"\n//# sourceMappingURL=.*", "", _text("leaflet/leaflet.js"))
    leaflet_style = re.sub(r"url\((?:images/|#default#)[^)]*\)", "none", _text("leaflet/leaflet.css"))
    own = "\n".join(_text(f"js/{name}") for name in PARTS)
    script = f'/*\n{licence}\n*/\n{leaflet}\n(() => {{\n"use strict";\n{own}\n}})();\n'
    return BrowserCode(script, f"{leaflet_style}\n{_text('page.css')}")


def _text(name: str) -> str:
    return package_files("processors.delivery.page").joinpath(*name.split("/")).read_text(encoding="utf-8")
