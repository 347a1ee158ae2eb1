"""Sections of a delivery's report that are written after it: each stands between two comments that name it, and is replaced whole."""

from __future__ import annotations

_END_OF_PAGE = "<footer>"


def with_section(page: str, name: str, section: str) -> str:
    """The page (HTML) with that section in its place; at the end of a page that has no place for it yet.

    ``section`` is HTML; an empty one leaves the place empty. What is no page of this project stays as it is.
    """
    start, end = f"<!-- section {name} -->", f"<!-- end of section {name} -->"
    before, there, rest = page.partition(start)
    if there and end in rest:
        return f"{before}{start}\n{section}\n{end}{rest.partition(end)[2]}"
    before, there, rest = page.rpartition(_END_OF_PAGE)
    return f"{before}{start}\n{section}\n{end}\n{there}{rest}" if there else page
