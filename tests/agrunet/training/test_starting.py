"""A training that starts from a checkpoint keeps what that knows, maps it to other classes, and says where it comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from agrunet.__main__ import main
from agrunet.checkpoint.folder import load_checkpoint, read_config
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import SPLITS
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.files import sha256
from agrunet.inference import predict
from agrunet.networks.adapted import Adapted, AdaptedConfig, AdaptedRow
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.training.head_fit import FieldPixels, choose_keep, fit_head
from agrunet.training.settings import KINDS, FineTuning, TrainingConfig
from agrunet.training.train import train

TINY = TrainingConfig(
    filters=(4, 8), hidden=4, steps=40, passes=0, batch=2, crop=16, rate=1e-2, truncation=0, device="cpu"
)


@pytest.fixture(scope="module")
def start(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the toy: classes early and late."""
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("start") / "toy-start"
    train(toy_folder, output, TINY)
    return output


@pytest.fixture
def relabelled(tmp_path: Path, make_toy: Callable[..., Path]) -> Callable[..., Path]:
    """Writes the toy with other names, a corner of one patch to learn from, and the last patch held out."""

    def write(names: Sequence[str], swapped: bool = True, **header: object) -> Path:
        folder = make_toy(tmp_path / "relabelled", lambda index: "hold-out" if index == 5 else "none")
        source = PatchFolder(folder)
        for index in range(6):
            patch = source.read(index)
            assert patch.label is not None
            split = source.split(index)
            if index == 0:
                split[4:12, 4:12] = SPLITS["train"]
            label = 1 - patch.label if swapped else patch.label
            write_patch(folder, index, Patch(patch.values, patch.clear, patch.days, label), split)
        legend = [{"name": name} for name in names]
        write_folder_header(
            folder, source.header.model_copy(update={"classes": tuple(names), "legend": legend} | header)
        )
        return folder

    return write


def settings(start: Path, part: str = "head", **fine_tuning: object) -> TrainingConfig:
    base = KINDS["fine-tuned"]["standard"]
    assert isinstance(base, TrainingConfig)
    chosen = FineTuning.model_validate({"part": part} | fine_tuning)
    changes = {"start_from": start, "fine_tuning": chosen, "steps": 2, "passes": 0, "crop": 16, "device": "cpu"}
    return base.model_copy(update=changes)


def test_a_few_pixels_are_enough_for_what_the_start_knows(
    start: Path, relabelled: Callable[..., Path], tmp_path: Path
) -> None:
    folder = relabelled(["Late", "Early"], synthetic=False)
    config = train(folder, tmp_path / "model", settings(start))
    assert config.scores[0].oa > 0.95
    assert config.normalisation == read_config(start).normalisation
    assert not config.synthetic
    network, loaded = load_checkpoint(tmp_path / "model")
    assert loaded.start_from is not None
    assert loaded.start_from.model_dump() == {
        "name": "toy-start",
        "weights": sha256(start / "weights.safetensors"),
        "synthetic": True,
        "classes": {"Late": ("late",), "Early": ("early",)},
    }
    assert str(start) not in (tmp_path / "model" / "config.json").read_text()
    properties = json.loads((tmp_path / "model" / "item.json").read_text())["properties"]
    assert properties["mlm:pretrained_source"] == "toy-start, which learnt from simulated land"
    assert properties["mlm:architecture"] == "AgrUNet, fine-tuned"
    assert next(predict(network, loaded, PatchFolder(folder), [1]))[1].shape == (2, 16, 16)


