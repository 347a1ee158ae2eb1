"""The hull of a training rests on what was learnt from, its limits on what was not; it lies in the checkpoint, or is fitted later."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agrunet.__main__ import main
from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.hull import HULL, PixelSeries, Place, load_hull
from agrunet.training.hull_pixels import training_hull
from agrunet.training.settings import TrainingConfig
from agrunet.training.train import train

TINY = TrainingConfig(filters=(4, 8), hidden=4, steps=1, passes=0, crop=16, device="cpu")


@pytest.fixture(scope="module")
def model(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hull") / "model"
    train(toy_folder, folder, TINY)
    return folder


def test_a_checkpoint_knows_what_it_learnt_from(toy_folder: Path, model: Path) -> None:
    hull, source = load_hull(model), PatchFolder(toy_folder)
    assert hull is not None
    assert hull == training_hull(source)
    assert (hull.bands, hull.ends[-1], hull.least_dates) == (("B04", "B08"), 212, 2)
    assert 900 < hull.learnt <= 4 * 256
    assert 300 < hull.unseen <= 2 * 256
    patch = source.read(5)
    assert (hull.places(PixelSeries.of(patch, np.arange(256))) == Place.INSIDE).mean() > 0.9
    other = Patch(patch.values[::-1] // 2, patch.clear[::-1], patch.days)
    assert (hull.places(PixelSeries.of(other, np.arange(256))) == Place.OUTSIDE).mean() > 0.9


def test_where_all_is_learnt_from_limits_rest_on_parts_of_it(tmp_path: Path, make_toy: Callable[..., Path]) -> None:
    hull = training_hull(PatchFolder(make_toy(tmp_path / "toy", lambda _: "train")))
    assert hull is not None
    assert 0 < hull.unseen < hull.learnt
    assert 0 < hull.limits[-1][0] <= hull.limits[-1][1] < 1


def test_too_little_gives_no_hull(tmp_path: Path, make_toy: Callable[..., Path]) -> None:
    folder = make_toy(tmp_path / "toy", lambda _: "none")
    assert training_hull(PatchFolder(folder)) is None


def test_a_hull_that_was_changed_is_refused(model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(model, tmp_path / "copy")
    (copy / HULL).write_text((copy / HULL).read_text().replace("0.", "1.", 1))
    with pytest.raises(AgrunetError, match=r"hull\.json is not the file that was written"):
        load_hull(copy)


def test_the_command_gives_a_checkpoint_of_before_a_hull_and_leaves_the_rest(
    toy_folder: Path, model: Path, tmp_path: Path
) -> None:
    older = shutil.copytree(model, tmp_path / "older")
    (older / HULL).unlink()
    item = json.loads((older / "item.json").read_text())
    del item["assets"]["hull"]
    (older / "item.json").write_text(json.dumps(item, indent=1) + "\n")
    assert load_hull(older) is None
    before = {path.name: path.read_bytes() for path in older.iterdir() if path.name != "item.json"}
    assert main(["hull", "--data", str(toy_folder), "--model", str(older)]) == 0
    assert load_hull(older) == load_hull(model)
    load_checkpoint(older)
    after = {path.name: path.read_bytes() for path in older.iterdir()}
    assert {name: after[name] for name in before} == before
    assert json.loads(after["item.json"]) == json.loads((model / "item.json").read_text())


def test_data_of_other_bands_are_refused(
    toy_folder: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = shutil.copytree(toy_folder, tmp_path / "other")
    for path in other.glob("*.json"):
        path.write_text(path.read_text().replace("B04", "B03"))
    assert main(["hull", "--data", str(other), "--model", str(model)]) == 1
    assert "its bands are ('B03', 'B08')" in caplog.text
    assert np.array_equal(load_hull(model).bands, ("B04", "B08"))
