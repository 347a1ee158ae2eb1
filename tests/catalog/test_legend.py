"""Legends: merged codes, unknown apart from background, and every way to write one wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from catalog.errors import RequestError
from catalog.legend import Legend, LegendClass, legend_of_codes, read_legend

HEAD = "source_code,value,name,colour,role\n"
GOOD = HEAD + (
    "1110,1,winter wheat,#aa0000,class\n1500,2,barley,#00aa00,class\n1510,2,barley,#00aa00,class\n"
    "900,0,no crop,#cccccc,background\n999,0,unknown,#000000,ignore\n"
)


def written(folder: Path, text: str) -> Path:
    path = folder / "legend.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_of_one_value_are_merged(tmp_path: Path) -> None:
    legend = read_legend(written(tmp_path, GOOD))
    assert [(entry.value, entry.name, entry.source_codes) for entry in legend.classes] == [
        (1, "winter wheat", (1110,)),
        (2, "barley", (1500, 1510)),
    ]
    assert legend.background is not None
    assert [entry.name for entry in legend.mapped] == ["no crop", "winter wheat", "barley"]
    assert legend.classes[0].rgb == (170, 0, 0)


def test_unknown_is_not_mapped_and_not_background(tmp_path: Path) -> None:
    without = GOOD.replace("900,0,no crop,#cccccc,background\n", "")
    legend = read_legend(written(tmp_path, without))
    assert legend.background is None
    assert [entry.value for entry in legend.mapped] == [1, 2]


def test_a_legend_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert len(read_legend(path).classes) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source_code,value,name,colour\n1,1,a,#000000\n", "no column role"),
        ("", "no column source_code"),
        (HEAD, "at least one entry"),
        (HEAD + "x,1,a,#000000,class\n", "line 2"),
        (HEAD + "1,1,a,black,class\n", "line 2: colour"),
        (HEAD + "1,1,a,#000000,crop\n", "line 2: role"),
        (HEAD + "1,1,,#000000,class\n", "line 2: name"),
        (HEAD + "1,1,\u3000\u200b,#000000,class\n", "holds nothing that can be seen"),
        (HEAD + "1,1\n", "line 2"),
        (HEAD + "1,255,a,#000000,class\n", "line 2: value"),
        (HEAD + "1,0,a,#000000,class\n", "1 to 254"),
        (HEAD + "1,1,a,#000000,class\n1,2,b,#000000,class\n", "two entries: [1]"),
        (HEAD + "0,0,no crop,#000000,background\n", "at least one entry"),
        (
            HEAD + "1,1,Barley,#000000,class\n2,7,BARLEY ,#111111,class\n",
            "values 1 and 7 are both called 'BARLEY'; one class has one",
        ),
        (
            HEAD + "1,1,other  crops,#000000,class\n2,0,Other crops,#111111,background\n",
            "values 0 and 1 are both called",
        ),
    ],
)
def test_a_bad_legend_names_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RequestError) as refusal:
        read_legend(written(tmp_path, text))
    assert said in str(refusal.value)
    assert "legend.csv" in str(refusal.value)


def test_merged_rows_are_called_as_the_first_of_them(tmp_path: Path) -> None:
    rows = "1,1,wheat,#000000,class\n7,0,wood,#111111,background\n8,0,water,#222222,background\n"
    legend = read_legend(written(tmp_path, HEAD + rows))
    assert [(entry.name, entry.source_codes) for entry in legend.mapped] == [("wood", (7, 8)), ("wheat", (1,))]


def test_background_has_the_maps_background_value(tmp_path: Path) -> None:
    rows = "1,1,wheat,#000000,class\n2,7,no crop,#000000,background\n"
    with pytest.raises(RequestError, match=r"background \(no crop\) has the value 0, not 7"):
        read_legend(written(tmp_path, HEAD + rows))


def test_a_legend_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RequestError, match="UTF-8"):
        read_legend(path)


def test_a_missing_legend_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere\.csv"):
        read_legend(tmp_path / "nowhere.csv")


def test_codes_without_legend_are_classes_and_zero_is_unknown() -> None:
    legend = legend_of_codes([0, 9120, 1110, 1110])
    assert [(entry.value, entry.name, entry.source_codes) for entry in legend.mapped] == [
        (1, "1110", (1110,)),
        (2, "9120", (9120,)),
    ]
    assert legend.background is None
    assert len({entry.colour for entry in legend_of_codes(range(1, 21)).classes}) == 20


def test_labels_that_say_nothing_or_too_much_make_no_legend() -> None:
    with pytest.raises(RequestError, match="every pixel is 0"):
        legend_of_codes([0, 0])
    assert len(legend_of_codes(range(255)).classes) == 254
    with pytest.raises(RequestError, match="255 different codes"):
        legend_of_codes(range(1, 256))


def test_same_classes_looks_at_meaning_and_not_at_colours() -> None:
    wheat = LegendClass(value=1, name="wheat", colour="#000000", source_codes=(1, 2))
    one = Legend(entries=(wheat,))
    recoloured = wheat.model_copy(update={"colour": "#ffffff", "source_codes": (2, 1)})
    assert one.same_classes(Legend(entries=(recoloured,)))
    for update in ({"name": "maize"}, {"value": 2}, {"source_codes": (1,)}):
        assert not one.same_classes(Legend(entries=(wheat.model_copy(update=update),)))
    background = LegendClass(value=0, name="rest", colour="#000000", role="background", source_codes=(9,))
    assert not one.same_classes(Legend(entries=(wheat, background)))
    ignored = LegendClass(value=0, name="rest", colour="#000000", role="ignore", source_codes=(9,))
    assert one.same_classes(Legend(entries=(wheat, ignored)))


def test_a_legend_cannot_be_changed() -> None:
    legend = legend_of_codes([1])
    with pytest.raises(ValidationError):
        legend.entries = ()  # type: ignore[misc]
