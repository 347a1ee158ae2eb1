"""Folds, epochs, early stopping, going on after a cut, and the summary over folds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agrunet.__main__ import main
from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.folds import FoldView, fold_roles
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.inference import predict
from agrunet.metrics import confusion_matrix, score
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.unet3d import UNet3DConfig
from agrunet.training.cross_validation import Summary, cross_validate, train_fold
from agrunet.training.distributed import Ranks
from agrunet.training.patch_batches import PatchBatches
from agrunet.training.recipe import RECIPES, Recipe, read_recipe
from agrunet.training.saved_state import Epoch, History
from agrunet.training.tuning import Space, tune

FOLDS = (1, 2, 3, 3, 2, 1)
TINY = Recipe(
    network=AgrUNetConfig(bands=2, classes=2, filters=(4,), hidden=3),
    rate=1e-2,
    batch=2,
    epochs=4,
    folds=3,
    precision="fp32",
    cloud_input="interpolate",
    device="cpu",
    readers=1,
)


@pytest.fixture(scope="module")
def folds_folder(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Path:
    """The toy's six patches in three folds."""
    folder = tmp_path_factory.mktemp("folds") / "toy"
    shutil.copytree(toy_folder, folder)
    header = PatchFolder(folder).header
    legend = [{"name": "early", "role": "background"}, {"name": "late", "role": "class"}]
    write_folder_header(folder, header.model_copy(update={"folds": FOLDS, "legend": legend}))
    return folder


