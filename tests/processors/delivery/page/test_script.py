"""The browser code: Leaflet as its makers publish it, and nothing that asks for anything."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from processors.delivery.page.script import PARTS, browser_code

PAGE = files("processors.delivery.page")


def test_leaflet_is_what_its_makers_publish() -> None:
    """Checksums of dist/ in leaflet-1.9.4.tgz, whose own is in VERSION."""
    folder = PAGE.joinpath("leaflet")
    sums = dict(reversed(line.split()) for line in folder.joinpath("SHA256SUMS").read_text().splitlines())  # type: ignore[misc]
    assert sums["leaflet.js"] == "db49d009c841f5ca34a888c96511ae936fd9f5533e90d8b2c4d57596f4e5641a"
    assert sums["leaflet.css"] == "a7837102824184820dfa198d1ebcd109ff6d0ff9a2672a074b9a1b4d147d04c6"
    assert set(sums) == {"leaflet.js", "leaflet.css", "LICENSE"}
    for name, digest in sums.items():
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == digest, name
    assert folder.joinpath("VERSION").read_text().startswith("leaflet 1.9.4\n")


def test_its_licence_travels_in_the_page() -> None:
    assert "Volodymyr Agafonkin" in browser_code().script
    assert "Redistribution and use in source and binary forms" in browser_code().script


def test_the_policy_lets_this_script_alone_run() -> None:
    code = browser_code()
    digest = base64.b64encode(hashlib.sha256(code.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in code.policy
    assert code.policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in code.policy


def test_neither_script_nor_style_names_what_a_page_would_fetch() -> None:
    code = browser_code()
    assert "url(" not in code.style
    assert "sourceMappingURL" not in code.script
    assert "</script" not in code.script
    assert "<!--" not in code.script


def test_every_part_of_the_code_is_in_it_and_writes_no_markup() -> None:
    assert sorted(path.name for path in PAGE.joinpath("js").iterdir()) == sorted(PARTS)
    for name in PARTS:
        text = PAGE.joinpath("js", name).read_text(encoding="utf-8")
        assert text in browser_code().script
        assert not [
            word
            for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "fetch(", "XMLHttp")
            if word in text
        ]
        assert text.count("\n") <= 400
