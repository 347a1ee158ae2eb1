"""What words of reference data mean: codes, map values or names, and never a guess between two that differ."""

from __future__ import annotations

import delivery_kit
import pytest

from catalog.errors import RequestError
from catalog.legend import Legend, LegendClass
from catalog.legend_words import ReadAs, read_words, word_of

LEGEND = Legend(
    entries=(
        LegendClass(value=0, name="not cropland", colour="#e6e2d8", role="background", source_codes=(9,)),
        LegendClass(value=1, name="Winter wheat", colour="#e2b93b", source_codes=(2, 1110)),
        LegendClass(value=2, name="maize", colour="#d1495b", source_codes=(1,)),
        LegendClass(value=0, name="cloud", colour="#ffffff", role="ignore", source_codes=(77,)),
    )
)
ENTRIES = LEGEND.mapped


def read(words: list[str | None], read_as: ReadAs | None = None, codes: Legend = LEGEND) -> list[int]:
    return read_words(words, ENTRIES, codes, read_as, "reference r").classes.tolist()


def test_names_are_read_whatever_their_case_and_blanks() -> None:
    found = read_words(["winter  WHEAT", " maize", "None of these", None, "rice"], ENTRIES, LEGEND, None, "r")
    assert (found.classes.tolist(), found.read_as) == ([1, 2, 3, -1, -1], ReadAs.NAMES)
    assert found.unknown == {"rice": 1}


def test_numbers_that_only_codes_explain_are_codes() -> None:
    assert read(["1110", "9", "1"]) == [1, 0, 2]
    assert read(["1110", "77"]) == [1, -1], "codes that the legend ignores mean nothing"


def test_numbers_that_are_codes_and_values_with_another_meaning_are_refused_until_it_is_said() -> None:
    with pytest.raises(
        RequestError, match=r"^reference r: can be read as codes or as values, which gives different classes"
    ):
        read(["1", "2"])
    assert read(["1", "2"], ReadAs.CODES) == [2, 1]
    assert read(["1", "2", "01"], ReadAs.VALUES) == [1, 2, 1]


def test_codes_and_values_that_mean_the_same_need_no_word() -> None:
    classes = [str(entry.value) for entry in delivery_kit.LEGEND.classes]
    found = read_words(classes, delivery_kit.LEGEND.mapped, delivery_kit.LEGEND, None, "r")
    assert found.classes.tolist() == [1, 2, 3]


def test_words_that_mean_nothing_at_all_are_refused_with_what_there_is() -> None:
    with pytest.raises(
        RequestError, match=r"holds no class of the map. It holds rice, tea; the map shows not cropland \(0\)"
    ):
        read(["rice", "tea", None])
    assert read([None, None]) == [-1, -1]


def test_a_legend_of_the_reference_leads_its_codes_to_the_maps_values() -> None:
    own = Legend(
        entries=(
            LegendClass(value=2, name="corn", colour="#d1495b", source_codes=(500, 501)),
            LegendClass(value=40, name="tea", colour="#d1495b", source_codes=(600,)),
            LegendClass(value=0, name="town", colour="#d1495b", role="background", source_codes=(700,)),
        )
    )
    assert read(["500", "501", "600", "700"], ReadAs.CODES, own) == [2, 2, -1, 0]
    bare = read_words(["700", "500"], ENTRIES[1:], own, ReadAs.CODES, "r")
    assert bare.classes.tolist() == [2, 1], "known non-crop is none of a map's that has no background"


def test_fields_become_words() -> None:
    values = [None, float("nan"), 3.0, 2.5, "  a ", "", 7, True]
    assert [word_of(value) for value in values] == [None, None, "3", "2.5", "a", None, "7", "True"]
