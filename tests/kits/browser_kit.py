"""Debian's Chromium without a screen, through Playwright: a page, what it complains of and what it asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")


@dataclass
class Opened:
    """A page of a report whose map is ready, or said to be missing."""

    page: Page
    troubles: list[str] = field(default_factory=list)
    """Errors and warnings in the console, and exceptions."""
    requests: list[str] = field(default_factory=list)
    """Addresses asked for, without what the page holds in itself."""

    def text(self, selector: str) -> str:
        """Text of the first element, spaces as one."""
        return " ".join((self.page.locator(selector).first.text_content() or "").split())

    def place(self) -> dict[str, str]:
        """What the map says of the place chosen last: its ``x`` and ``y`` in metres, the map ``value``, the number of its ``parcel``."""
        found: dict[str, str] = self.page.locator("#place").evaluate("place => ({...place.dataset})")
        return found

    def pixels(self, x: float, y: float, *, canvas: int = 1, around: int = 0) -> set[tuple[int, ...]]:
        """Red, green, blue, opacity of one of the map's canvases (ground, pixels, lines) at a place of the view and ``around``."""
        colours = self.page.evaluate(
            """([x, y, number, around]) => {
                const canvas = document.querySelectorAll("#map canvas")[number];
                const box = canvas.getBoundingClientRect();
                const scale = canvas.width / box.width;
                const copy = document.createElement("canvas");
                copy.width = copy.height = 2 * around + 1;
                const context = copy.getContext("2d", { willReadFrequently: true });
                context.drawImage(canvas, around - Math.floor((x - box.left) * scale), around - Math.floor((y - box.top) * scale));
                return [...context.getImageData(0, 0, copy.width, copy.height).data];
            }""",
            [x, y, canvas, around],
        )
        return {tuple(colours[at : at + 4]) for at in range(0, len(colours), 4)}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for as long as the block lasts."""
    with sync_playwright() as playwright:
        # Without its sandbox, which root can't have; it opens nothing but what the tests made.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, address: str, width: int = 1300, height: int = 850, **options: Any) -> Iterator[Opened]:
    """Open a report and wait for its map."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    try:
        context.set_default_timeout(10_000)
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.troubles.append(f"{message.type}: {message.text}"))
        found.page.on("pageerror", lambda error: found.troubles.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(address)
        found.page.wait_for_selector("html[data-map]", state="attached")
        found.requests = [url for url in found.requests if not url.startswith(("data:", "blob:"))]
        yield found
    finally:
        context.close()
