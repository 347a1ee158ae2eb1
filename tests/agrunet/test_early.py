"""The curve of accuracy over a season is a picture that can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from agrunet.early import EarlyCurve, EarlyScore, draw_early

POINTS = tuple(
    EarlyScore(month=month, oa=oa, miou=oa - 0.2, n_pixels=100 * number, n_unmapped=500 - 100 * number)
    for number, (month, oa) in enumerate([(12, 0.4), (1, 0.55), (2, 0.7), (3, 0.9)], start=2)
)


def test_the_curve_is_a_picture(tmp_path: Path) -> None:
    draw_early(EarlyCurve(split="hold-out", points=POINTS), tmp_path / "early.png", synthetic=True)
    with Image.open(tmp_path / "early.png") as picture:
        assert picture.width > 400
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20
