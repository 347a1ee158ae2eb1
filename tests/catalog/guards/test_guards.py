"""Each guard refuses what it lists in words of one line, takes what is good as it is, and lets other errors be."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from catalog.errors import RequestError, StoreError
from catalog.guards.addresses import join_address, split_address
from catalog.guards.csv_text import read_rows
from catalog.guards.environment import variable
from catalog.guards.geometry import parse_shape
from catalog.guards.json_text import check_value, parse_json, parse_object
from catalog.guards.numbers import Azimuth, Name, Percent, ProductTime, RelativeOrbit, Zenith, finite, utc_time
from catalog.guards.paths import user_path
from catalog.guards.xml_text import parse_xml
from catalog.guards.zips import zip_errors
from catalog.quoting import LONGEST_LINE, presentable, shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "is not JSON: maximum recursion depth"),
        ("[" * 500 + "]" * 500, "is not JSON: it is nested deeper than 100"),
        ('{"a": NaN}', "is not JSON: NaN is no JSON number"),
        ("[1e400]", r"is not JSON: the number '1e400' is not finite"),
        ("[" + "9" * 5000 + "]", r"is not JSON: the number '9+\.\.\.9+' is too large"),
        ('"\\ud800"', r"is not JSON: the text '\\ud800' holds half of a surrogate pair"),
        ('{"\\u0000": 1}', r"is not JSON: the text '\\x00' holds a null character"),
        (b"\xff\xfe\x00", "is not JSON: it is no UTF-8 text"),
        ("", "is not JSON: Expecting value"),
        ("[]", "holds a JSON list, not an object"),
        ('"a"', "holds a JSON string, not an object"),
        ("null", "holds a JSON null, not an object"),
        ("true", "holds a JSON boolean, not an object"),
        ("1.5", "holds a JSON number, not an object"),
        ('{"year": 1, "year": 2}', "is not JSON: the key 'year' stands twice in one object"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_json_that_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(RequestError, match=f"^{why}") as refused:
        parse_object(text, RequestError, unique=True)
    assert len(str(refused.value)) < 300


def test_json_that_is_good_is_taken_as_it_is() -> None:
    good = '\ufeff{"é\\n": [1, -2.5, true, null, {"a": 1}], "pair": "\\ud83c\\udf3e", "twice": 1, "twice": 2}'
    assert parse_json(good.encode(), RequestError) == {"é\n": [1, -2.5, True, None, {"a": 1}], "pair": "🌾", "twice": 2}


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": 10**400}, {"a\0": 1}, ["\ud800"]])
def test_values_that_a_server_parsed_are_judged_too(value: Any) -> None:
    with pytest.raises(RequestError):
        check_value(value, RequestError)


@pytest.mark.parametrize(
    "text", ["", " ", "a\0b", "\ud800", "~nobodyhere/x", "x" * 5000, "a/" * 3000, "/proc/self/" + "y" * 256]
)
def test_paths_that_are_none(text: str) -> None:
    with pytest.raises(StoreError):
        user_path(text, StoreError)


def test_a_path_starts_from_its_base_or_from_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("a/../é b", RequestError, base=tmp_path / "c") == tmp_path / "c" / "é b"
    assert user_path("~/x", RequestError) == tmp_path / "x"
    assert user_path("/x", RequestError, base=tmp_path) == Path("/x")


def test_links_in_a_circle_are_no_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(RequestError):
        user_path(tmp_path / "a" / "b", RequestError)


@pytest.mark.parametrize(
    "address", ["http://[::1", "http://h:99999/", "http://h:x/", "http://a b/", "http://\ud800/", "http://\0"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(RequestError, match="is no address"):
        split_address(address, RequestError)


def test_links_that_lead_nowhere() -> None:
    with pytest.raises(RequestError):
        join_address("http://host/a/", "//[::1", RequestError)
    assert join_address("http://host/a/", "../b", RequestError) == "http://host/b"


@pytest.mark.parametrize(
    "text", ["a,b\n1\n", "a\n1\n", 'a,b\n"' + "x" * 140_000 + '",1\n', "a,b\nx\0,1\n", "a,b\n" + "1" * 2000 + ",1\n"]
)
def test_tables_that_are_refused(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        list(read_rows(text, ("a", "b"), RequestError))
    assert len(str(refused.value)) < 200


def test_columns_of_one_name_are_refused() -> None:
    with pytest.raises(RequestError, match="names 'a' twice"):
        list(read_rows("a,b,a\n1,2,3\n", ("b",), RequestError))


def test_a_table_gives_lines_and_fields() -> None:
    assert list(read_rows("a,b,c\n1,2\n3,4,5,6\n", ("a", "b"), RequestError)) == [
        (2, {"a": "1", "b": "2"}),
        (3, {"a": "3", "b": "4", "c": "5"}),
    ]


@pytest.mark.parametrize(
    "text",
    [b"<a><!", b"<a/", b'<?xml version="1.0" encoding="klingon"?><a/>', b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"],
)
def test_documents_that_are_refused(text: bytes) -> None:
    with pytest.raises(RequestError):
        parse_xml(text, RequestError)


@pytest.mark.parametrize(
    "value",
    [
        *(None, "Polygon", {}, {"type": ["Polygon"]}, {"type": "LinearRing", "coordinates": [[0, 0]] * 4}),
        *(
            {"type": "Polygon"},
            {"type": "Polygon", "coordinates": [[[1]]]},
            {"type": "Polygon", "coordinates": [[["a", 1]]]},
        ),
        {"type": "Polygon", "coordinates": [[[0, 0], [1e300, 0], [1, 1], [0, 0]]]},
        {"type": "Point", "coordinates": [float("nan"), 0]},
        {"type": "GeometryCollection", "geometries": [None]},
        {"type": "Polygon", "coordinates": []},
        {"type": "GeometryCollection", "geometries": []},
    ],
)
def test_geometries_that_are_none(value: Any) -> None:
    with pytest.raises(RequestError):
        parse_shape(value, RequestError)


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        (Percent, (0, 100), (-5, 100.1, float("-inf"), float("nan"))),
        (Zenith, (0, 180), (-500, 180.5, float("inf"), float("nan"))),
        (Azimuth, (0, -90, 360), (361, -361, float("nan"))),
        (RelativeOrbit, ("R001", "R143", "unknown"), ("R000", "R144")),
        (Name, ("maize", "Weizen (Winter) é"), ("", "a\0", "a\x1b[31m", "x" * 201)),
        (ProductTime, ("2015-06-23T00:00:00Z",), ("1999-01-01T00:00:00Z", "9999-12-31T00:00:00Z")),
    ],
    ids=["percent", "zenith", "azimuth", "orbit", "name", "time"],
)
def test_physical_ranges_are_declared(declared: Any, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    adapter = TypeAdapter(declared)
    for value in good:
        adapter.validate_python(value)
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def test_numbers_and_times_of_others_are_numbers_and_times_or_nothing() -> None:
    assert [finite(value) for value in ("1.5", 2, "nan", "inf", 10**400, True, None, [], "x")] == [
        1.5,
        2.0,
        *[None] * 7,
    ]
    assert utc_time("0001-01-01T00:00:00+14:00") is None
    assert utc_time("9999-12-31T23:59:59-14:00") is None
    assert str(utc_time("2019-04-01T10:00:00+02:00")) == "2019-04-01 08:00:00+00:00"


def test_what_a_disk_raises_beside_a_damaged_archive_stays() -> None:
    with pytest.raises(RequestError), zip_errors(RequestError):
        raise OSError(errno.EINVAL, "Invalid argument")
    with pytest.raises(OSError, match="full"), zip_errors(RequestError):
        raise OSError(errno.ENOSPC, "full")


def test_a_variable_that_is_no_text_is_refused_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPLINE_X", "secret\udcff")
    with pytest.raises(RequestError, match=r"^CROPLINE_X: no text") as refused:
        variable("CROPLINE_X")
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("CROPLINE_X", "")
    assert variable("CROPLINE_X") is None


def test_a_message_is_printable_and_no_line_is_long() -> None:
    error = RequestError("label\0 \ud800 \x1b[31m " + "x" * 10_000 + "\nCorrect it. é 🌾")
    first, second = str(error).split("\n")
    assert first.startswith(r"label\x00 \ud800 \x1b[31m xxx")
    assert len(first) == LONGEST_LINE
    assert second == "Correct it. é 🌾"
    assert presentable(str(error)) == str(error)


def test_a_value_is_quoted_short_however_large_it_is() -> None:
    for value in ("x" * 10_000, list(range(100_000)), {"a": ["b"] * 9999}, 10**10_000, float("nan"), {"x" * 999: 1}):
        assert len(shown(value)) <= 80
    assert shown("a\nb") == r"'a\nb'"