@pytest.fixture(scope="module")
def done(folds_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """A whole cross-validation."""
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("cross") / "out"
    return output, cross_validate(PatchFolder(folds_folder), output, TINY)


def test_three_folds_train_one_stops_and_one_tests() -> None:
    assert fold_roles(5, 2) == {1: "train", 2: "test-fold", 3: "stop", 4: "train", 5: "train"}
    assert fold_roles(5, 5)[1] == "stop"
    with pytest.raises(AgrunetError, match="2 folds; one must train"):
        fold_roles(2, 1)
    with pytest.raises(AgrunetError, match="test fold 6 of folds 1 to 5"):
        fold_roles(5, 6)


def test_a_set_without_folds_or_without_a_role_is_refused(toy_folder: Path, folds_folder: Path) -> None:
    with pytest.raises(AgrunetError, match="belong to no folds"):
        FoldView(PatchFolder(toy_folder), fold_roles(3, 1))
    with pytest.raises(AgrunetError, match="no patch is there to stop"):
        FoldView(PatchFolder(folds_folder), {1: "train", 4: "stop"})


def test_an_epoch_shows_every_patch_once_whatever_the_processes(folds_folder: Path) -> None:
    source = FoldView(PatchFolder(folds_folder), dict.fromkeys((1, 2, 3), "train"))
    known = {source.read(index).values.tobytes(): index for index in range(6)}
    for world in (1, 2, 4):
        seen: list[int] = []
        steps = set()
        for rank in range(world):
            epochs = PatchBatches(source, range(5), 2, seed=7, group=Ranks(rank, world, torch.device("cpu")))
            batches = list(epochs.batches(1))
            steps.add(len(batches))
            for batch, label in batches:
                for values, shown in zip(batch.values.numpy(), label.numpy(), strict=True):
                    if (shown >= 0).any():  # else it only takes part
                        seen.append(known[values.astype(np.uint16).tobytes()])
        assert sorted(seen) == list(range(5))
        assert len(steps) == 1, "every process makes the same number of steps"


def test_the_order_depends_on_seed_and_epoch_alone(folds_folder: Path) -> None:
    source = PatchFolder(folds_folder)

    def order(seed: int, epoch: int) -> list[bytes]:
        batches = PatchBatches(source, range(6), 1, seed, Ranks(0, 1, torch.device("cpu"))).batches(epoch)
        return [batch.values.numpy().tobytes() for batch, _ in batches]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_each_fold_is_scored_from_one_matrix_over_its_patches(folds_folder: Path, done: tuple[Path, Summary]) -> None:
    output, summary = done
    source = PatchFolder(folds_folder)
    for fold, found in zip(summary.folds, summary.scores, strict=True):
        network, config = load_checkpoint(output / f"fold-{fold}" / "model")
        matrix = np.zeros((2, 2), dtype=np.int64)
        for index, probabilities in predict(network, config, source, np.flatnonzero(np.array(FOLDS) == fold).tolist()):
            mapped = np.where(np.isnan(probabilities[0]), -1, probabilities.argmax(0))
            matrix += confusion_matrix(source.label(index), mapped, 2)
        wanted = score(matrix, "test-fold", background=0)
        assert (found.oa, found.dice, found.dice_crops) == pytest.approx((wanted.oa, wanted.dice, wanted.dice_crops))
        assert found.n_pixels == matrix.sum()
        assert config.calibration[0].split == "test-fold"
        assert config.temperature != 1
        assert (output / f"fold-{fold}" / "model" / "reliability.png").stat().st_size > 5000
        item = json.loads((output / f"fold-{fold}" / "model" / "item.json").read_text())
        assert item["properties"]["cropline:calibration"][0]["ece"] == config.calibration[0].ece
        assert item["assets"]["reliability"]["href"] == "reliability.png"


def test_mean_and_spread_over_the_folds(done: tuple[Path, Summary]) -> None:
    output, summary = done
    values = [found.dice for found in summary.scores]
    assert summary.over_folds["dice"].mean == pytest.approx(np.mean(values))
    assert summary.over_folds["dice"].std == pytest.approx(np.std(values, ddof=1))
    assert set(summary.over_folds) == {"oa", "miou", "dice", "miou_crops", "dice_crops"}
    assert Summary.model_validate_json((output / "summary.json").read_text()) == summary


def test_the_curves_hold_every_epoch(done: tuple[Path, Summary]) -> None:
    events = EventAccumulator(str(done[0] / "fold-1" / "curves"))
    events.Reload()
    state = json.loads((done[0] / "fold-1" / "state" / "state.json").read_text())["history"]["epochs"]
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
    assert [event.value for event in events.Scalars("stop/dice")] == pytest.approx([one["dice"] for one in state])


class _CutError(Exception):
    """The power went."""


def test_a_training_that_was_cut_off_ends_with_the_same_weights(
    folds_folder: Path, done: tuple[Path, Summary], tmp_path: Path
) -> None:
    view = FoldView(PatchFolder(folds_folder), fold_roles(3, 1))

    def cut(entry: Epoch) -> None:
        if entry.epoch == 2:
            raise _CutError

    with pytest.raises(_CutError):
        train_fold(view, tmp_path / "fold", TINY, epoch_end=cut)
    assert not (tmp_path / "fold" / "model").exists()
    epochs: list[int] = []
    train_fold(view, tmp_path / "fold", TINY, epoch_end=lambda entry: epochs.append(entry.epoch))
    assert epochs == [3, 4], "whole epochs are not done again"
    weights = [folder / "model" / "weights.safetensors" for folder in (tmp_path / "fold", done[0] / "fold-1")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_recomputing_activations_changes_no_weight(
    folds_folder: Path, done: tuple[Path, Summary], tmp_path: Path
) -> None:
    view = FoldView(PatchFolder(folds_folder), fold_roles(3, 1))
    train_fold(view, tmp_path / "fold", TINY.model_copy(update={"checkpointing": True}))
    weights = [
        load_file(folder / "model" / "weights.safetensors") for folder in (tmp_path / "fold", done[0] / "fold-1")
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-6, msg=name)
    with pytest.raises(ValidationError, match="checkpointing is AgrUNet's; utae doesn't have it"):
        Recipe(network={"kind": "utae", "bands": 10, "classes": 19}, rate=1e-3, batch=1, checkpointing=True)


def test_a_rival_is_trained_and_scored_by_the_same_code(folds_folder: Path, tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"network": UNet3DConfig(bands=2, classes=2, width=4), "epochs": 1})
    config = train_fold(FoldView(PatchFolder(folds_folder), fold_roles(3, 2)), tmp_path / "fold", recipe)
    network, loaded = load_checkpoint(tmp_path / "fold" / "model")
    assert loaded == config
    assert type(network).__name__ == "UNet3D"
    item = json.loads((tmp_path / "fold" / "model" / "item.json").read_text())
    assert item["properties"]["mlm:architecture"] == "UNet-3D"


def test_what_is_done_is_kept_and_another_recipe_is_refused(
    folds_folder: Path, done: tuple[Path, Summary], tmp_path: Path
) -> None:
    output, summary = done
    before = (output / "fold-2" / "model" / "weights.safetensors").stat().st_mtime_ns
    assert cross_validate(PatchFolder(folds_folder), output, TINY) == summary
    assert (output / "fold-2" / "model" / "weights.safetensors").stat().st_mtime_ns == before
    with pytest.raises(AgrunetError, match="begun with another recipe"):
        cross_validate(PatchFolder(folds_folder), output, TINY.model_copy(update={"rate": 1e-3}))


def test_a_damaged_state_says_what_to_do(folds_folder: Path, done: tuple[Path, Summary], tmp_path: Path) -> None:
    shutil.copytree(done[0] / "fold-1" / "state", tmp_path / "fold" / "state")
    (tmp_path / "fold" / "state" / "tensors.safetensors").write_bytes(b"torn")
    view = FoldView(PatchFolder(folds_folder), fold_roles(3, 1))
    with pytest.raises(AgrunetError, match=r"can.t go on from .* Remove that folder"):
        train_fold(view, tmp_path / "fold", TINY)


def test_training_stops_when_nothing_gets_better() -> None:
    def history(*dice: float) -> History:
        return History(
            epochs=tuple(Epoch(epoch=n, loss=1, dice=d, oa=0, seconds=0) for n, d in enumerate(dice, start=1))
        )

    assert not History().ended(2, 10)
    assert not history(0.1, 0.5, 0.4).ended(2, 10)
    assert history(0.1, 0.5, 0.4, 0.5).ended(2, 10), "an equal Dice is no better one"
    assert history(0.1, 0.5, 0.4, 0.5).best.epoch == 2
    assert history(0.1, 0.5).ended(9, 2)


def test_a_class_without_pixels_in_a_fold_makes_no_nan(make_toy: Callable[..., Path], tmp_path: Path) -> None:
    """Patches of the third fold hold one class only: neither its loss, nor its scores, nor the spread break."""
    folder = make_toy(tmp_path / "toy")
    source = PatchFolder(folder)
    for index in (2, 3):
        patch = source.read(index)
        assert patch.label is not None
        write_patch(
            folder,
            index,
            Patch(patch.values, patch.clear, patch.days, np.where(patch.label == 1, 1, -1).astype(np.int16)),
            source.split(index),
        )
    write_folder_header(folder, source.header.model_copy(update={"folds": FOLDS}))
    recipe = TINY.model_copy(update={"epochs": 1, "class_weights": True})
    summary = cross_validate(PatchFolder(folder), tmp_path / "out", recipe, folds=[2, 3])
    assert len(summary.scores[1].per_class) == 1
    assert all(np.isfinite([spread.mean, spread.std]).all() for spread in summary.over_folds.values())


def test_a_recipe_that_does_not_fit_the_set_is_refused(folds_folder: Path, tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"network": AgrUNetConfig(bands=10, classes=19)})
    with pytest.raises(AgrunetError, match="2 input channels and 2 classes, the recipe's network 10 and 19"):
        cross_validate(PatchFolder(folds_folder), tmp_path / "out", recipe)


