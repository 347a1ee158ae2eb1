"""Arrays read and written by whoever asks: the values and the bytes are Zarr's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec

from processors.cube.codecs import DAMAGE, plain_codecs
from processors.cube.direct_array import DirectArray

KINDS: dict[str, dict[str, Any]] = {
    "text": {"shape": (7,), "chunks": (1,), "dtype": str, "fill_value": ""},
    "share": {"shape": (7,), "chunks": (1,), "dtype": "float32", "fill_value": float("nan")},
    "flag": {"shape": (7,), "chunks": (1,), "dtype": "uint8", "fill_value": 0},
    "bands": {"shape": (7, 12), "chunks": (1, 12), "dtype": "uint8", "fill_value": 0},
    "axis": {"shape": (7,), "chunks": (4,), "dtype": "int64", "fill_value": 0},
}


def both(folder: Path, kind: str) -> tuple[zarr.Array[Any], DirectArray]:
    """Two arrays of a kind, one of Zarr's and one of ours."""
    with plain_codecs():
        made = [
            zarr.create_array(folder / name / kind, compressors=(Crc32cCodec(),), zarr_format=3, **KINDS[kind])
            for name in ("zarr", "ours")
        ]
        return made[0], DirectArray(made[1].async_array)


def files(array: zarr.Array[Any]) -> dict[str, bytes]:
    folder = Path(str(array.store_path).removeprefix("file://"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def values_of(kind: str) -> st.SearchStrategy[Any]:
    if kind == "text":  # a text of a zero alone, which no product is called, comes back empty from Zarr itself
        return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
    if kind == "share":
        return st.floats(width=32)
    if kind == "bands":
        return st.lists(st.integers(0, 1), min_size=12, max_size=12)
    return st.integers(0, 200)


@pytest.mark.parametrize("kind", list(KINDS))
@given(data=st.data())
def test_values_and_bytes_are_those_of_zarr(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    theirs, ours = both(tmp_path_factory.mktemp("arrays"), kind)
    for _ in range(4):
        index, value = data.draw(st.integers(0, 6)), np.array([data.draw(values_of(kind))], theirs.dtype)
        theirs[index : index + 1] = value
        ours[index : index + 1] = value
    assert files(ours) == files(theirs)
    for selection in (slice(None), slice(2, 5), slice(5, 2), slice(None, None, 2), slice(-3, 99)):
        np.testing.assert_array_equal(ours[selection], theirs[selection])
        assert ours[selection].dtype == np.asarray(theirs[selection]).dtype
    for index in (0, 3, -1, np.int64(2)):
        np.testing.assert_array_equal(ours[index], theirs[index])
    np.testing.assert_array_equal(ours[[1, 4]], theirs[[1, 4]])
    with pytest.raises(IndexError):
        ours[7]


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("how", ["cut", "flipped", "emptied", "made long"])
def test_damage_is_an_error(tmp_path: Path, kind: str, how: str) -> None:
    _, ours = both(tmp_path, kind)
    ours[3:4] = np.array([[1] * 12] if kind == "bands" else ["word" if kind == "text" else 1], ours.dtype)
    (file,) = (path for path in (tmp_path / "ours" / kind).rglob("*") if path.is_file() and path.name != "zarr.json")
    whole = file.read_bytes()
    changed = {
        "cut": whole[:-3], "flipped": bytes([whole[0] ^ 1]) + whole[1:], "emptied": b"", "made long": whole + b"12345678",
    }  # fmt: skip
    file.write_bytes(changed[how])
    with pytest.raises(DAMAGE):
        ours[3]
    with pytest.raises(DAMAGE):
        ours[:]


def test_a_write_that_fails_leaves_the_old_value_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ours = both(tmp_path, "text")
    ours[2:3] = np.array(["old"], ours.dtype)

    def refuse(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        ours[2:3] = np.array(["new"], ours.dtype)
    assert str(ours[2]) == "old"
    assert not list(tmp_path.rglob("*.partial"))


def test_a_chunk_is_made_in_the_folder_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ours = both(tmp_path, "text")
    aside = tmp_path / "aside"
    aside.mkdir()
    seen = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(self.parent)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    ours.put(1, "word", aside)
    assert str(ours[1]) == "word"
    assert seen == [aside]
    assert not list(aside.iterdir())
