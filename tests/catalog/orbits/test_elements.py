"""Files of two-line elements: what is read, and what is refused with file and line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.errors import RequestError
from catalog.orbits.elements import Elements, read_elements

Lines = Callable[..., tuple[str, str]]


def test_the_real_files_are_read(real_elements: list[Elements]) -> None:
    assert len(real_elements) == 8
    assert {one.platform for one in real_elements} == {"S2A", "S2B", "S2C"}
    # 26274.29857647: day 274 of 2026 is October 1st; .29857647 d = 7 h 9 min 57.007 s
    assert datetime(2026, 10, 1, 7, 9, 57, 7000, tzinfo=UTC) in {
        one.epoch for one in real_elements if one.platform == "S2A"
    }


@pytest.mark.parametrize("named", [False, True])
def test_two_and_three_line_form_are_the_same(named: bool, tmp_path: Path, synthetic_lines: Lines) -> None:
    later, earlier = synthetic_lines("S2A", 1, days=10), synthetic_lines("S2B", 6)
    name = ["SENTINEL-2A             "] if named else []
    file = tmp_path / "some.tle"
    file.write_text("\r\n".join([*name, *later, "", *earlier]) + "\r\n")
    found = read_elements(file)
    assert [one.platform for one in found] == ["S2B", "S2A"]  # oldest first
    assert found[1].origin == f"{file}, line {2 if named else 1}"


def test_other_satellites_are_passed_over(tmp_path: Path, synthetic_lines: Lines) -> None:
    first, second = synthetic_lines("S2B")
    other = [_summed(line.replace("42063", "25544")) for line in (first, second)]
    file = tmp_path / "many.tle"
    file.write_text("\n".join([*other, first, second]))
    assert [one.platform for one in read_elements(file)] == ["S2B"]
    file.write_text("\n".join(other))
    with pytest.raises(RequestError, match=r"many\.tle holds no elements of Sentinel-2.*40697 \(S2A\)"):
        read_elements(file)


def _summed(line: str) -> str:
    total = sum(int(sign) if sign.isdigit() else sign == "-" for sign in line[:68])
    return line[:68] + str(total % 10)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda pair: [pair[0], pair[1].replace("98.", "97.", 1)], "line 2: the checksum is"),
        (lambda pair: [pair[0].replace(" 42063", " 42064", 1), pair[1]], "line 1: the checksum is"),
        (lambda pair: [pair[0]], "line 1: its second line is missing"),
        (lambda pair: [pair[0], pair[0], pair[1]], "line 1: its second line is missing"),
        (lambda pair: ["SENTINEL-2B", pair[1]], "line 2: a second line without its first"),
        (lambda pair: [pair[0], "SENTINEL-2B", pair[1]], "line 2: the second line of a pair should stand here"),
        (lambda pair: [pair[0][:60], pair[1]], "line 1: 60 characters where an element line has 69"),
        (
            lambda pair: [pair[0], _summed(pair[1].replace("42063", "40697"))],
            "line 1: not a pair of element lines: Object numbers",
        ),
        (lambda pair: [_summed(pair[0][:20] + "x" + pair[0][21:]), pair[1]], "line 1: not a pair of element lines"),
        (lambda _: ["<html><head><title>404 Not Found</title>"], "line 1: neither a name nor an element line"),
        (lambda _: ["\u00e9"], "no ASCII text"),
        (lambda _: [], "holds no elements of Sentinel-2"),
    ],
)
def test_a_bad_file_is_named_with_its_line(
    spoil: Callable[[tuple[str, str]], list[str]], message: str, tmp_path: Path, synthetic_lines: Lines
) -> None:
    file = tmp_path / "bad.tle"
    file.write_text("\n".join(spoil(synthetic_lines())), encoding="utf-8")
    with pytest.raises(RequestError, match=message) as caught:
        read_elements(file)
    assert "bad.tle" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no file of two-line elements .*none\.tle"):
        read_elements(tmp_path / "none.tle")
