"""The flows' parameters say the same as the request: names, bounds, defaults and descriptions."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema

from flows.crop_map import crop_map
from flows.evaluate import evaluate
from flows.reprocess import reprocess
from flows.request import RUN_PARAMETERS, TRAINING_PARAMETERS, MapRequest
from flows.retrain import retrain

IGNORED = ("title", "position")
"""What the UI's form adds."""


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in field.items() if key not in IGNORED}
        for name, field in schema["properties"].items()
    }


REQUEST = MapRequest.model_json_schema()


@pytest.mark.parametrize("name", MapRequest.model_fields)
def test_flow_parameter_is_the_request_field(name: str) -> None:
    schema = parameter_schema(crop_map).model_dump()
    assert _properties(schema)[name] == _properties(REQUEST)[name]


def test_flow_takes_what_a_request_has() -> None:
    schema = parameter_schema(crop_map).model_dump()
    assert list(schema["properties"]) == [*REQUEST["properties"], *RUN_PARAMETERS]
    assert schema["required"] == REQUEST["required"] == ["area", "year"]


@pytest.mark.parametrize(
    "name", [name for name in TRAINING_PARAMETERS if name not in ("labels", "min_acquisitions", "training")]
)
def test_training_takes_the_request_fields(name: str) -> None:
    schema = parameter_schema(retrain).model_dump()
    assert _properties(schema)[name] == _properties(REQUEST)[name]


def test_training_needs_labels_and_bounds_its_processes() -> None:
    schema = parameter_schema(retrain).model_dump()
    assert schema["required"] == ["area", "year", "labels"]
    assert schema["properties"]["processes"]["minimum"] == 1
    assert {*schema["properties"]} == {*TRAINING_PARAMETERS, "processes", "promote"}
    assert schema["properties"]["promote"]["enum"] == ["evidence", "always"]
    assert schema["properties"]["promote"]["default"] == "evidence"


@pytest.mark.parametrize("flow", [crop_map, evaluate, retrain, reprocess])
def test_every_parameter_is_described(flow: Any) -> None:
    schema = parameter_schema(flow).model_dump()
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []
