"""`cropline score`: only deliveries of a mission have a truth."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from catalog.errors import DeliveryError
from flows.score import score
from flows.settings import Settings
from processors.deliver import deliver


@pytest.fixture
def kit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "processors")
    return importlib.import_module("delivery_kit")


def delivered(kit: ModuleType, folder: Path, **facts: Any) -> Path:
    area = kit.window(30, 20)
    deliver(folder / "out", kit.crop_rasters(folder, area), (kit.CROP_MAP, kit.CONFIDENCE), kit.facts(area, **facts))
    return folder / "out"


def test_deliveries_of_real_sources_have_no_truth(kit: ModuleType, tmp_path: Path) -> None:
    folder = delivered(kit, tmp_path)
    with pytest.raises(DeliveryError, match=r"made from stac:catalog.json, of which no truth is known"):
        score(folder, Settings(store=str(tmp_path / "store")), lambda *_: None)
    assert not (folder / "truth.json").exists()


def test_another_version_of_the_mission_has_another_truth(kit: ModuleType, tmp_path: Path) -> None:
    folder = delivered(kit, tmp_path, source="mission:seed=1,farming=france", source_id="mission-old")
    with pytest.raises(DeliveryError, match=r"another version of the simulated mission. Make it again"):
        score(folder, Settings(store=str(tmp_path / "store")), lambda *_: None)


def test_what_is_no_delivery_is_said(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text('{"properties": {}}')
    with pytest.raises(DeliveryError, match="no delivery of this project"):
        score(tmp_path, Settings(store=str(tmp_path / "store")), lambda *_: None)
