"""Runs are told apart in a list by place and digest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import Point

from flows.checked_request import check_request
from flows.run_name import position, run_name
from flows.settings import Settings


def test_name_holds_place_and_the_digest_of_the_runs_folder(parameters: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "store"), base=tmp_path)
    request = check_request(parameters, tmp_path, settings)
    name = run_name("vegetation", parameters, settings)
    assert name.startswith("vegetation 2019 50.7")
    assert name.endswith(f" {request.digest[:6]}")
    assert run_name("vegetation", request.model_dump(mode="json"), settings) == name, "as the plugin sends it"


@pytest.mark.parametrize(
    ("x", "y", "said"), [(4.063, 50.746, "50.75N 4.06E"), (151.21, -33.87, "33.87S 151.21E"), (-60, 0, "0.00N 60.00W")]
)
def test_position_names_both_hemispheres(x: float, y: float, said: str) -> None:
    assert position(Point(x, y)) == said


def test_what_is_no_request_has_a_name_too(tmp_path: Path) -> None:
    assert run_name("crop-map", {"area": [1, 2], "year": 2019}, Settings(store=str(tmp_path))) == "crop-map 2019"