def test_the_same_patches_give_the_same_weights(start: Path, relabelled: Callable[..., Path], tmp_path: Path) -> None:
    folder = relabelled(["Late", "Early"])
    for name, seed in (("first", 0), ("second", 1)):
        train(folder, tmp_path / name, settings(start).model_copy(update={"seed": seed}))
    first, second = (tmp_path / name / "weights.safetensors" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_a_class_new_to_the_start_is_learnt(start: Path, relabelled: Callable[..., Path], tmp_path: Path) -> None:
    folder = relabelled(["Late", "Rye"])
    config = train(folder, tmp_path / "model", settings(start, pull=0.1))
    assert config.start_from is not None
    assert config.start_from.classes == {"Late": ("late",), "Rye": ()}
    assert config.scores[0].oa > 0.95


def test_classes_may_be_given(start: Path, relabelled: Callable[..., Path], tmp_path: Path) -> None:
    folder = relabelled(["x", "y"])
    config = train(folder, tmp_path / "model", settings(start, classes={"x": ("late",), "y": ("early",)}, keep=1.0))
    assert config.scores[0].oa > 0.95


def test_all_can_be_tuned_with_the_norms_left_alone(
    start: Path, relabelled: Callable[..., Path], tmp_path: Path
) -> None:
    folder = relabelled(["Late", "Early"])
    before = load_checkpoint(start)[0].state_dict()
    for keep, same in ((None, False), (1.0, True)):
        train(folder, tmp_path / "model", settings(start, "all", keep=keep))
        network, _ = load_checkpoint(tmp_path / "model")
        assert isinstance(network, Adapted)
        after = network.network.state_dict()
        assert all(torch.equal(after[name], before[name]) for name in before if "running" in name)
        weights = [name for name in before if name.endswith("weight")]
        assert all(torch.equal(after[name], before[name]) == same for name in weights)


def test_patches_that_it_isn_t_made_for_are_refused(
    start: Path, relabelled: Callable[..., Path], tmp_path: Path
) -> None:
    folder = relabelled(["Late", "Early"], level="L1C", months=(3, 9))
    with pytest.raises(AgrunetError, match="level L1C, not L2A; months 3 9, not 1 7"):
        train(folder, tmp_path / "model", settings(start))


def test_labels_that_are_never_clear_are_refused(start: Path, relabelled: Callable[..., Path], tmp_path: Path) -> None:
    folder = relabelled(["Late", "Early"], min_acquisitions=7)
    with pytest.raises(AgrunetError, match="no labelled pixel has the 7 clear dates"):
        train(folder, tmp_path / "model", settings(start))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "fine-tuned"], "Give --start-from"),
        (["--kind", "pixel", "--start-from", "START"], "doesn't start from a checkpoint"),
        (["--start-from", "nowhere"], "nowhere is no checkpoint"),
    ],
)
def test_the_command_says_what_is_missing(
    start: Path,
    toy_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    options: list[str],
    message: str,
) -> None:
    given = [str(start) if option == "START" else option for option in options]
    assert main(["train", "--data", str(toy_folder), "--output", str(tmp_path / "model"), *given]) == 1
    assert message in caplog.text


def test_the_command_starts_from_a_checkpoint(start: Path, relabelled: Callable[..., Path], tmp_path: Path) -> None:
    folder = relabelled(["Late", "Early"])
    arguments = ["--data", str(folder), "--output", str(tmp_path / "model"), "--start-from", str(start)]
    assert main(["train", *arguments]) == 0
    start_from = read_config(tmp_path / "model").start_from
    assert start_from is not None
    assert start_from.name == "toy-start"


def sure(seed: int, right: bool) -> tuple[Adapted, FieldPixels]:
    """Fields of two classes that the start is sure of, 12 of each; ``right``: as they are labelled, or for the first class alone."""
    rng = np.random.default_rng(seed)
    field = np.repeat(np.arange(24), 5)
    label = field % 2
    seen = label if right else np.zeros_like(label)
    logits = np.stack([np.where(seen == 0, 2.0, -2.0), np.where(seen == 0, -2.0, 2.0), 3.0 * label - 1.5], axis=1)
    known = torch.from_numpy(logits + rng.normal(0, 0.3, logits.shape)).log_softmax(1)
    shape = AgrUNetConfig(bands=1, classes=3, filters=(2,), hidden=2)
    rows = (AdaptedRow(of=0, source=0), AdaptedRow(of=1, source=1))
    network = Adapted(AdaptedConfig(start=shape, bands=1, classes=2, rows=rows))
    return network, FieldPixels(known, torch.from_numpy(label), torch.from_numpy(field))


def test_as_much_of_the_start_is_kept_as_the_fields_speak_for() -> None:
    network, pixels = sure(0, right=False)
    assert choose_keep(network, pixels, pull=1.0) == 0
    few = pixels.where(pixels.field < 2)
    assert choose_keep(*sure(0, right=True)[:1], few, pull=1.0) == 0.5


def test_the_pull_holds_few_fields_and_yields_to_many() -> None:
    network, pixels = sure(0, right=False)
    begun = network.weight.detach().clone()
    moved = []
    for pull in (1000.0, 10.0, 0.1):
        fit_head(network, pixels, pull)
        moved.append(float((network.weight.detach() - begun).norm()))
    assert moved[0] < 0.05
    assert moved[0] < moved[1] < moved[2]


def test_every_field_weighs_the_same() -> None:
    _, pixels = sure(0, right=True)
    uneven = pixels.where(torch.arange(len(pixels.field)) >= 4)
    totals = torch.zeros(24, dtype=torch.float64).index_add(0, uneven.field, uneven.weights)
    torch.testing.assert_close(totals, torch.ones(24, dtype=torch.float64))
