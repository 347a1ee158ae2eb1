"""Declared parcels judged by a whole run; ids, declarations and places stay out of what is shown of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
from shapely.geometry import box

from catalog.errors import RequestError
from flows.checked_request import check_request
from flows.settings import Settings

SCRIPT = """
import json, logging
from flows.prefect_process.isolation import isolated_prefect
from flows.prefect_process.temporary_server import temporary_server

with temporary_server() as server, isolated_prefect(server):
    from prefect.client.orchestration import get_client
    from flows.crop_map import crop_map

    logs = []
    class Kept(logging.Handler):
        def emit(self, record):
            logs.append(record.getMessage())
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addHandler(Kept())
        logging.getLogger(name).setLevel(logging.DEBUG)
    crop_map(**json.load(open("aoi.json")))
    with get_client(sync_client=True) as client:
        artifacts = [[artifact.key, artifact.data, artifact.description] for artifact in client.read_artifacts()]
        runs = [[run.name, run.parameters, run.state.message] for run in client.read_flow_runs()]
        tasks = [[run.name, run.task_inputs, run.state.message] for run in client.read_task_runs()]
    print(json.dumps([artifacts, logs, runs, tasks], default=str))
"""
SECRET = "HOLDING-4711"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory, mission_archive: Any) -> Path:
    """The parcels of the archive with ids, as they are; the last one's crop is unknown."""
    folder = tmp_path_factory.mktemp("declared")
    frame = geopandas.read_parquet(mission_archive.parcels)
    frame = frame[frame.intersects(box(*mission_archive.window.bounds).buffer(-20))]
    frame = frame.reset_index(drop=True)[["hcat", "geometry"]].rename(columns={"hcat": "EC_hcat_c"})
    frame["id"] = [f"{SECRET}-{number}" for number in range(len(frame))]
    frame.loc[len(frame) - 1, "EC_hcat_c"] = "3399887700"
    frame.to_parquet(folder / "parcels.parquet")
    return folder / "parcels.parquet"


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
    mission_archive: Any,
    declared: Path,
    run_script: Callable[..., Any],
) -> tuple[Path, list[Any], str]:
    folder = tmp_path_factory.mktemp("conformity")
    request = {
        "area": mission_archive.area, "year": 2019, "months": [1, 7], "source": mission_archive.source, "processor": "conformity",
        "parcels": str(declared), "output": str(folder / "map"), "parameters": {"least_pixels": 4},
    }  # fmt: skip
    (folder / "aoi.json").write_text(json.dumps(request))
    done = run_script(SCRIPT, folder)
    return folder / "map", json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_each_parcel_gets_a_verdict(told: tuple[Path, list[Any], str], declared: Path) -> None:
    frame = geopandas.read_parquet(told[0] / "conformity.parquet")
    given = geopandas.read_parquet(declared)
    assert list(frame["parcel_id"]) == list(given["id"])
    assert list(frame["declared"]) == list(given["EC_hcat_c"])
    assert frame["verdict"].iloc[-1] == "not in the legend"
    assert {"conform"} < set(frame["verdict"])
    assert set(frame["model"]) == {"simulated-18-crops"}
    assert frame["p_declared"].dropna().between(0, 1).all()
    assert (frame["verdict"][frame["pixels_inside"] < 4] != "conform").all()


def test_artifacts_logs_and_states_hold_counts_alone(told: tuple[Path, list[Any], str], declared: Path) -> None:
    folder, (artifacts, logs, runs, tasks), stderr = told
    shown = {key: (data, description) for key, data, description in artifacts}
    data, _ = shown["conformity"]
    rows = json.loads(data) if isinstance(data, str) else data
    counts = geopandas.read_parquet(folder / "conformity.parquet")["verdict"].value_counts()
    assert {row["verdict"]: int(row["parcels"]) for row in rows if row["parcels"] != "0"} == counts.to_dict()
    assert any("conformity: " in message and " conform" in message for message in logs)
    frame = geopandas.read_parquet(declared).to_crs(4326)
    places = [f"{x:.4f}" for x, _ in (polygon.exterior.coords[0] for polygon in frame.geometry)]
    everything = json.dumps([artifacts, logs, runs, tasks]) + stderr
    item = (folder / "item.json").read_text()
    for word in (SECRET, "3399887700", *frame["EC_hcat_c"].unique(), *places):
        assert word not in everything
        assert word not in json.dumps(json.loads(item)["properties"])


def test_a_request_without_parcels_is_refused_before_anything_is_read(
    tmp_path: Path, parameters: dict[str, Any]
) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    with pytest.raises(RequestError, match="parcels: conformity judges declared parcels, and the request names none"):
        check_request({**parameters, "processor": "conformity"}, tmp_path, settings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"false_alarms": 0}, "parameters.false_alarms"),
        ({"classes": "hcat4"}, "parameters.classes"),
        ({"kolumn": "x"}, "parameters.kolumn"),
        ({"column": "kultur"}, "parameters.column: parcels.parquet has no column 'kultur'. It has EC_hcat_c, id"),
        ({"id": "nr"}, "parameters.id: parcels.parquet has no column 'nr'"),
    ],
)
def test_parameters_are_checked(
    tmp_path: Path, parameters: dict[str, Any], declared: Path, given: dict[str, Any], said: str
) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    request = {**parameters, "processor": "conformity", "parcels": str(declared), "parameters": given}
    with pytest.raises(RequestError, match=said):
        check_request(request, tmp_path, settings)
