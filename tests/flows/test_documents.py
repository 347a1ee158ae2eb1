"""The documents say all that can be asked for, and name nothing that can't."""

from __future__ import annotations

import re
from pathlib import Path

from flows.request import MapRequest
from flows.settings import PREFIX, Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _first_cells(page: str) -> list[str]:
    """What is written as code in the first cells of a page's tables."""
    cells = re.findall(r"^\| ([^|]*) \|", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)", cell)]


def test_every_field_of_a_request_is_described() -> None:
    assert sorted(_first_cells("reference/request.md")) == sorted(MapRequest.model_fields)


def test_every_setting_is_described() -> None:
    own = {PREFIX + name.upper() for name in Settings.model_fields} - {
        f"{PREFIX}BASE"
    }  # which `cropline up` sets for its runs
    assert set(_first_cells("reference/settings.md")) == own
