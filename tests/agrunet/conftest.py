"""Small folders of training patches that a network can learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agrunet.data.folder import write_folder_header, write_patch
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import Patch
from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig

DAYS = np.array([0, 15, 30, 45, 60, 75], dtype=np.int32)

FOOTPRINT = {"type": "Polygon", "coordinates": [[[4.0, 50.0], [4.1, 50.0], [4.1, 50.2], [4.0, 50.2], [4.0, 50.0]]]}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _toy_patch(seed: int, size: int = 16) -> Patch:
    """Two classes with the same values in another order in time: only the temporal profile tells them apart."""
    rng = np.random.default_rng(seed)
    label = np.zeros((size, size), dtype=np.int16)
    label[:, size // 2 :] = 1
    if rng.integers(2):
        label = label.T.copy()
    early = np.array([300, 800, 1500, 900, 400, 300])
    profile = np.where(label == 0, early[:, None, None], early[::-1, None, None])
    values = np.stack([profile, 2000 - profile], axis=1) + rng.normal(0, 60, (len(DAYS), 2, size, size))
    clear = rng.random((len(DAYS), size, size)) > 0.15
    values[~np.broadcast_to(clear[:, None], values.shape)] = 8000
    return Patch(values.clip(1).astype(np.uint16), clear, DAYS, label)


def _toy_header(count: int, size: int = 16) -> FolderHeader:
    return FolderHeader(
        count=count,
        patch_size=size,
        bands=("B04", "B08"),
        classes=("early", "late"),
        legend=[{"value": 1, "name": "early"}, {"value": 2, "name": "late"}],
        level="L2A",
        years=(2019,),
        months=(1, 7),
        synthetic=True,
        footprint=FOOTPRINT,
        min_clear=0.5,
        min_acquisitions=2,
        max_dates=12,
        hold_out="the last patch",
    )


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patches of 16 x 16 pixels: four to learn from, one to stop on, one held out."""
    return _make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def make_toy() -> Callable[..., Path]:
    """Writes the toy into a folder, with another use of its patches."""
    return _make_toy


@pytest.fixture
def make_network() -> Callable[..., AgrUNet]:
    """Makes a small network with random weights, always the same."""
    return _make_network


def _make_network(
    filters: tuple[int, ...] = (8, 12), bands: int = 3, classes: int = 5, **settings: str | int
) -> AgrUNet:
    torch.manual_seed(3)
    shape = {"bands": bands, "classes": classes, "filters": filters, "hidden": 6}
    network = AgrUNet(AgrUNetConfig.model_validate(shape | settings))
    # Norms that do something: fresh ones are nearly the identity.
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return network


def _make_toy(folder: Path, splits: Callable[[int], str] | None = None) -> Path:
    names = splits or (lambda index: "train" if index < 4 else "stop" if index == 4 else "hold-out")
    for index in range(6):
        patch = _toy_patch(index)
        assert patch.label is not None
        write_patch(folder, index, patch, np.full(patch.label.shape, SPLITS[names(index)], dtype=np.uint8))
    write_folder_header(folder, _toy_header(6))
    return folder
