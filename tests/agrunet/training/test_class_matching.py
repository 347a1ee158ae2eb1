"""Classes of new labels are matched to a model's by HCAT code, else by name; what is unknown stays so."""

from __future__ import annotations

import pytest

from agrunet.data.header import FolderHeader
from agrunet.errors import AgrunetError
from agrunet.training.class_matching import match_classes

START = {
    "background": None,
    "meadow": "3302000000",
    "soft winter wheat": "3301010101",
    "corn": "3301010600",
    "winter barley": "3301010401",
    "spring barley": "3301010402",
    "beet": "3301290700",
    "potatoes": "3301030000",
    "mixed cereal": "3301010000",
}


def labels(codes: dict[str, str | None]) -> FolderHeader:
    legend = [
        {"name": name, "role": "background" if name == "background" else "class"} | ({"hcat": code} if code else {})
        for name, code in codes.items()
    ]
    return FolderHeader(
        count=1,
        patch_size=8,
        bands=("B02",),
        classes=tuple(codes),
        legend=legend,
        level="L2A",
        years=(2019,),
        months=(1, 7),
        synthetic=False,
        min_clear=0.5,
        min_acquisitions=1,
    )


def matched(codes: dict[str, str | None], start: dict[str, str | None] = START) -> dict[str, list[str]]:
    found = match_classes(labels(codes), labels(start))
    return {name: [list(start)[number] for number in numbers] for name, numbers in zip(codes, found, strict=True)}


def test_codes_find_the_same_class_its_sorts_and_else_the_narrowest_group() -> None:
    assert matched(
        {
            "Maïs": "33-01-01-06-00",
            "Gerst": "3301010400",
            "Haver": "3301010500",
            "Gras": "3302010000",
            "Kas": "3305000000",
        }
    ) == {
        "Maïs": ["corn"],
        "Gerst": ["winter barley", "spring barley"],
        "Haver": ["mixed cereal"],
        "Gras": ["meadow"],
        "Kas": [],
    }


def test_names_do_where_there_are_no_codes() -> None:
    assert matched(
        dict.fromkeys(["Winter wheat", "Maize", "Barley", "Potato", "Sugar beet", "Grassland", "other"])
    ) == {
        "Winter wheat": ["soft winter wheat"],
        "Maize": ["corn"],
        "Barley": ["winter barley", "spring barley"],
        "Potato": ["potatoes"],
        "Sugar beet": ["beet"],
        "Grassland": ["meadow"],
        "other": [],
    }


def test_background_is_background_and_nothing_else_is() -> None:
    assert matched({"background": None, "corn": None}) == {"background": ["background"], "corn": ["corn"]}
    assert matched({"background": None, "corn": None}, {"corn": None, "beet": None})["background"] == []


def test_a_code_that_differs_is_not_overruled_by_a_name() -> None:
    assert matched({"corn": "3301090300", "beet": None})["corn"] == []


def test_what_is_given_is_taken() -> None:
    new, start = labels(dict.fromkeys(["a", "b"])), labels(START)
    assert match_classes(new, start, {"a": ("corn", "beet")}) == ((3, 6), ())
    with pytest.raises(AgrunetError, match="no class 'maize' of the start"):
        match_classes(new, start, {"a": ("maize",)})
    with pytest.raises(AgrunetError, match="no class 'c' of the labels"):
        match_classes(new, start, {"c": ("corn",)})


def test_a_start_that_knows_nothing_is_refused() -> None:
    with pytest.raises(AgrunetError, match="the start knows none of the classes cotton, rice"):
        matched(dict.fromkeys(["cotton", "rice"]))
