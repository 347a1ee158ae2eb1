"""Prediction: order, no-data, what is refused, and that the batch doesn't matter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.data.inputs import Normalisation
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.inference import predict
from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig

CONFIG = CheckpointConfig(
    network=AgrUNetConfig(bands=2, classes=3, filters=(4, 8), hidden=4),
    bands=("B04", "B08"),
    normalisation=Normalisation(mean=(500.0, 500.0), std=(300.0, 300.0)),
    months=(1, 7),
    min_clear=0.5,
    min_acquisitions=3,
    max_dates=8,
    level="L2A",
    classes=("a", "b", "c"),
    patch_size=8,
    years=(2019,),
    synthetic=True,
)


class Arrays:
    """A patch source over random arrays; patch ``i`` has ``lengths[i]`` dates."""

    def __init__(self, lengths: list[int], size: tuple[int, int] = (8, 8), bands: int = 2) -> None:
        self.patches = []
        self.read_indices: list[int] = []
        for index, T in enumerate(lengths):
            rng = np.random.default_rng(index)
            self.patches.append(
                Patch(
                    rng.integers(1, 1000, (T, bands, *size)).astype(np.uint16),
                    rng.random((T, *size)) < 0.7,
                    np.arange(T, dtype=np.int32) * 10,
                )
            )

    def __len__(self) -> int:
        return len(self.patches)

    def read(self, index: int) -> Patch:
        self.read_indices.append(index)
        return self.patches[index]


@pytest.fixture
def network() -> AgrUNet:
    torch.manual_seed(1)
    return AgrUNet(CONFIG.network)


def test_patches_come_in_the_order_asked_as_probabilities(network: AgrUNet) -> None:
    results = list(predict(network, CONFIG, Arrays([5] * 4), [2, 0, 3]))
    assert [index for index, _ in results] == [2, 0, 3]
    for _, probabilities in results:
        assert probabilities.shape == (3, 8, 8)
        assert probabilities.dtype == np.float32
        sums = probabilities.sum(0)
        np.testing.assert_allclose(sums[~np.isnan(sums)], 1, atol=1e-6)


def test_pixels_with_too_few_clear_dates_are_nan_in_all_classes(network: AgrUNet) -> None:
    source = Arrays([5])
    clear = source.patches[0].clear
    clear[:] = False
    clear[:2, 0] = True  # two clear dates, one too few
    clear[1:4, 1] = True  # three
    clear[:, 2] = True
    ((_, probabilities),) = predict(network, CONFIG, source, [0])
    nothing = np.isnan(probabilities)
    assert nothing[:, 0].all()
    assert not nothing[:, 1:3].any()
    assert nothing[:, 3:].all()


def test_the_batch_does_not_matter(network: AgrUNet) -> None:
    source = Arrays([5, 8, 3, 7, 1])
    alone = dict(predict(network, CONFIG, source, range(5)))
    for size in (2, 5):
        for index, probabilities in predict(network, CONFIG, source, [4, 1, 0, 2, 3], batch=size):
            np.testing.assert_allclose(probabilities, alone[index], atol=1e-6)


def test_sizes_that_the_network_cannot_take_are_padded_inside(network: AgrUNet) -> None:
    ((_, probabilities),) = predict(network, CONFIG, Arrays([6], size=(9, 14)), [0])
    assert probabilities.shape == (3, 9, 14)


def test_the_temperature_divides_the_logits(network: AgrUNet) -> None:
    source = Arrays([6])
    source.patches[0].clear[:] = True
    ((_, cold),) = predict(network, CONFIG, source, [0])
    ((_, warm),) = predict(network, CONFIG.model_copy(update={"temperature": 4.0}), source, [0])
    raised = cold**0.25
    np.testing.assert_allclose(warm, raised / raised.sum(0), atol=1e-5)


def test_bf16_says_nearly_the_same(network: AgrUNet) -> None:
    source = Arrays([6])
    ((_, full),) = predict(network, CONFIG, source, [0])
    ((_, half),) = predict(network, CONFIG, source, [0], precision="bf16")
    np.testing.assert_allclose(half, full, atol=0.02)


def test_the_network_is_left_as_it_is(network: AgrUNet) -> None:
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    list(predict(network, CONFIG, Arrays([5]), [0]))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not torch.is_inference_mode_enabled()


def test_memory_is_bounded_reading_stays_a_few_patches_ahead(network: AgrUNet) -> None:
    source = Arrays([4])
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(0)
            yield 0

    results = predict(network, CONFIG, source, endless())
    for count in range(1, 20):
        next(results)
        assert len(taken) <= count + 4
    results.close()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Arrays([9]), "patch 0 holds 9 dates, the checkpoint takes at most 8. Raise min_clear"),
        (Arrays([5], bands=3), "patch 0 holds 3 bands, the checkpoint wants 2: B04, B08"),
        (Arrays([0]), "holds no date"),
    ],
)
def test_what_does_not_fit_the_checkpoint_is_refused(network: AgrUNet, source: Arrays, said: str) -> None:
    with pytest.raises(AgrunetError, match=said):
        list(predict(network, CONFIG, source, [0]))


def test_a_batch_of_nothing_is_refused(network: AgrUNet) -> None:
    with pytest.raises(AgrunetError, match="batch of 0"):
        list(predict(network, CONFIG, Arrays([5]), [0], batch=0))


def test_prediction_is_imported_without_the_compiler_and_without_matplotlib() -> None:
    code = "import sys, agrunet.inference, agrunet.checkpoint.folder; print({'torch._dynamo', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "set()"