def test_the_recipes_are_the_talks() -> None:
    pastis, munich = RECIPES["orthopastis"], RECIPES["munich"]
    assert (pastis.rate, pastis.batch, munich.rate, munich.batch) == (9e-4, 4, 1.1e-3, 32)
    assert {(one.epochs, one.patience) for one in (pastis, munich)} == {(100, 20)}
    shapes = [(one.network.bands, one.network.classes, one.network.filters) for one in (pastis, munich)]
    assert shapes == [(10, 19, (64, 128)), (7, 18, (64, 128, 256))]


def test_a_recipe_is_changed_by_name() -> None:
    changed = read_recipe("orthopastis", ["rate=1e-3", "months=[1, 7]", "network.kind=utae", "precision=fp32"])
    assert (changed.rate, changed.months, changed.precision) == (1e-3, (1, 7), "fp32")
    assert (changed.network.kind, changed.network.bands, changed.network.classes) == ("utae", 10, 19)
    with pytest.raises(AgrunetError, match="give NAME=VALUE"):
        read_recipe("munich", ["rate"])
    with pytest.raises(AgrunetError, match=r"recipe munich: rate"):
        read_recipe("munich", ["rate=-1"])
    with pytest.raises(AgrunetError, match="Give one of munich, orthopastis"):
        read_recipe("nowhere")


def test_the_search_looks_at_no_test_fold_and_goes_on(folds_folder: Path, tmp_path: Path) -> None:
    class Watched(PatchFolder):
        def read(self, index: int):  # type: ignore[no-untyped-def]
            assert FOLDS[index] != 1, "a patch of the test fold was read"
            return super().read(index)

    recipe = TINY.model_copy(update={"epochs": 2})
    space = Space(rate=(1e-3, 1e-1), batch=(1, 2))
    told: list[int] = []
    first = tune(Watched(folds_folder), tmp_path, recipe, trials=2, space=space, progress=lambda n, _: told.append(n))
    found = tune(Watched(folds_folder), tmp_path, recipe, trials=4, space=space, progress=lambda n, _: told.append(n))
    assert told == [0, 1, 2, 3]
    assert Recipe.model_validate_json((tmp_path / "best.json").read_text()) == found
    assert 1e-3 <= first.rate <= 1e-1
    assert not list(tmp_path.glob("trial-*")), "what remains of a trial is its line in the study"


def test_the_command_says_the_scores_or_what_is_wrong(
    folds_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "recipe.json").write_text(TINY.model_copy(update={"epochs": 1}).model_dump_json())
    words = ["cross-validate", "--data", str(folds_folder), "--output", str(tmp_path / "out")]
    caplog.set_level("INFO")
    assert main([*words, "--recipe", str(tmp_path / "recipe.json"), "--folds", "2"]) == 0
    assert "   2  " in caplog.text
    assert main([*words, "--recipe", "munich"]) == 1
    assert "begun with another recipe" in caplog.text
