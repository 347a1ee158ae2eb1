"""The choice among kinds: by fields that took no part in it, and told with what each kind reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from field_kit import with_fields
from torch import Tensor, nn

from agrunet.checkpoint.config import CheckpointConfig, describe
from agrunet.data.folder import PatchFolder
from agrunet.data.header import SPLITS
from agrunet.data.inputs import Normalisation
from agrunet.data.patches import LabelledSource
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.training.choice import choose_by_fields, choose_by_patches
from agrunet.training.distributed import Ranks

ALONE = Ranks(0, 1, torch.device("cpu"))


class Rule(nn.Module):
    """Tells the toy's two profiles apart by which of two dates is brighter, but for clouds; or names the first class, and is sure."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def for_inference(self) -> Rule:
        return self

    def forward(self, values: Tensor, *_: Tensor) -> Tensor:
        early = (values[:, 1, 0] - values[:, 4, 0]) * self.sign
        early = early if self.sign else torch.full_like(early, 8)
        return torch.stack([early, -early], dim=1)


RIGHT, WRONG, FIRST = 8.0, -8.0, 0.0
CLOUDS = 0.05


def learnt_patches(view: LabelledSource) -> tuple[int, ...]:
    return tuple(index for index in range(len(view)) if (view.split(index) == SPLITS["train"]).any())


def fit(sign: Callable[[LabelledSource], float]) -> Callable[[LabelledSource], tuple[Rule, CheckpointConfig]]:
    def fitted(view: LabelledSource) -> tuple[Rule, CheckpointConfig]:
        shape = AgrUNetConfig(bands=2, classes=2, filters=(4, 8), hidden=4)
        normalisation = Normalisation(mean=(900.0, 1100.0), std=(400.0, 400.0))
        return Rule(sign(view)), describe(view.header, shape, normalisation, "interpolate", {})

    return fitted


@pytest.fixture
def source(tmp_path: Path, make_toy: Callable[..., Path]) -> PatchFolder:
    """Six patches in three folds: 0 and 3, 1 and 4, 2 and 5."""
    return PatchFolder(with_fields(tmp_path / "patches", make_toy, "grouped k-fold"))


def test_what_is_told_of_a_choice_is_what_choosers_that_knew_less_would_have_reached(source: PatchFolder) -> None:
    """A kind that is good with two folds and bad with one would never have been chosen without looking at what scores it."""
    kinds = {
        "steady": fit(lambda _: FIRST),
        "late": fit(lambda view: RIGHT if len(learnt_patches(view)) == 4 else WRONG),
    }
    choice = choose_by_fields(source, kinds, ALONE)  # type: ignore[arg-type]
    assert choice.kind == "late", "of the networks that learnt as much as the model will, it is the best"
    assert [(entry.kind, entry.chosen, entry.of) for entry in choice.kinds] == [("steady", 3, 3), ("late", 0, 3)]
    steady, late = choice.kinds
    assert (steady.oa, late.oa) == (pytest.approx(0.5), pytest.approx(1.0, abs=CLOUDS))
    assert choice.estimate is not None
    matrix = choice.estimate.tally.confusion["hold-out"]
    assert np.trace(matrix) / matrix.sum() == pytest.approx(0.5), "the choices that fold by fold knew less are told"


def test_no_model_learns_from_the_fold_that_its_choice_concerns(source: PatchFolder) -> None:
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def sign(view: LabelledSource) -> float:
        held = tuple(index for index in range(6) if (view.split(index) == SPLITS["hold-out"]).any())
        seen.append((learnt_patches(view), held))
        return RIGHT

    choice = choose_by_fields(source, {"a": fit(sign), "b": fit(sign)}, ALONE)  # type: ignore[arg-type]
    assert choice.kind == "a", "of equals the one that is preferred"
    pairs, outer = seen[:6:2], seen[6::2]
    assert pairs == [((2, 5), (0, 3)), ((1, 4), (0, 3)), ((0, 3), (1, 4))]
    assert outer == [((1, 2, 4, 5), (0, 3)), ((0, 2, 3, 5), (1, 4)), ((0, 1, 3, 4), (2, 5))]


def test_one_kind_alone_is_estimated_without_any_choice(source: PatchFolder) -> None:
    fits = 0

    def sign(_: LabelledSource) -> float:
        nonlocal fits
        fits += 1
        return RIGHT

    choice = choose_by_fields(source, {"a": fit(sign)}, ALONE)  # type: ignore[arg-type]
    assert (choice.kind, fits, choice.kinds[0].chosen) == ("a", 3, 3)


def test_confidence_is_counted_at_the_temperature_of_the_other_folds(source: PatchFolder) -> None:
    """Quite sure and right half of the time in every fold: at the temperature that the other folds ask for it says about 0.5."""
    choice = choose_by_fields(source, {"a": fit(lambda _: FIRST)}, ALONE)  # type: ignore[arg-type]
    assert choice.estimate is not None
    assert choice.estimate.temperature > 5
    pixels, confidence, _ = choice.estimate.tally.reliability["hold-out"]
    assert pixels.sum() == 6 * 256
    assert confidence.sum() / pixels.sum() == pytest.approx(0.69, abs=0.01), "logits 8 and -8 at 20, the highest"


def test_on_held_out_ground_the_patches_to_learn_from_choose(tmp_path: Path, make_toy: Callable[..., Path]) -> None:
    folder = PatchFolder(with_fields(tmp_path / "p", make_toy, "hold-out"))
    scored: set[int] = set()

    def sign(view: LabelledSource) -> float:
        held = {index for index in range(6) if (view.split(index) == SPLITS["hold-out"]).any()}
        assert not held & set(learnt_patches(view))
        scored.update(held)
        return RIGHT

    choice = choose_by_patches(folder, {"bad": fit(lambda _: WRONG), "good": fit(sign)}, ALONE)  # type: ignore[arg-type]
    assert choice.kind == "good"
    assert scored == {0, 1, 2, 3}, "4 and 5 are what the model is scored on"
    assert [entry.oa for entry in choice.kinds] == [pytest.approx(0.0, abs=CLOUDS), pytest.approx(1.0, abs=CLOUDS)]


def test_too_few_patches_leave_it_at_the_first_kind(
    source: PatchFolder, tmp_path: Path, make_toy: Callable[..., Path]
) -> None:
    make_toy(tmp_path / "few", lambda index: "train" if index < 2 else "hold-out")
    choice = choose_by_patches(
        PatchFolder(tmp_path / "few"),
        {"a": fit(lambda _: WRONG), "b": fit(lambda _: RIGHT)},
        ALONE,  # type: ignore[arg-type]
    )
    assert (choice.kind, choice.kinds) == ("a", ())
