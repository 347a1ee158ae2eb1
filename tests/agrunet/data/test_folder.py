"""The folder of training patches: what is written comes back, what isn't whole is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError

HEADER = FolderHeader(
    count=2,
    patch_size=4,
    bands=("B02", "B03", "B04"),
    classes=("wheat", "maize"),
    legend=[{"value": 1, "name": "wheat", "source_codes": [1110]}],
    level="L1C",
    years=(2018, 2019),
    months=(10, 7),
    synthetic=False,
    min_clear=0.5,
    min_acquisitions=1,
    baselines=("02.07",),
)


def _patch(seed: int, dtype: type[np.uint16 | np.int16] = np.uint16) -> Patch:
    rng = np.random.default_rng(seed)
    return Patch(
        rng.integers(0, 30000, (5, 3, 4, 4)).astype(dtype),
        rng.random((5, 4, 4)) < 0.5,
        np.arange(5, dtype=np.int32) * 7,
        rng.integers(-1, 2, (4, 4)).astype(np.int16),
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_what_is_written_comes_back(tmp_path: Path, dtype: type[np.uint16 | np.int16]) -> None:
    split = np.array([[0, 1, 3, 4]] * 3 + [[255] * 4], dtype=np.uint8)
    for index in range(2):
        write_patch(tmp_path, index, _patch(index, dtype), split)
    write_folder_header(tmp_path, HEADER)
    folder = PatchFolder(tmp_path)
    assert folder.header == HEADER
    assert len(folder) == 2
    for index in range(2):
        read, wanted = folder.read(index), _patch(index, dtype)
        for name in ("values", "clear", "days", "label"):
            np.testing.assert_array_equal(getattr(read, name), getattr(wanted, name), strict=True)
        np.testing.assert_array_equal(folder.split(index), split, strict=True)
        np.testing.assert_array_equal(folder.label(index), wanted.label)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npz", "000001.npz", "patches.json"]


def test_a_folder_without_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgrunetError, match=r"patches\.json can't be read"):
        PatchFolder(tmp_path)


def test_a_missing_patch_is_refused_by_number(tmp_path: Path) -> None:
    write_patch(tmp_path, 0, _patch(0), np.zeros((4, 4), dtype=np.uint8))
    write_folder_header(tmp_path, HEADER)
    with pytest.raises(AgrunetError, match="1 of 2 patches are missing, first 1"):
        PatchFolder(tmp_path)


def test_a_truncated_patch_is_refused(tmp_path: Path) -> None:
    for index in range(2):
        write_patch(tmp_path, index, _patch(index), np.zeros((4, 4), dtype=np.uint8))
    write_folder_header(tmp_path, HEADER)
    path = tmp_path / "000001.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(AgrunetError, match=r"000001\.npz can't be read"):
        PatchFolder(tmp_path).read(1)


def test_a_header_with_a_wrong_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "patches.json").write_text(HEADER.model_dump_json().replace("[10,7]", '[10,"July"]'))
    with pytest.raises(AgrunetError, match=r"months\.1"):
        PatchFolder(tmp_path)


def test_an_index_beyond_the_folder_is_refused(tmp_path: Path) -> None:
    for index in range(2):
        write_patch(tmp_path, index, _patch(index), np.zeros((4, 4), dtype=np.uint8))
    write_folder_header(tmp_path, HEADER)
    with pytest.raises(IndexError):
        PatchFolder(tmp_path).read(-1)


def test_shapes_that_do_not_fit_are_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(AgrunetError, match=r"split has shape \(3, 4\)"):
        write_patch(tmp_path, 0, _patch(0), np.zeros((3, 4), dtype=np.uint8))
    with pytest.raises(AgrunetError, match=r"split holds \[9\]"):
        write_patch(tmp_path, 0, _patch(0), np.full((4, 4), 9, dtype=np.uint8))
    patch = _patch(0)
    with pytest.raises(AgrunetError, match="no label"):
        write_patch(tmp_path, 0, Patch(patch.values, patch.clear, patch.days), np.zeros((4, 4), dtype=np.uint8))
    assert not list(tmp_path.iterdir())


def test_split_names_keep_their_numbers() -> None:
    numbers = {"train": 0, "stop": 1, "hold-out": 3, "test-fold": 4, "none": 255}
    assert numbers == SPLITS


def test_a_footprint_per_patch_or_none() -> None:
    with pytest.raises(ValidationError, match="1 patch footprints for 2 patches"):
        FolderHeader.model_validate(HEADER.model_dump() | {"patch_footprints": [{"type": "Point"}]})
