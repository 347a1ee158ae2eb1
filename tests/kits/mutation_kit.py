"""Damage done to good input, from a seed: what users, archives and attackers send, in the classes that were seen."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from copy import deepcopy
from typing import Any

LONG = 5_000
DEEP = 100_000

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 255, 256, 65_536, 2**31, -(2**63), 10**20, 10**59, 10**110, 10**400, -500, -5),
    *(0.5, 1e-320, 1e300, float("nan"), float("inf"), float("-inf"), -1e300, 179.9999, 360.5, -180.5, 91),
    *("", " ", "\0", "a\0b", "\ud800", "x\udcffy", "x" * LONG, "é" * LONG, "\u202e\x1b[31m", "=1+1", "-1", "1e400", "nan", "NaN", "-inf"),
    *("~nobodyhere/x", "..", "../../../etc/passwd", "/dev/null", "/proc/self/mem", ".", "/", "a/" * 2500, "file://localhost/x"),
    *("stac:http://[::1", "http://[::1", "s3://", "s3://[", "/vsicurl/http://127.0.0.1:1/x", "http://u:p@h:99999/x", "safe:\0"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2019-02-30", "10000-01-01", "R999", "N9999", "05.99", "L9Z"),
    *([], {}, [[]], [1], [None], [[[]]], {"type": "Point"}, {"": ""}, {"\ud800": 1}, ["x"] * 300, [1e308] * 4, [0, 0, 0, 0]),
    {"type": "LinearRing", "coordinates": [[0, 0], [1, 1]]},
    {"type": "GeometryCollection", "geometries": []},
    {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]}]},
    {"type": "Polygon", "coordinates": [[[4, 50], [5, 50], [5, 51]]]},
    {"type": "Polygon", "coordinates": [[[4, 50], [1e300, 50], [5, 1e300], [4, 50]]]},
    {"type": "MultiPolygon", "coordinates": [[[4, 50], [5, 50], [5, 51], [4, 50]]]},
)  # fmt: skip


def mutated_json(value: Any, rng: random.Random) -> bytes:
    """The text of a JSON value, of which some part is replaced, removed, doubled or damaged."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        value = _changed(value, rng)
    text = _text(value, rng)
    how = rng.random()
    if how < 0.25:
        return mutated_bytes(text.encode("utf-8", "surrogatepass"), rng)
    if how < 0.35:
        text = _damaged_text(text, rng)
    return text.encode("utf-8", "surrogatepass")


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Bytes of which some are flipped, cut off, left out, doubled or put in."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if not data:
            return bytes(data)
        at, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 16, 200))
        match rng.randrange(7):
            case 0 | 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                data[at : at + length] = rng.randbytes(length)
            case 6:
                number = rng.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
                data[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
    return bytes(data)


def mutated_xml(content: bytes, rng: random.Random) -> bytes:
    """A document whose texts are replaced, with entities in it, nested too deeply, or damaged."""
    text = content.decode()
    match rng.randrange(8):
        case 0:
            return mutated_bytes(content, rng)
        case 1:
            bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
            return re.sub(r"(<\?xml[^>]*\?>)?", rf"\g<0>{bomb}", text, count=1).encode()
        case 2:
            at = text.rindex("</")
            return (text[:at] + "<a>" * DEEP + "</a>" * DEEP + text[at:]).encode()
        case 3:
            return text.replace("UTF-8", rng.choice(("UTF-16", "klingon", "ascii", "latin-1")), 1).encode()
        case _:
            places = [match.span(1) for match in re.finditer(r">([^<>]+)</", text)]
            places += [match.span(1) for match in re.finditer(r'="([^"<>]*)"', text)]
            for _ in range(rng.choice((1, 1, 2, 5))):
                start, end = rng.choice(places)
                word = _word(rng)
                text = text[:start] + word + text[end:] if end <= len(text) else text
            return text.encode("utf-8", "surrogatepass")


def mutated_table(content: bytes, rng: random.Random) -> bytes:
    """A CSV table whose fields and rows are replaced, cut or doubled, or whose bytes are damaged."""
    if rng.random() < 0.3:
        return mutated_bytes(content, rng)
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows)
        match rng.randrange(5):
            case 0:
                del row[rng.randrange(1, len(row) + 1) :]
            case 1:
                row.append("more")
            case 2:
                rows.append(list(row))
            case _:
                row[rng.randrange(len(row))] = rng.choice(
                    ("1" * 200_000, '"' + "x" * 140_000, _word(rng), _word(rng), _word(rng))
                )
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")


def mutated_text(text: str, rng: random.Random) -> str:
    """A word such as an address or a setting, with something put into it or in its place."""
    at = rng.randrange(len(text) + 1)
    match rng.randrange(4):
        case 0:
            return _word(rng)
        case 1:
            return text[:at]
        case 2:
            return text[:at] + _word(rng)
        case _:
            return text[:at] + _word(rng) + text[at:]


def _word(rng: random.Random) -> str:
    value = rng.choice(HOSTILE)
    return value if isinstance(value, str) else str(rng.choice((value, "9" * 5000))) if not _huge(value) else "9" * 400


def _huge(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() > 4000


def _changed(value: Any, rng: random.Random) -> Any:
    """A copy of a value of which one part is another one."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.15:
        return deepcopy(rng.choice(HOSTILE))
    key: Any = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    how = rng.random()
    if how < 0.08:
        del value[key]
    elif how < 0.12 and isinstance(value, dict):
        value[rng.choice(("", "\ud800", "\0", "x" * LONG, "type", "cloud", "href"))] = value.pop(key)
    elif how < 0.16 and isinstance(value, list):
        value.insert(key, value[key])
    else:
        value[key] = _changed(value[key], rng)
    return value


def _text(value: Any, rng: random.Random) -> str:
    return json.dumps(value, ensure_ascii=rng.random() < 0.5)


def _damaged_text(text: str, rng: random.Random) -> str:
    numbers = [match.span() for match in re.finditer(r"-?\d+(\.\d+)?", text)]
    strings = [match.span() for match in re.finditer(r'"[^"]*"', text)]
    start, end = rng.choice((numbers or strings or [(0, 0)]) if rng.random() < 0.7 else (strings or [(0, 0)]))
    put: Callable[[], str] = rng.choice(
        (
            lambda: "[" * DEEP + "]" * DEEP,
            lambda: "[" * DEEP,
            lambda: '{"a":' * DEEP,
            lambda: "[" * 500 + "]" * 500,
            lambda: "9" * 6000,
            lambda: "1e999999999",
            lambda: "-Infinity",
            lambda: "NaN",
            lambda: '"\\ud800"',
            lambda: '"\\u0000"',
            lambda: text[start:end] + ", " + text[start:end],
        )
    )
    text = text[:start] + put() + text[end:]
    if rng.random() < 0.2 and text.startswith("{") and (first := re.match(r'\{("[^"]*": )', text)):
        text = "{" + first[1] + "1, " + text[1:]  # the key stands twice
    return text
