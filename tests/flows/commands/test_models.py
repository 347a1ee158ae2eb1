"""`cropline models` lists the generations, and takes a person's word on which is in use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from thematic_kit import write_model
from typer.testing import CliRunner

from catalog.errors import ModelError
from catalog.promotions import Decision, decided
from catalog.registry import Registry
from catalog.storage.store import Store
from flows.commands.main import app

GROUND = {"type": "Polygon", "coordinates": [[[4, 50], [5, 50], [5, 51], [4, 51], [4, 50]]]}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two models on the same ground, of which the second did no better."""
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    registry = Registry(Store(tmp_path / "store"))
    score = {"split": "hold-out", "oa": 0.9, "miou": 0.7, "dice": 0.8, "n_pixels": 10}
    names = []
    for number in (1, 2):
        changes: dict[str, Any] = {
            "footprint": GROUND,
            "min_acquisitions": number,
            "scores": (score,),
            "evidence": "hold-out",
        }
        names.append(registry.add_model(write_model(tmp_path / f"trained-{number}", ("B04",), **changes)).name)
    registry.decide(decided(names[0], Decision.FIRST, "the first of its kind"))
    registry.decide(decided(names[1], Decision.NOT_BETTER, "mIoU 0.700 against 0.700", names[0]))
    return names[0], names[1]


def told(*words: str) -> str:
    done = CliRunner().invoke(app, ["models", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_listing_says_which_is_in_use_and_why(models: tuple[str, str]) -> None:
    first, second = models
    text = told()
    assert f"{first}  in use  proven, hold-out mIoU 0.700, OA 0.900  synthetic\n" in text
    assert "promoted: the first of its kind" in text
    assert f"{second}  not in use  proven, hold-out mIoU 0.700, OA 0.900  synthetic\n" in text
    assert "not promoted: mIoU 0.700 against 0.700" in text
    assert "comes with the software, for synthetic sources only" in text


def test_a_listing_as_json(models: tuple[str, str]) -> None:
    answer = json.loads(told("--json").splitlines()[-1])
    assert {entry["name"]: entry["in_use"] for entry in answer["models"]} == {models[0]: True, models[1]: False}
    assert [entry["name"] for entry in answer["shipped"]] == ["simulated-18-crops"]


def test_a_person_promotes_and_goes_back(models: tuple[str, str]) -> None:
    first, second = models
    assert told("promote", second) == f"{second}  promoted by the user, in place of {first}\n"
    assert f"{second}  in use" in told()
    answer = json.loads(told("rollback", "--json").splitlines()[-1])
    assert (answer["model"], answer["decision"]) == (second, "rolled back")
    text = told()
    assert f"{first}  in use" in text
    assert f"rolled back: rolled back by the user, to {first}" in text


def test_what_cannot_be_done_is_said(models: tuple[str, str]) -> None:
    with pytest.raises(ModelError, match="no other model that was promoted serves where it does"):
        told("rollback")
    with pytest.raises(ModelError, match="model 'nothing': no usable model of this installation"):
        told("promote", "nothing")
    with pytest.raises(ModelError, match="is in use already"):
        told("promote", models[0])
