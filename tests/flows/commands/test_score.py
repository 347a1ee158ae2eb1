"""`cropline score`: only deliveries of a mission have a truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import delivery_kit
import pytest

from catalog.errors import DeliveryError
from flows.commands.score import score
from flows.settings import Settings
from processors.delivery.deliver import deliver
from processors.simulation.source import MissionSource


def delivered(folder: Path, **facts: Any) -> Path:
    area = delivery_kit.window(30, 20)
    deliver(
        folder / "out",
        delivery_kit.crop_rasters(folder, area),
        (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE),
        delivery_kit.facts(area, **facts),
    )
    return folder / "out"


def test_deliveries_of_real_sources_have_no_truth(tmp_path: Path) -> None:
    folder = delivered(tmp_path)
    with pytest.raises(DeliveryError, match=r"made from stac:catalog.json, of which no truth is known"):
        score(folder, Settings(store=str(tmp_path / "store")), lambda *_: None)
    assert not (folder / "truth.json").exists()


def test_another_version_of_the_mission_has_another_truth(tmp_path: Path) -> None:
    folder = delivered(tmp_path, source="mission:seed=1,farming=france", source_id="mission-old")
    with pytest.raises(DeliveryError, match=r"another version of the simulated mission. Make it again"):
        score(folder, Settings(store=str(tmp_path / "store")), lambda *_: None)


def test_what_is_no_delivery_is_said(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text('{"properties": {}}')
    with pytest.raises(DeliveryError, match="no delivery of this project"):
        score(tmp_path, Settings(store=str(tmp_path / "store")), lambda *_: None)


def test_a_delivery_is_scored_by_the_store_that_made_it(tmp_path: Path) -> None:
    source = MissionSource("seed=1")
    request = {"area": [4.06, 50.74, 4.07, 50.75], "year": 2019, "source": source.address}
    folder = delivered(tmp_path, source=source.address, source_id=source.id, request=request)
    with pytest.raises(DeliveryError, match=r"was not made by the store .*store. Name its store in CROPLINE_STORE"):
        score(folder, Settings(store=str(tmp_path / "store")), lambda *_: None)
