"""What a declared crop means: a class, a group of the HCAT tree, a kind of a class, or nothing that the model knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

from catalog.errors import RequestError
from catalog.legend import Legend, LegendClass
from catalog.legend_words import hcat_code
from processors.conformity.declarations import Fit, meaning_of, read_declarations
from processors.thematic.judgement import DeclaredAs, Judgement
from processors.views.declared import Declared

LEGEND = Legend(
    entries=(
        LegendClass(value=0, name="not cropland", colour="#e6e2d8", role="background", source_codes=(9,)),
        LegendClass(value=1, name="Winter wheat", colour="#e2b93b", source_codes=(1110,), hcat="3301010101"),
        LegendClass(value=2, name="winter barley", colour="#e2b93c", source_codes=(1500, 1510), hcat="3301010401"),
        LegendClass(value=3, name="mixed cereal", colour="#e2b93d", hcat="3301010000"),
        LegendClass(value=4, name="early maize", colour="#d1495b", source_codes=(1201,), hcat="3301010600"),
        LegendClass(value=5, name="late maize", colour="#d1495c", source_codes=(1202,), hcat="3301010600"),
        LegendClass(value=6, name="grassland", colour="#00aa00", source_codes=(9120,), hcat="3302000000"),
        LegendClass(value=0, name="cloud", colour="#ffffff", role="ignore", source_codes=(77,)),
    )
)


@pytest.mark.parametrize(
    ("word", "kind", "fit", "classes"),
    [
        ("3301010101", DeclaredAs.HCAT, Fit.CLASS, (1,)),
        ("33-01-01-01-01", DeclaredAs.HCAT, Fit.CLASS, (1,)),
        ("3301010101.0", DeclaredAs.HCAT, Fit.CLASS, (1,)),  # as tables write numbers with gaps
        ("1510.0", DeclaredAs.CODES, Fit.CLASS, (2,)),
        ("3301010600", DeclaredAs.HCAT, Fit.GROUP, (4, 5)),  # two classes share it
        ("3301010400", DeclaredAs.HCAT, Fit.GROUP, (2,)),  # barley: the only one that the model knows
        ("3301010000", DeclaredAs.HCAT, Fit.GROUP, (1, 2, 3, 4, 5)),  # cereals, the class of that code among them
        ("3302010000", DeclaredAs.HCAT, Fit.WITHIN, (6,)),  # a kind of grassland
        ("3301010601", DeclaredAs.HCAT, Fit.WITHIN, (4, 5)),
        ("3301010501", DeclaredAs.HCAT, Fit.UNKNOWN, ()),  # oats: other cereals are told apart, so it is none of them
        ("3303000000", DeclaredAs.HCAT, Fit.UNKNOWN, ()),
        ("1110", DeclaredAs.HCAT, Fit.UNKNOWN, ()),
        ("1510", DeclaredAs.CODES, Fit.CLASS, (2,)),
        ("9", DeclaredAs.CODES, Fit.CLASS, (0,)),
        ("77", DeclaredAs.CODES, Fit.UNKNOWN, ()),  # unknown ground is no crop
        ("winter  WHEAT", DeclaredAs.NAMES, Fit.CLASS, (1,)),
        ("wheat", DeclaredAs.NAMES, Fit.UNKNOWN, ()),
    ],
)
def test_a_word_means_classes(word: str, kind: DeclaredAs, fit: Fit, classes: tuple[int, ...]) -> None:
    meaning = meaning_of(word, LEGEND, kind)
    assert (meaning.fit, meaning.classes) == (fit, classes)


@pytest.mark.parametrize("word", ["330101010", "33010101012", "33x1010101", "", "wheat"])
def test_ten_digits_are_a_code_of_the_taxonomy(word: str) -> None:
    assert hcat_code(word) is None


@pytest.mark.parametrize("column", ["EC_hcat_c", "ec:hcat_code", "hcat:code"])
def test_columns_of_eurocrops_and_fiboa_are_found_by_themselves(column: str) -> None:
    table = declared(**{"crop:code": ["1", "2"], column: [3301010101, 3302000000]})
    found = read_declarations(table, judgement())
    assert (found.column, found.read_as) == (column, DeclaredAs.HCAT)


def declared(**columns: Any) -> Declared:
    frame = pd.DataFrame(columns)
    polygons = np.array([box(0, 0, 1, 1)] * len(frame), object)
    return Declared("fields.parquet", polygons, frame, 0, "", {name: name for name in frame.columns})


def judgement(**changed: Any) -> Judgement:
    values: dict[str, Any] = {
        "column": None, "id_column": None, "classes": DeclaredAs.ANY, "false_alarms": 0.05, "least_pixels": 8, "least_dates": 5,
        "legend": LEGEND, "model": Path("model"),
    }  # fmt: skip
    return Judgement(**{**values, **changed})


def test_the_usual_columns_are_looked_for_and_gaps_are_no_crop() -> None:
    found = read_declarations(
        declared(id=[7, 8, 9], name=["a", "b", "c"], EC_hcat_c=[3301010101.0, np.nan, 3399000000.0]), judgement()
    )
    assert (found.column, found.read_as, found.ids) == ("EC_hcat_c", DeclaredAs.HCAT, ("7", "8", "9"))
    assert found.words == ("3301010101", None, "3399000000")
    assert [meaning.fit for meaning in found.meanings] == [Fit.CLASS, Fit.EMPTY, Fit.UNKNOWN]


@pytest.mark.parametrize(
    ("words", "read_as"),
    [
        (pd.array(["1110", None, "9120"], dtype="string"), DeclaredAs.CODES),
        ([1110, 1500, 5], DeclaredAs.CODES),
        (["winter wheat", "Grassland", "rye"], DeclaredAs.NAMES),
        (["3301010101", "33-02-00-00-00", "rye"], DeclaredAs.HCAT),
    ],
)
def test_the_reading_that_knows_most_words_is_taken(words: Any, read_as: DeclaredAs) -> None:
    found = read_declarations(declared(crop=words), judgement(column="crop"))
    assert found.read_as is read_as
    assert sum(bool(meaning.classes) for meaning in found.meanings) == 2
    assert found.ids is None


def test_readings_that_differ_are_refused() -> None:
    legend = Legend(
        entries=(
            LegendClass(value=1, name="2", colour="#e2b93b", source_codes=(1,)),
            LegendClass(value=2, name="1", colour="#d1495b", source_codes=(2,)),
        )
    )
    with pytest.raises(RequestError, match=r"can be read as codes or as names.*parameters\.classes"):
        read_declarations(declared(crop=[1, 2]), judgement(column="crop", legend=legend))
    found = read_declarations(declared(crop=[1, 2]), judgement(column="crop", legend=legend, classes=DeclaredAs.NAMES))
    assert [meaning.classes for meaning in found.meanings] == [(1,), (0,)]


@pytest.mark.parametrize(
    ("columns", "changed", "said"),
    [
        ({"crop": ["secret"]}, {}, r"parameters\.column: .* none of the usual columns .*: crop"),
        ({"crop": ["secret"]}, {"column": "kultur"}, r"parameters\.column: .* no column 'kultur'. It has crop"),
        ({"crop": ["1110"]}, {"column": "crop", "id_column": "nr"}, r"parameters\.id: .* no column 'nr'"),
        (
            {"crop": ["secret"]},
            {"column": "crop"},
            r"holds no class of the model as codes or names or hcat.*Winter wheat",
        ),
    ],
)
def test_what_is_wrong_is_said_without_a_word_of_a_row(
    columns: dict[str, Any], changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        read_declarations(declared(**columns), judgement(**changed))
    assert "secret" not in str(caught.value)
