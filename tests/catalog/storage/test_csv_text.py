"""Text in CSV: no cell of it is a formula, and it stays one cell."""

from __future__ import annotations

import pytest

from catalog.storage.csv_text import cell_text, csv_cell, csv_comment


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("http://evil","x")', "＝1"]
)
def test_a_text_that_looks_like_a_formula_is_none(text: str) -> None:
    assert csv_cell(text) == f"'{text}"
    assert cell_text(csv_cell(text)) == text


@pytest.mark.parametrize("text", ["maize", "sugar-beet", "1200", "a=b", "", "wheat, winter", "'quoted'", "'"])
def test_other_texts_stay(text: str) -> None:
    assert csv_cell(text) == cell_text(text) == text


def test_a_comment_has_no_formula_behind_its_commas() -> None:
    assert csv_comment("Map, 2019") == "Map, 2019"
    assert csv_comment("labels a, =cmd|' /C calc'!A0;@x\n+1") == "labels a,' =cmd|' /C calc'!A0;'@x +1"
