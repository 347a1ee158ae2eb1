"""The item of a model is valid by the schemas of STAC and of each extension that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft7Validator
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from agrunet.calibration import BINS, calibration
from agrunet.checkpoint.config import CheckpointConfig, StartRecord
from agrunet.checkpoint.folder import save_checkpoint
from agrunet.data.inputs import Normalisation
from agrunet.evidence import FieldEvidence, MappedField
from agrunet.metrics import Scores
from agrunet.networks.agrunet import AgrUNet, AgrUNetConfig

SCHEMAS = Path(__file__).with_name("schemas")
ADDRESS = "https://stac-extensions.github.io/{}/schema.json"
SHIPPED = Path(__file__).parents[3] / "catalog" / "shipped" / "simulated-18-crops" / "item.json"


def schema(extension: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{extension.replace('/', '-')}.json").read_text())
    return loaded


def registry() -> Registry[Any]:
    held = [path.stem.replace("-", "/") for path in SCHEMAS.glob("*.json")]
    resources = [(ADDRESS.format(name), Resource.from_contents(schema(name), DRAFT7)) for name in held]
    stands_in = Resource.from_contents(schema("classification/v2.0.0"), DRAFT7)
    return Registry().with_resources([*resources, (ADDRESS.format("classification/v1.1.0"), stands_in)])


def problems(item: dict[str, Any]) -> list[str]:
    """What is wrong by the schemas of STAC itself and of every extension that the item names."""
    found = []
    for address in item["stac_extensions"]:
        extension = address.removeprefix(ADDRESS.partition("{")[0]).removesuffix("/schema.json")
        validator = Draft7Validator(schema(extension), registry=registry())
        found += [f"{extension}: {list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(item)]
    own = get_local_schema_cache()
    core = Registry().with_resources([(name, Resource.from_contents(part, DRAFT7)) for name, part in own.items()])
    stac = own["https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"]
    return found + [f"STAC: {error.message}" for error in Draft7Validator(stac, registry=core).iter_errors(item)]


@pytest.fixture(params=["with evidence", "without"])
def item(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    network = AgrUNet(AgrUNetConfig(bands=2, classes=2, filters=(4, 8), hidden=4))
    whole = request.param == "with evidence"
    config = CheckpointConfig(
        network=network.config,
        bands=("B04", "B08"),
        normalisation=Normalisation(mean=(700.5, 2500.25), std=(300.0, 900.0)),
        months=(10, 7),
        min_clear=0.5,
        min_acquisitions=3,
        level="L2A",
        classes=("soft winter wheat", "maize"),
        patch_size=64,
        footprint={"type": "Polygon", "coordinates": [[[4, 50], [5, 50], [5, 51], [4, 50]]]},
        years=(2019,),
        synthetic=False,
        scores=(Scores(split="hold-out", oa=0.9, miou=0.7, dice=0.8, n_pixels=10),) if whole else (),
        calibration=(calibration(torch.ones(3, BINS).numpy(), "hold-out"),) if whole else (),
        evidence="hold-out" if whole else None,
        training_data={"labels": "ab" * 32, "patches": "cd" * 32} if whole else {},
        start_from=StartRecord(name="land", weights="ef" * 32, synthetic=True) if whole else None,
    )
    fields = (MappedField(name="32631_1_2", label=0, mapped=(1, 2, 3)),)
    evidence = FieldEvidence(kind="hold-out", classes=config.classes, fields=fields) if whole else None
    save_checkpoint(tmp_path / "model", network, config, evidence)
    loaded: dict[str, Any] = json.loads((tmp_path / "model" / "item.json").read_text())
    return loaded


def test_the_item_is_valid(item: dict[str, Any]) -> None:
    assert problems(item) == []


def test_the_item_of_what_comes_with_the_software_is_valid() -> None:
    assert problems(json.loads(SHIPPED.read_text(encoding="utf-8"))) == []


def test_the_schemas_would_notice(item: dict[str, Any]) -> None:
    properties = item["properties"]
    properties["mlm:tasks"] = ["farming"]
    assert any(problem.startswith("mlm/v1.4.0") for problem in problems(item))
    properties["mlm:tasks"] = ["semantic-segmentation"]
    properties["mlm:output"][0]["classification:classes"][0]["name"] = "soft winter wheat"
    assert any("soft winter wheat" in problem for problem in problems(item))


def test_the_item_names_what_was_learnt_from_and_its_evidence(item: dict[str, Any], tmp_path: Path) -> None:
    properties = item["properties"]
    whole = properties["cropline:evidence"] is not None
    digests = {name: {"file:checksum": "1220" + digest * 32} for name, digest in (("labels", "ab"), ("patches", "cd"))}
    assert properties["cropline:training_data"] == (digests if whole else {})
    assert properties["mlm:pretrained"] == whole
    assert properties.get("mlm:pretrained_source") == ("land, which learnt from simulated land" if whole else None)
    assert properties.get("cropline:start_from", {}).get("weights") == ("ef" * 32 if whole else None)
    assert ("fields" in item["assets"]) == whole
