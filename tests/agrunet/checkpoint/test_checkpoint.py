"""A checkpoint comes back as it was; one that was changed is refused with the reason."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pystac
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from agrunet.checkpoint.config import CheckpointConfig, describe
from agrunet.checkpoint.folder import load_checkpoint, read_config, save_checkpoint
from agrunet.data.contract import TrainingContract
from agrunet.data.header import FolderHeader
from agrunet.data.inputs import Normalisation
from agrunet.errors import AgrunetError
from agrunet.metrics import Scores
from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig

SCORES = Scores(split="hold-out", oa=0.9, miou=0.7, dice=0.8, n_pixels=10)

CONFIG = CheckpointConfig(
    network=AgrUNetConfig(bands=3, classes=2, filters=(4, 8), hidden=4),
    bands=("B04", "B08"),
    normalisation=Normalisation(mean=(700.5, 2500.25), std=(300.0, 900.0)),
    months=(10, 7),
    cloud_input="zero",
    min_clear=0.5,
    min_acquisitions=3,
    max_dates=40,
    level="L2A",
    baselines=("02.11", "02.12"),
    classes=("wheat", "maize"),
    legend=[{"value": 1, "name": "wheat", "colour": "#ffcc00"}, {"value": 2, "name": "maize"}],
    patch_size=64,
    footprint={
        "type": "MultiPolygon",
        "coordinates": [[[[4, 50], [5, 50], [5, 51], [4, 50]]], [[[6, 49], [7, 50], [6, 50], [6, 49]]]],
    },
    years=(2019,),
    synthetic=True,
    hold_out="one block in four",
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model", AgrUNet(CONFIG.network), CONFIG.model_copy(update={"scores": (SCORES,)}))
    return tmp_path / "model"


def test_network_and_configuration_come_back(checkpoint: Path) -> None:
    torch.manual_seed(0)
    original = AgrUNet(CONFIG.network).eval()
    network, config = load_checkpoint(checkpoint)
    assert config == CONFIG.model_copy(update={"scores": (SCORES,)})
    assert read_config(checkpoint) == config
    assert not network.training
    values = torch.randn(1, 3, 3, 8, 8)
    assert torch.equal(network(values), original(values))


def test_the_item_is_stac_and_says_what_the_model_is(checkpoint: Path) -> None:
    item = pystac.Item.from_file(str(checkpoint / "item.json"))
    properties = item.properties
    assert item.bbox == [4, 49, 7, 51]
    assert (properties["start_datetime"], properties["end_datetime"]) == (
        "2018-10-01T00:00:00Z",
        "2019-07-31T23:59:59Z",
    )
    assert properties["mlm:tasks"] == ["semantic-segmentation"]
    assert properties["mlm:input"][0]["bands"] == ["B04", "B08"]
    assert properties["mlm:input"][0]["value_scaling"][0] == {"type": "z-score", "mean": 700.5, "stddev": 300.0}
    assert properties["mlm:output"][0]["result"]["shape"] == [-1, 2, -1, -1]
    assert properties["cropline:scores"][0]["oa"] == 0.9
    assert properties["cropline:synthetic"] is True
    digest = hashlib.sha256((checkpoint / "weights.safetensors").read_bytes()).hexdigest()
    assert item.assets["weights"].extra_fields["file:checksum"] == "1220" + digest
    assert (checkpoint / item.assets["config"].href).is_file()


def test_a_checkpoint_is_three_files_and_nothing_is_left_beside_it(checkpoint: Path) -> None:
    assert sorted(path.name for path in checkpoint.iterdir()) == ["config.json", "item.json", "weights.safetensors"]
    assert [path.name for path in checkpoint.parent.iterdir()] == ["model"]


def test_saving_again_replaces_the_whole_folder(checkpoint: Path) -> None:
    (checkpoint / "stray.txt").write_text("old")
    save_checkpoint(checkpoint, AgrUNet(CONFIG.network), CONFIG.model_copy(update={"patch_size": 32}))
    assert not (checkpoint / "stray.txt").exists()
    assert load_checkpoint(checkpoint)[1].patch_size == 32
    assert [path.name for path in checkpoint.parent.iterdir()] == ["model"]


def test_a_failure_while_saving_leaves_the_old_checkpoint(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agrunet.checkpoint.folder.save_file", full)
    with pytest.raises(AgrunetError, match=r"No space left on device\. Free some space"):
        save_checkpoint(checkpoint, AgrUNet(CONFIG.network), CONFIG)
    assert load_checkpoint(checkpoint)[1].scores == (SCORES,)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["model"]


def test_tampered_weights_are_refused(checkpoint: Path) -> None:
    path = checkpoint / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(AgrunetError, match="is not the file that was written: checksum"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "item.json"])
def test_a_missing_file_is_named(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(AgrunetError, match=f"{name} is missing"):
        load_checkpoint(checkpoint)


def test_weights_of_another_network_are_refused(checkpoint: Path) -> None:
    path = checkpoint / "weights.safetensors"
    weights = load_file(path)
    weights["heads.0.bias"] = torch.zeros(7)
    save_file(weights, path)
    _renew_checksum(checkpoint)
    with pytest.raises(AgrunetError, match=r"doesn't fit the network.*heads\.0\.bias"):
        load_checkpoint(checkpoint)


def test_pickled_weights_are_not_read(checkpoint: Path) -> None:
    torch.save({"heads.0.bias": torch.zeros(2)}, checkpoint / "weights.safetensors")
    _renew_checksum(checkpoint)
    with pytest.raises(AgrunetError, match="doesn't fit the network"):
        load_checkpoint(checkpoint)


def test_an_item_without_checksum_is_refused(checkpoint: Path) -> None:
    (checkpoint / "item.json").write_text("{}")
    with pytest.raises(AgrunetError, match="states no checksum"):
        load_checkpoint(checkpoint)


def test_an_unknown_field_is_refused_by_name(checkpoint: Path) -> None:
    path = checkpoint / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sharpness": 3}))
    with pytest.raises(AgrunetError, match="sharpness"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cloud_input": "raw"}, "2 bands fed as 'raw' make 2 channels, the network takes 3"),
        ({"classes": ("wheat",)}, "1 class names for 2 outputs"),
        ({"normalisation": {"mean": [1.0], "std": [1.0]}}, "1 means for 2 bands"),
        ({"temperature": 0}, "greater than 0"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CheckpointConfig.model_validate(CONFIG.model_dump() | change)


def _renew_checksum(folder: Path) -> None:
    item = json.loads((folder / "item.json").read_text())
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    item["assets"]["weights"]["file:checksum"] = "1220" + digest
    (folder / "item.json").write_text(json.dumps(item))


def test_the_configuration_of_a_shipped_model_is_written_as_it_was_read() -> None:
    path = Path(__file__).parents[3] / "catalog" / "shipped" / "simulated-18-crops" / "config.json"
    text = path.read_text(encoding="utf-8")
    config = CheckpointConfig.model_validate_json(text)
    assert config.model_dump_json(indent=1) + "\n" == text
    # Fields of models whose fields are dealt into folds, and of a choice among kinds.
    since = {"evidence", "training_data", "kinds"}
    assert set(json.loads(text)) == set(CheckpointConfig.model_fields) - since


@pytest.mark.parametrize("missing", ["bands", "months", "min_clear", "min_acquisitions", "level", "classes"])
def test_a_configuration_that_leaves_out_part_of_its_contract_is_refused(checkpoint: Path, missing: str) -> None:
    path = checkpoint / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    del settings[missing]
    path.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(AgrunetError, match=f"{missing}: Field required"):
        read_config(checkpoint)


def test_a_checkpoint_keeps_all_of_the_contract_that_its_patches_state() -> None:
    contract = CONFIG.shared(TrainingContract)
    header = FolderHeader(**contract, count=3, folds=(1, 2, 3))
    described = describe(header, CONFIG.network, CONFIG.normalisation, CONFIG.cloud_input, {"steps": 5})
    assert described.shared(TrainingContract) == contract
    assert described.training == {"steps": 5}
