"""What the crop map processor refuses, and how class and confidence come from probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agrunet.checkpoint.config import CheckpointConfig
from agrunet.checkpoint.folder import save_checkpoint
from agrunet.data.inputs import Normalisation
from agrunet.data.patches import Patch
from agrunet.networks.agrunet import AgrUNetConfig
from agrunet.networks.forest import ForestConfig
from agrunet.networks.pixel import PixelConfig
from agrunet.networks.registry import NetworkConfig, make_network
from catalog.errors import ModelError, RequestError
from processors.thematic.conformity import Conformity
from processors.thematic.crop_map import CropMap
from processors.thematic.protocol import Job

BANDS = ("B04", "B08")
WHEAT = {"value": 1, "name": "Wheat", "colour": "#d9b84a", "source_codes": [1110]}
MAIZE = {"value": 7, "name": "Maize", "colour": "#f28e2b", "source_codes": [1200]}
OTHER = {"value": 0, "name": "Not cropland", "colour": "#eeeeee", "role": "background", "source_codes": [9]}
UNKNOWN = {"value": 0, "name": "Unknown", "colour": "#ffffff", "role": "ignore", "source_codes": [0]}


def write_model(folder: Path, legend: list[dict[str, Any]], kind: NetworkConfig | None = None, **changes: Any) -> Path:
    """An untrained network, AgrUNet or another, with the contract of a checkpoint."""
    classes = tuple(entry["name"] for entry in legend if entry.get("role") != "ignore")
    network = make_network(kind or AgrUNetConfig(bands=2, classes=len(classes), filters=(2, 4), hidden=2))
    config = CheckpointConfig(
        network=network.config,
        bands=BANDS,
        normalisation=Normalisation(mean=(1000.0, 3000.0), std=(500.0, 800.0)),
        months=(1, 7),
        min_clear=0.5,
        min_acquisitions=2,
        max_dates=4,
        level="L2A",
        classes=classes,
        legend=legend,
        patch_size=16,
        years=(2019,),
        synthetic=False,
    ).model_copy(update=changes)
    save_checkpoint(folder, network, config)
    return folder


def job(model: Path | None, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "level": "L2A",
        "year": 2019,
        "months": (1, 7),
        "days": (0, 10, 20),
        "bands": ("B02", "B04", "B08"),
        "synthetic": False,
        "model": model,
    }
    return Job(**(values | changes))


def test_class_is_the_most_probable_and_confidence_its_probability(tmp_path: Path) -> None:
    processor = CropMap(job(write_model(tmp_path / "model", [WHEAT, MAIZE, UNKNOWN])))
    nan = np.nan
    fields = np.array([[[0.25, 0.75], [nan, 0.5]], [[0.75, 0.25], [nan, 0.5]]], dtype=np.float32)
    made = processor.finish(fields, {})
    assert made["crop_map"].dtype == np.uint8
    np.testing.assert_array_equal(made["crop_map"], [[7, 1], [255, 1]])
    np.testing.assert_array_equal(made["confidence"], np.array([[0.75, 0.75], [nan, 0.5]], dtype=np.float32))


def test_background_comes_first_and_is_mapped_as_0(tmp_path: Path) -> None:
    processor = CropMap(job(write_model(tmp_path / "model", [OTHER, WHEAT, MAIZE])))
    fields = np.zeros((3, 1, 3), dtype=np.float32)
    fields[0, 0, 0] = fields[1, 0, 1] = fields[2, 0, 2] = 1
    np.testing.assert_array_equal(processor.finish(fields, {})["crop_map"], [[0, 1, 7]])
    assert processor.fields == ("Not cropland", "Wheat", "Maize")


def test_a_map_without_background_says_that_it_is_not_masked(tmp_path: Path) -> None:
    crops = write_model(tmp_path / "crops", [WHEAT, MAIZE])
    assert "Not masked to cropland" in CropMap(job(crops)).notes[0]
    assert CropMap(job(crops, crop_mask=True)).notes == ()
    assert CropMap(job(write_model(tmp_path / "all", [OTHER, WHEAT]))).notes == ()


def test_a_model_of_simulated_land_says_so_first_of_real_ground(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", [OTHER, WHEAT], synthetic=True, measured="In Flanders it reached 0.7.")
    assert CropMap(job(model)).notes == (
        "The model learnt from simulated land alone and saw no real field. In Flanders it reached 0.7.",
    )
    assert CropMap(job(model, synthetic=True)).notes == ()
    unmeasured = write_model(tmp_path / "other", [WHEAT, MAIZE], synthetic=True)
    first, *_ = CropMap(job(unmeasured)).notes
    assert first.endswith("How good it is on real fields was never measured.")


def test_declarations_of_real_parcels_are_not_judged_by_simulated_land(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", [WHEAT, MAIZE], synthetic=True)
    with pytest.raises(ModelError, match="conformity: model model learnt from simulated land alone"):
        Conformity(job(model))
    assert Conformity(job(model, synthetic=True)).judgement().model == model


def test_only_the_crops_of_the_request_are_named(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", [OTHER, WHEAT, MAIZE])
    limited = CropMap(job(model, crops={"maize": 0.5}))
    assert limited.notes == (
        "By the request only these crops may be named, those with a number weighted by it: Maize (0.5).",
    )
    source = Clear()
    ((_, free),) = CropMap(job(model)).run(source, [0])
    ((_, made),) = limited.run(source, [0])
    assert made[1].max() == 0
    np.testing.assert_allclose(made[2] / made[0], 0.5 * free[2] / free[0], rtol=1e-5)
    np.testing.assert_allclose(made.sum(axis=0), 1, rtol=1e-5)
    with pytest.raises(RequestError, match="the model names no 'rice'"):
        CropMap(job(model, crops={"rice": 1}))


class Clear:
    """One patch that is clear on all of its dates."""

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Patch:
        values = np.random.default_rng(index).integers(500, 4000, (3, 2, 16, 16)).astype(np.uint16)
        return Patch(values, np.ones((3, 16, 16), np.bool_), np.array([0, 10, 20], dtype=np.int32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": ("B02", "B04")}, "needs B08"),
        ({"level": "L1C"}, "trained on L2A, the request is for L1C"),
        ({"months": (3, 7)}, r"trained on months \[1, 7\], the request asks for \[3, 7\]"),
        ({"synthetic": True}, "both be real or both synthetic"),
        ({"days": (0, 1, 2, 3, 4)}, "takes 4 dates at most, the season has 5"),
        ({"parameters": {"overlap": 16}}, "an overlap of 16 px leaves nothing of patches of 16 px"),
    ],
)
def test_what_the_checkpoint_does_not_cover_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    model = write_model(tmp_path / "model", [WHEAT, MAIZE])
    with pytest.raises(ModelError, match=message):
        CropMap(job(model, **changes))


def test_a_job_without_a_model_is_refused() -> None:
    with pytest.raises(ModelError, match="no model was chosen"):
        CropMap(job(None))


def test_a_legend_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", [WHEAT, {**MAIZE, "value": 300}])
    with pytest.raises(ModelError, match="its legend can't be read"):
        CropMap(job(model))


@pytest.mark.parametrize(
    "kind",
    [
        None,
        PixelConfig(bands=2, classes=2, widths=(4, 8), heads=2, d_model=8, head=4),
        ForestConfig(bands=2, classes=2, grid=(5, 15), trees=1, nodes=1),
    ],
    ids=["agrunet", "pixel", "forest"],
)
def test_patches_with_too_few_clear_dates_say_nothing(tmp_path: Path, kind: NetworkConfig | None) -> None:
    class OnePatch:
        def __len__(self) -> int:
            return 1

        def read(self, index: int) -> Patch:
            assert index == 0
            clear = np.zeros((3, 16, 16), dtype=np.bool_)
            clear[0] = True
            clear[1, :, :8] = True
            values = np.full((3, 2, 16, 16), 2000, dtype=np.uint16)
            return Patch(values, clear, np.array([0, 10, 20], dtype=np.int32))

    processor = CropMap(job(write_model(tmp_path / "model", [WHEAT, MAIZE], kind)))
    ((index, fields),) = processor.run(OnePatch(), [0])
    assert index == 0
    assert np.isnan(fields[:, :, 8:]).all()
    np.testing.assert_allclose(fields[:, :, :8].sum(axis=0), 1, atol=1e-6)


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", [WHEAT, MAIZE])
    weights = model / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    processor = CropMap(job(model))
    with pytest.raises(ModelError, match="checksum"):
        list(processor.run(None, []))  # type: ignore[arg-type]
