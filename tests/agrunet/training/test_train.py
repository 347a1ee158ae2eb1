"""Training learns, repeats itself by its seed, learns from nothing but its split, and works in several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agrunet.__main__ import main
from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import Patch
from agrunet.data.random_crops import RandomCrops
from agrunet.data.season import EndsEarly
from agrunet.data.training_pixels import training_pixels
from agrunet.errors import AgrunetError
from agrunet.inference import predict
from agrunet.metrics import confusion_matrix
from agrunet.training.evaluation import fit_temperature
from agrunet.training.fitting import _noisy, step_count
from agrunet.training.settings import PRESETS, TrainingConfig
from agrunet.training.train import train

TINY = TrainingConfig(filters=(4, 8), hidden=4, steps=60, passes=0, crop=16, rate=1e-2, device="cpu")


@pytest.fixture(scope="session")
def trained(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int, float]]]:
    """A checkpoint of the toy, and what its training reported."""
    output = tmp_path_factory.mktemp("trained") / "model"
    seen: list[tuple[int, int, float]] = []
    torch.set_num_threads(1)
    train(toy_folder, output, TINY, lambda step, steps, loss: seen.append((step, steps, loss)))
    return output, seen


def test_a_network_learns_classes_that_differ_in_time_only(trained: tuple[Path, list[tuple[int, int, float]]]) -> None:
    _, config = load_checkpoint(trained[0])
    assert [entry.split for entry in config.scores] == ["hold-out"]
    assert config.scores[0].oa > 0.97
    assert config.scores[0].miou > 0.94
    assert config.scores[0].n_pixels + config.scores[0].n_unmapped == 256


def test_progress_is_reported_step_by_step(trained: tuple[Path, list[tuple[int, int, float]]]) -> None:
    seen = trained[1]
    assert [step for step, _, _ in seen] == list(range(1, 61))
    assert {steps for _, steps, _ in seen} == {60}
    assert np.mean([loss for _, _, loss in seen[-5:]]) < 0.5 * seen[0][2]


def test_the_checkpoint_holds_what_inference_needs(
    toy_folder: Path, trained: tuple[Path, list[tuple[int, int, float]]]
) -> None:
    header = PatchFolder(toy_folder).header
    _, config = load_checkpoint(trained[0])
    for name in ("bands", "classes", "legend", "level", "years", "months", "synthetic", "footprint", "hold_out"):
        assert getattr(config, name) == getattr(header, name), name
    assert (config.min_acquisitions, config.max_dates, config.patch_size) == (2, 12, 16)
    assert 0.05 <= config.temperature <= 20
    assert config.temperature != 1
    assert config.training["steps"] == 60


def test_the_scores_are_those_of_predict(toy_folder: Path, trained: tuple[Path, list[tuple[int, int, float]]]) -> None:
    network, config = load_checkpoint(trained[0])
    folder = PatchFolder(toy_folder)
    ((_, probabilities),) = predict(network, config, folder, [5])
    mapped = np.where(np.isnan(probabilities[0]), -1, probabilities.argmax(0))
    matrix = confusion_matrix(folder.label(5), mapped, 2)
    assert config.scores[0].oa == pytest.approx(np.trace(matrix) / matrix.sum())


def test_bf16_maps_nearly_the_same_classes(
    toy_folder: Path, trained: tuple[Path, list[tuple[int, int, float]]]
) -> None:
    """At least 99.5 % of the pixels, with trained weights."""
    network, config = load_checkpoint(trained[0])
    folder = PatchFolder(toy_folder)
    maps = [
        np.stack([made.argmax(0) for _, made in predict(network, config, folder, range(6), precision=precision)])
        for precision in ("fp32", "bf16")
    ]
    assert (maps[0] == maps[1]).mean() >= 0.995


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(toy_folder: Path, tmp_path: Path) -> None:
    short = TINY.model_copy(update={"steps": 3, "batch": 2})
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        torch.manual_seed(seed * len(name))  # the caller's random state must not matter
        train(toy_folder, tmp_path / name, short.model_copy(update={"seed": seed}))
    one, two, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other


@pytest.mark.parametrize("cloud_input", ["raw", "zero"])
def test_other_cloud_inputs_train_and_predict(toy_folder: Path, tmp_path: Path, cloud_input: str) -> None:
    config = TINY.model_copy(update={"steps": 2, "cloud_input": cloud_input})
    train(toy_folder, tmp_path / "model", config)
    network, loaded = load_checkpoint(tmp_path / "model")
    assert loaded.cloud_input == cloud_input
    assert next(predict(network, loaded, PatchFolder(toy_folder), [0]))[1].shape == (2, 16, 16)


def test_nothing_is_learnt_from_other_splits(toy_folder: Path) -> None:
    folder = PatchFolder(toy_folder)
    counts = training_pixels(folder)
    assert counts.tolist() == [256] * 4 + [0] * 2
    marked = _MarkedFolder(folder)
    crops = RandomCrops(marked, counts, 8, 0.1, seed=(0,))
    for batch, labels in crops.batches(20, 4):
        assert labels.shape == (4, 8, 8)
        assert batch.values.shape[1] < 7
    assert set(marked.read_patches[1:]) == {0, 1, 2, 3}


def test_some_steps_see_composites(toy_folder: Path) -> None:
    folder = PatchFolder(toy_folder)
    crops = RandomCrops(folder, training_pixels(folder), 8, 0.0, seed=(0,), composites=0.5)
    lengths = [batch.values.shape[1] for batch, _ in crops.batches(20, 2)]
    assert len(set(lengths)) > 1
    assert max(lengths) == len(folder.read(0).days)


class _MarkedFolder(PatchFolder):
    def __init__(self, folder: PatchFolder) -> None:
        super().__init__(folder.folder)
        self.read_patches: list[int] = []

    def read(self, index: int) -> Patch:
        self.read_patches.append(index)
        return super().read(index)


def test_crops_keep_values_and_labels_together(tmp_path: Path) -> None:
    # Values that name their pixel, and labels that follow from them, through flips, turns and dates left out.
    size, T = 12, 5
    name = np.arange(size * size).reshape(size, size)
    values = np.stack([name * 5 + t for t in range(T)])[:, None].astype(np.uint16)
    label = (name % 7 % 2).astype(np.int16)
    split = np.where(name % 3 == 0, SPLITS["hold-out"], SPLITS["train"]).astype(np.uint8)
    days = (np.arange(T) * 9).astype(np.int32)
    write_patch(tmp_path, 0, Patch(values, np.ones((T, size, size), dtype=bool), days, label), split)
    header = {"count": 1, "patch_size": size, "bands": ["B02"], "classes": ["a", "b"], "level": "L2A"}
    write_folder_header(tmp_path, _header(**header))
    folder = PatchFolder(tmp_path)
    counts = training_pixels(folder)
    for batch, labels in RandomCrops(folder, counts, 4, 0.3, seed=(1,)).batches(10, 3):
        dates = batch.days.numpy() // 9
        pixels = batch.values.numpy()[:, :, 0] - dates[:, :, None, None]
        assert (pixels % 5 == 0).all()
        pixels //= 5
        assert (pixels == pixels[:, :1]).all()
        wanted = np.where(pixels[:, 0] % 3 == 0, -1, pixels[:, 0] % 7 % 2)
        np.testing.assert_array_equal(labels.numpy(), wanted)
        assert (np.diff(dates, axis=1) > 0).all()


def test_seasons_of_some_crops_end_early_where_their_pixels_can_still_be_mapped(toy_folder: Path) -> None:
    folder = PatchFolder(toy_folder)  # dates every 15 days up to day 75; two clear ones are needed
    counts = training_pixels(folder)
    whole = [dates for dates, _ in _drawn(folder, counts, 0.0)]
    assert set(whole) == {6}
    cut = _drawn(folder, counts, 1.0)
    assert {dates for dates, _ in cut} == {4, 5, 6}, "no season ends before its third month, day 59"
    assert all(known > 0 for _, known in cut)
    some = [dates for dates, _ in _drawn(folder, counts, 0.5)]
    assert 0 < len(some) - some.count(6) < sum(dates < 6 for dates, _ in cut)


def _drawn(folder: PatchFolder, counts: np.ndarray, truncation: float) -> list[tuple[int, int]]:
    """Dates and labelled pixels of 120 crops of which no date is left out otherwise."""
    batches = RandomCrops(folder, counts, 8, 0.0, (0,), truncation).batches(120, 1)
    return [(int(batch.valid.sum()), int((labels >= 0).sum())) for batch, labels in batches]


def test_what_is_seen_too_rarely_by_then_is_not_learnt_from(tmp_path: Path) -> None:
    size, days = 4, np.array([0, 30, 58, 100, 150], np.int32)
    clear = np.ones((5, size, size), bool)
    clear[:3, :, 2:] = False  # the right half is first seen in April
    patch = Patch(
        np.ones((5, 1, size, size), np.uint16), clear, days, np.tile([0, 0, 1, 1], (size, 1)).astype(np.int16)
    )
    write_patch(tmp_path, 0, patch, np.zeros((size, size), np.uint8))
    header = {"count": 1, "patch_size": size, "bands": ["B02"], "classes": ["a", "b"], "level": "L2A"}
    write_folder_header(tmp_path, _header(**header | {"min_acquisitions": 2}))
    folder = PatchFolder(tmp_path)
    seen = set()
    for batch, labels in RandomCrops(folder, training_pixels(folder), size, 0.0, (0,), 1.0).batches(60, 1):
        dates = int(batch.valid.sum())
        seen.add((dates, int((labels >= 0).sum())))
    assert seen == {(3, 8), (4, 8), (5, 16)}


def test_the_curve_is_of_the_same_pixels_month_by_month(
    toy_folder: Path, trained: tuple[Path, list[tuple[int, int, float]]]
) -> None:
    _, config = load_checkpoint(trained[0])
    curve, whole = config.early, config.scores[0]
    assert curve is not None
    assert (curve.split, [point.month for point in curve.points]) == ("hold-out", [3, 4, 5, 6, 7])
    last = curve.points[-1]
    assert (last.oa, last.miou, last.n_pixels, last.n_unmapped) == (
        whole.oa,
        whole.miou,
        whole.n_pixels,
        whole.n_unmapped,
    )
    assert {point.n_pixels + point.n_unmapped for point in curve.points} == {256}
    assert (trained[0] / "early.png").is_file()
    network, source = load_checkpoint(trained[0])[0], PatchFolder(toy_folder)
    ((_, early),) = predict(network, config, EndsEarly(source, 45), [5])
    by_then = np.isnan(early[0]).sum()
    assert by_then == (source.read(5).clear[:3].sum(0) < 2).sum() > last.n_unmapped


def _header(**fields: object) -> FolderHeader:
    return FolderHeader.model_validate(
        {"years": [2019], "months": [1, 7], "synthetic": True, "min_clear": 0.5, "min_acquisitions": 1} | fields
    )


def test_steps_grow_with_the_data_between_their_bounds() -> None:
    config = TrainingConfig(steps=200, passes=4, max_steps=4000, batch=4)
    assert step_count(config, 3000, 32, 1) == 200
    assert step_count(config, 1_024_000, 32, 1) == 1000
    assert step_count(config, 1_024_000, 32, 4) == 250
    assert step_count(config, 10**9, 32, 1) == 4000


def test_the_presets_are_the_recipe() -> None:
    standard, quick = PRESETS["standard"], PRESETS["quick"]
    assert (standard.filters, standard.steps, standard.batch, standard.crop) == ((64, 128), 200, 4, 32)
    assert (standard.rate, standard.clip, standard.supervision) == (2e-3, 1.0, 0.5)
    assert (quick.filters, quick.steps) == ((16, 32), 150)


def test_the_temperature_makes_probabilities_honest() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 3))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in honest]).astype(np.int16)
    boastful = np.exp(3 * logits)
    boastful = (boastful / boastful.sum(1, keepdims=True)).astype(np.float32)
    assert fit_temperature([(boastful, truth)]) == pytest.approx(3, rel=0.03)


def test_a_network_that_is_always_right_gets_a_low_temperature_within_bounds() -> None:
    probabilities = np.tile(np.array([[0.9, 0.1]], dtype=np.float32), (50, 1))
    assert 0.05 <= fit_temperature([(probabilities, np.zeros(50, dtype=np.int16))]) < 0.3


def test_labels_of_one_class_cannot_be_learnt(tmp_path: Path, make_toy: Callable[..., Path]) -> None:
    folder = make_toy(tmp_path / "toy")
    for index in range(6):
        patch = PatchFolder(folder).read(index)
        label = np.zeros_like(patch.label)
        split = PatchFolder(folder).split(index)
        write_patch(folder, index, Patch(patch.values, patch.clear, patch.days, label), split)
    with pytest.raises(AgrunetError, match=r"hold 1 classes \['early'\]; at least 2"):
        train(folder, tmp_path / "model", TINY)
    assert not (tmp_path / "model").exists()


def test_without_stop_or_test_pixels_there_is_no_temperature_and_no_score(
    tmp_path: Path, make_toy: Callable[..., Path]
) -> None:
    folder = make_toy(tmp_path / "toy", lambda _: "train")
    config = train(folder, tmp_path / "model", TINY.model_copy(update={"steps": 1}))
    assert config.temperature == 1
    assert config.scores == ()


def test_patches_too_small_for_the_network_are_refused(toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AgrunetError, match="crops of 16 pixels, the network needs at least 32"):
        train(toy_folder, tmp_path / "model", TINY.model_copy(update={"filters": (2,) * 5}))


def test_a_loss_that_explodes_is_reported(toy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AgrunetError, match=r"the loss became .* Lower the rate"):
        train(toy_folder, tmp_path / "model", TINY.model_copy(update={"rate": 1e30}))


def test_the_command_says_what_is_wrong_and_fails(
    toy_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text('{"steps": "many"}')
    arguments = ["train", "--data", str(toy_folder), "--output", str(tmp_path / "model"), "--config", str(settings)]
    assert main(arguments) == 1
    assert "settings.json: steps:" in caplog.text


@pytest.mark.timeout(180)
def test_two_processes_train_one_checkpoint(toy_folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(
        json.dumps({"filters": [4, 8], "hidden": 4, "steps": 60, "passes": 0, "crop": 16, "rate": 1e-2})
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "agrunet",
        "train",
    ]
    command += ["--data", str(toy_folder), "--output", str(tmp_path / "model"), "--config", str(settings)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=150, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )
    assert (tmp_path / "model").is_dir(), done.stderr[-3000:]
    _, config = load_checkpoint(tmp_path / "model")
    assert config.scores[0].oa > 0.95
    assert done.stderr.count("step 60 of 60") == 1  # only the first process reports
    assert not any(name.startswith("module.") for name in load_file(tmp_path / "model" / "weights.safetensors"))


def test_a_shift_moves_each_band_of_a_crop_as_a_whole_and_no_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.arange(2 * 3 * 4 * 2 * 2, dtype=torch.float32).reshape(2, 3, 4, 2, 2)
    moved = _noisy(values, bands=3, deviation=0.0, shift=0.5, generator=generator) - values
    first = moved[:, :1, :, :1, :1]
    torch.testing.assert_close(moved, first.expand_as(moved), atol=1e-5, rtol=0)
    assert (moved[:, :, 3] == 0).all()
    assert first[:, 0, :3].unique().numel() == 6
    noisy = _noisy(values, bands=3, deviation=0.1, shift=0.0, generator=generator) - values
    assert noisy[:, :, :3].std() == pytest.approx(0.1, rel=0.3)
    assert _noisy(values, bands=3, deviation=0.0, shift=0.0, generator=generator) is values
