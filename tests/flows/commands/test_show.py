"""What `cropline show` prints of a delivery, and when it opens the report instead."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import evaluation_kit
import pytest
from typer.testing import CliRunner, Result

from flows.commands.main import app


@pytest.fixture
def delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return evaluation_kit.delivered(tmp_path, evaluation_kit.pixels(), notes=("Not masked to cropland.",))


def show(*words: object) -> Result:
    return CliRunner().invoke(app, ["show", *map(str, words)])


def test_a_delivery_is_told_at_a_glance(delivery: Path) -> None:
    text = show(delivery, "--text").stdout
    rows = [line for line in text.splitlines() if " ha  " in line]
    hectares = [float(row.split(" ha")[0].split()[-1].replace(",", "")) for row in rows]
    assert rows
    assert hectares == sorted(hectares, reverse=True)
    assert rows[0].count("█") == max(row.count("█") for row in rows)
    assert "! Not masked to cropland." in text
    assert str(delivery) in text
    assert "crop_map.tif" in text


def test_without_a_browser_it_is_printed_and_with_one_the_report_opens(
    delivery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))
    done = show(delivery)
    assert (done.exit_code, opened) == (0, [])
    assert "There is no browser here" in done.stderr
    monkeypatch.setenv("DISPLAY", ":0")
    done = show(delivery)
    assert (done.exit_code, opened) == (0, [(delivery / "report.html").as_uri()])
    assert done.stdout.startswith("opened")


def test_the_item_is_given_as_json(delivery: Path) -> None:
    assert json.loads(show(delivery, "--json").stdout) == json.loads((delivery / "item.json").read_text())


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_delivery_is_told_so(delivery: Path, name: str) -> None:
    done = show(name)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "deliver" in str(done.exception)
