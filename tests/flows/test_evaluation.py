"""Evaluations and samples as flow and commands do them: names to files, what is printed, what the UI is shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluation_kit
import pystac
import pytest

from catalog.delivered_maps import map_folder, name_of
from catalog.errors import DeliveryError, RequestError
from catalog.registry import Registry
from flows import evaluate as flow_module
from flows.commands.evaluate import sample
from flows.evaluation import evaluate_map, sample_map
from flows.reporting import artifacts
from flows.reporting.evaluation import Evaluated, accuracy_rows, headlines, matrix_rows
from flows.reporting.progress import Lines
from flows.settings import Settings
from processors.evaluation.drawing import SampleWish


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=str(tmp_path / "store"), base=tmp_path)


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """A delivery that is listed in the store."""
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    Registry(settings.open_store()).add_map(folder / "item.json")
    return folder


def fields(folder: Path) -> Path:
    path = folder / "fields.geojson"
    rows = [((30, 30, 40, 40), "maize"), ((50, 50, 60, 60), "winter wheat"), ((70, 70, 80, 80), "rice")]
    evaluation_kit.parcels(rows).to_crs(4326).to_file(path)
    return path


def test_a_map_goes_by_its_folder_its_file_or_its_name_in_the_store(
    tmp_path: Path, settings: Settings, folder: Path
) -> None:
    store = settings.open_store()
    name = json.loads((folder / "item.json").read_text())["id"]
    assert map_folder(store, name, tmp_path) == folder
    assert map_folder(store, "map", tmp_path) == folder
    assert map_folder(store, str(folder / "crop_map.tif"), Path("/")) == folder
    assert name_of(store, folder) is not None
    assert name_of(store, tmp_path) is None
    with pytest.raises(
        DeliveryError, match=rf"^map 'other': neither the folder of a delivery nor a map of this store \({name}\)"
    ):
        map_folder(store, "other", tmp_path)


def test_an_evaluation_reaches_the_delivery_and_the_list_of_maps(
    tmp_path: Path, settings: Settings, folder: Path
) -> None:
    fields(tmp_path)
    evaluated = evaluate_map(settings, Lines(), "map", "fields.geojson")
    assert evaluated.delivery == str(folder)
    assert Path(evaluated.files[0]).is_file()
    (place,) = (tmp_path / "store" / "maps").glob("*/*.json")
    listed = pystac.Item.from_file(str(place))
    assert (place.parent / listed.assets["evaluation"].href).resolve() == Path(evaluated.files[0])


def test_a_sample_is_never_written_over_what_may_be_filled_in(tmp_path: Path, settings: Settings, folder: Path) -> None:
    wish = SampleWish(points=80, minimum=10)
    drawn = sample_map(settings, Lines(), str(folder), None, wish)
    assert drawn.sample == str(tmp_path / "map-sample.gpkg")
    before = Path(drawn.sample).read_bytes()
    with pytest.raises(RequestError, match=r"^output: .*map-sample.gpkg is there already"):
        sample_map(settings, Lines(), str(folder), None, wish)
    assert Path(drawn.sample).read_bytes() == before
    again = sample_map(settings, Lines(), str(folder), None, wish, replace=True)
    assert again.design == drawn.design
    with pytest.raises(RequestError, match=r"^output: x.shp is no GeoPackage's name"):
        sample_map(settings, Lines(), str(folder), "x.shp", wish)


def test_what_is_shown_tells_figures_and_all_that_has_to_be_known(
    tmp_path: Path, settings: Settings, folder: Path
) -> None:
    fields(tmp_path)
    made = evaluate_map(settings, Lines(), "map", "fields.geojson").evaluation
    lines = list(headlines(made))
    assert lines[0].startswith("Overall accuracy ")
    assert "2 parcels of fields.geojson" in lines[0]
    assert any("Parcels are counted one by one" in line for line in lines)
    assert lines[-1] == "Not used: 1 of a class that the map's legend doesn't know (rice)."
    rows = accuracy_rows(made)
    assert [row["class"] for row in rows] == list(evaluation_kit.NAMES.values())
    assert "estimated area, ha" not in rows[0]
    matrix = matrix_rows(made)
    assert sum(int(row[name]) for row in matrix for name in row if name != "map") == 2


def test_the_ui_is_shown_tables_and_a_picture_with_users_text_as_text(
    tmp_path: Path, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields(tmp_path)
    evaluated = evaluate_map(settings, Lines(), "map", "fields.geojson")
    shown: dict[str, Any] = {}

    class Told:
        def put(self, _key: str, send: Callable[[], object]) -> None:
            send()

    for module in (artifacts, flow_module):
        monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("run"))
    monkeypatch.setattr(artifacts, "Outbox", Told)
    monkeypatch.setattr(
        artifacts, "create_table_artifact", lambda rows, key, description: shown.update({key: (rows, description)})
    )
    monkeypatch.setattr(artifacts, "create_image_artifact", lambda address, key, **_: shown.update({key: address}))
    nasty = evaluated.evaluation.model_copy(
        update={
            "unknown_classes": ("<img src=x>",),
            "classes": tuple(one.model_copy(update={"name": f"*{one.name}*"}) for one in evaluated.evaluation.classes),
        }
    )
    flow_module.publish(
        artifacts.Artifacts(flow_module.SHARES),
        Evaluated(delivery=evaluated.delivery, files=evaluated.files, evaluation=nasty),
    )
    assert set(shown) == {"accuracy", "confusion", "confusion-picture", "not-used"}
    assert shown["confusion-picture"].startswith("data:image/png;base64,")
    assert shown["accuracy"][0][1]["class"] == r"\*winter wheat\*"
    assert r"\<img src=x\>" in shown["accuracy"][1]
    assert sum(flow_module.SHARES.values()) == 100


def test_the_commands_draw_evaluate_and_fail_in_one_line(
    tmp_path: Path, folder: Path, run_command: Any, environment_of: Callable[..., dict[str, str]]
) -> None:
    env = environment_of(tmp_path / "store")
    fields(tmp_path)

    def cropline(*words: str) -> Any:
        return run_command("cropline", *words, cwd=tmp_path, env=env)

    drawn = cropline("sample", "map", "--points", "80", "--minimum", "10", "--expect", "maize=0.9", "--json")
    assert drawn.returncode == 0, drawn.stderr
    told = json.loads(drawn.stdout.splitlines()[-1])
    assert sum(stratum["points"] for stratum in told["design"]["strata"]) == 80
    assert "points" not in told["design"]
    assert Path(told["sample"]).is_file()
    evaluated = cropline("evaluate", "map", "fields.geojson", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    made = json.loads(evaluated.stdout.splitlines()[-1])["evaluation"]
    assert (made["design"], made["unit"], made["unused"]) == ("unknown", "parcel", {"unknown_class": 1})
    failed = cropline("evaluate", "map", "map-sample.gpkg")
    assert failed.returncode == 1
    message = failed.stderr.splitlines()[-1]
    assert message.endswith("nothing of it can be compared with the map: 80 without a class.")
    assert failed.stdout == ""


def test_an_expectation_that_is_none_is_refused_before_anything_is_read() -> None:
    with pytest.raises(RequestError, match=r"^expect: 'maize' is no CLASS=ACCURACY"):
        sample("map", expect=["maize"])
    with pytest.raises(RequestError, match=r"^expect: 'maize=1.5' is no CLASS=ACCURACY"):
        sample("map", expect=["wheat=0.5", "maize=1.5"])
