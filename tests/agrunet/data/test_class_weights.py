"""Class weights: rare classes weigh more, absent ones nothing, unknown pixels never count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agrunet.data.class_weights import class_counts, class_weights
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError


def test_the_median_class_weighs_one() -> None:
    assert class_weights([100, 50, 400]) == (1.0, 2.0, 0.25)


def test_a_class_without_pixels_weighs_nothing_and_moves_no_median() -> None:
    assert class_weights([0, 100, 50, 400, 0]) == (0.0, 1.0, 2.0, 0.25, 0.0)


def test_one_pixel_does_not_weigh_a_million() -> None:
    assert class_weights([1_000_000, 1, 1_000_000]) == (1.0, 10.0, 1.0)
    assert class_weights([1_000_000, 1, 1_000_000], cap=50) == (1.0, 50.0, 1.0)


@pytest.mark.parametrize("counts", [[0, 0], [], [3, -1]])
def test_counts_without_a_pixel_are_refused(counts: list[int]) -> None:
    with pytest.raises(AgrunetError, match="pixels per class"):
        class_weights(counts)


def test_a_cap_below_the_median_is_refused() -> None:
    with pytest.raises(AgrunetError, match=r"cap of 0\.5"):
        class_weights([1, 2], cap=0.5)


def _folder(path: Path, label: list[list[int]], split: list[list[int]]) -> PatchFolder:
    for index in range(2):
        patch = Patch(
            np.ones((1, 1, 2, 3), dtype=np.uint16),
            np.ones((1, 2, 3), dtype=np.bool_),
            np.zeros(1, dtype=np.int32),
            np.array(label, dtype=np.int16),
        )
        write_patch(path, index, patch, np.array(split, dtype=np.uint8))
    header = FolderHeader(
        count=2,
        patch_size=3,
        bands=("B04",),
        classes=("a", "b", "c", "d"),
        level="L2A",
        years=(2019,),
        months=(1, 7),
        synthetic=True,
        min_clear=0.5,
        min_acquisitions=1,
    )
    write_folder_header(path, header)
    return PatchFolder(path)


def test_only_known_pixels_to_learn_from_count(tmp_path: Path) -> None:
    stop = SPLITS["stop"]
    source = _folder(tmp_path, [[-1, 0, 2], [2, 2, 1]], [[0, 0, 0], [0, stop, 0]])
    assert class_counts(source).tolist() == [2, 2, 4, 0]
    assert class_counts(source, indices=[1]).tolist() == [1, 1, 2, 0]


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    source = _folder(tmp_path, [[-1, 0, 4], [2, 2, 1]], [[0, 0, 0], [0, 0, 0]])
    with pytest.raises(AgrunetError, match="patch 0: label 4 with 4 classes"):
        class_counts(source)
