"""The picture: a readable PNG, with or without failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agrunet.bench.plot import plot_rows
from agrunet.bench.problems import NETWORKS
from agrunet.bench.rows import Row, with_ratios
from agrunet.errors import AgrunetError

Make = Callable[..., Row]


def _rows(make_row: Make) -> list[Row]:
    return with_ratios(
        make_row(1.0 + index, network=network, precision=precision, mode=mode, talk=2.0 if index == 0 else None)
        for mode in ("inference", "inference-compiled", "training")
        for precision in ("fp32", "bf16")
        for index, network in enumerate(NETWORKS)
    )


def test_the_plot_is_a_png_of_sensible_size(make_row: Make, tmp_path: Path) -> None:
    path = tmp_path / "bench.png"
    plot_rows([*_rows(make_row), make_row(network="tsvit", config="munich", reason="out of memory")], path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == (1800, 984)  # two panels of 7.5 inches, two lines of 3.6 and one of words, at 120 dpi
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    shares = {
        tuple(colour): (pixels == colour).all(1).mean() for colour in ((0, 114, 178), (230, 159, 0), (213, 94, 0))
    }
    assert shares[0, 114, 178] > 0.01
    assert shares[230, 159, 0] > 0.01
    assert shares[213, 94, 0] > 0.0001
    assert list(tmp_path.iterdir()) == [path]


def test_failures_alone_can_be_drawn(make_row: Make, tmp_path: Path) -> None:
    plot_rows([make_row(reason="no")], tmp_path / "bench.png")
    assert (tmp_path / "bench.png").stat().st_size > 1000


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AgrunetError, match="no row"):
        plot_rows([], tmp_path / "bench.png")
