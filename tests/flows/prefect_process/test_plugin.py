"""`prefect deployment run … --params FILE`: what the plugin makes of the command line, and that it stays out of the rest."""

from __future__ import annotations

import io
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import shapes_kit
from prefect.plugins import HookContext

from catalog.errors import RequestError
from flows.prefect_process import plugin

RUN = ["prefect", "deployment", "run"]


def _expanded(words: list[str], base: Path) -> Any:
    argv = plugin.expand([*RUN, *words], base)
    return json.loads(argv[argv.index("--params") + 1])


def test_file_is_expanded_for_any_deployment(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text('{"name": "Ada"}')
    argv = plugin.expand([*RUN, "other/flow", "--params", "some.json", "--watch"], tmp_path)
    assert argv == [*RUN, "other/flow", "--params", '{"name": "Ada"}', "--watch"]


def test_joined_option_is_expanded_too(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text('{"name": "Ada"}')
    argv = plugin.expand([*RUN, "other/flow", "--params=some.json"], tmp_path)
    assert argv == [*RUN, "other/flow", "--params", '{"name": "Ada"}']


@pytest.mark.parametrize("words", [["other/flow"], ["other/flow", "--params"], ["other/flow", "--param", "a=1"]])
def test_other_command_lines_stay_as_they_are(words: list[str], tmp_path: Path) -> None:
    assert plugin.expand([*RUN, *words], tmp_path) == [*RUN, *words]


@pytest.mark.parametrize("form", ["file", "text", "standard input"])
def test_request_is_completed_in_every_form(
    form: str, parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    text = json.dumps({name: parameters[name] for name in ("area", "year", "source")} | {"output": "map"})
    (tmp_path / "aoi.json").write_text(text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    value = {"file": "aoi.json", "text": text, "standard input": "-"}[form]
    sent = _expanded(["crop-map/request", "--params", value], tmp_path)
    assert sent["output"] == str(tmp_path / "map")
    assert sent["min_acquisitions"] == 5


def test_a_long_area_travels_as_a_file_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any]
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    polygon = {"type": "Polygon", "coordinates": [shapes_kit.wavy_ring(4.06, 50.75, 0.01, 24_000)]}
    (tmp_path / "boundary.geojson").write_text(json.dumps(polygon))
    sent = []
    for area in (polygon, "boundary.geojson"):
        (tmp_path / "aoi.json").write_text(json.dumps({**parameters, "area": area}))
        text = plugin.expand([*RUN, plugin.REQUEST, "--params", "aoi.json"], tmp_path)[-1]
        assert len(text) < 10_000
        sent.append(json.loads(text))
    assert sent[0] == sent[1]
    kept = Path(sent[0]["area"])
    assert kept.parent == tmp_path / "store" / "areas"
    assert json.loads(kept.read_text()) == polygon


def test_more_than_prefect_takes_is_one_message(tmp_path: Path, parameters: dict[str, Any]) -> None:
    polygon = {"type": "Polygon", "coordinates": [shapes_kit.wavy_ring(4.06, 50.75, 0.01, 24_000)]}
    (tmp_path / "aoi.json").write_text(json.dumps({**parameters, "area": polygon}))
    with pytest.raises(RequestError, match=r"^--params: [\d,]+ bytes, and Prefect takes 524,288\.") as refused:
        plugin.expand([*RUN, plugin.REQUEST, "--params", "aoi.json", "-p", "year=2019"], tmp_path)
    assert len(str(refused.value)) < 300


def test_bad_request_is_refused(tmp_path: Path) -> None:
    (tmp_path / "aoi.json").write_text('{"area": [3, 51, 3.1, 51.1], "year": 2014}')
    with pytest.raises(RequestError, match="year: input should be greater than or equal to 2015"):
        plugin.expand([*RUN, "crop-map/request", "--params", "aoi.json"], tmp_path)


def test_a_dry_run_is_asked_for_beside_the_request(
    parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    sent = _expanded(["crop-map/request", "--params", json.dumps({**parameters, "dry_run": True})], tmp_path)
    assert sent["dry_run"] is True
    assert Path(sent["output"]).is_absolute(), "completed like any request"


def test_retrain_keeps_its_own_parameter(
    mission_archive: Any, parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    request = {name: parameters[name] for name in ("area", "year", "source")} | {"labels": str(mission_archive.labels)}
    sent = _expanded(["retrain/ddp", "--params", json.dumps({**request, "processes": 2})], tmp_path)
    assert sent["processes"] == 2
    assert "processor" not in sent, "the flow retrain takes none"


def test_an_evaluation_finds_its_files_from_where_the_command_runs(tmp_path: Path) -> None:
    (tmp_path / "map").mkdir()
    (tmp_path / "fields.geojson").touch()
    given = {"delivery": "map", "reference": "fields.geojson", "column": "crop"}
    sent = _expanded(["evaluate/map", "--params", json.dumps(given)], tmp_path)
    assert sent == {"delivery": str(tmp_path / "map"), "reference": str(tmp_path / "fields.geojson"), "column": "crop"}
    named = _expanded(["evaluate/map", "--params", json.dumps({**given, "delivery": "crop-map-2019-0123"})], tmp_path)
    assert named["delivery"] == "crop-map-2019-0123"
    with pytest.raises(RequestError, match=r"^reference: no file .*none.gpkg"):
        _expanded(["evaluate/map", "--params", json.dumps({**given, "reference": "none.gpkg"})], tmp_path)


@pytest.mark.parametrize(
    ("argv", "original", "expected"),
    [
        (["/venv/bin/prefect", "version"], [], True),
        (["-m", "deployment", "run"], ["python", "-m", "prefect", "deployment", "run"], True),
        (["-m", "x.py"], ["python", "-m", "pytest", "prefect"], False),
        (["/site-packages/prefect/__main__.py"], [], True),
        (["/venv/bin/pytest"], [], False),
        (["cropline", "run"], [], False),
        ([], [], False),
    ],
)
def test_only_prefect_commands_are_touched(argv: list[str], original: list[str], expected: bool) -> None:
    assert plugin.is_prefect_command(argv, original) is expected


def test_hook_does_nothing_in_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "deployment", "run", "x", "--params", "missing.json"])
    assert plugin.setup_environment(ctx=_context(None)) is None


def test_hook_ends_the_command_with_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [*RUN, "crop-map/request", "--params", "missing.json"])
    with pytest.raises(SystemExit) as ended:
        plugin.setup_environment(ctx=_context(None))
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("no request file ")


@pytest.mark.parametrize("deployment", ["crop-map/request", "retrain/ddp", "reprocess/seasonal", "evaluate/map"])
def test_without_a_server_the_command_says_what_starts_one(
    deployment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("sys.argv", [*RUN, deployment])
    with pytest.raises(SystemExit):
        plugin.setup_environment(ctx=_context(None))
    said = capsys.readouterr().err
    assert said == f"no Prefect server runs for the store {tmp_path / 'store'}. Start it with `cropline up`.\n"
    assert plugin.setup_environment(ctx=_context("http://elsewhere/api")) is None, (
        "an address that is set is the user's"
    )
    monkeypatch.setattr("sys.argv", [*RUN, "other/flow"])
    assert plugin.setup_environment(ctx=_context(None)) is None, "other deployments are none of its business"


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def test_address_of_the_server_is_used_while_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["prefect", "flow-run", "ls"])
    (tmp_path / "prefect").mkdir()
    with HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        address = f"http://127.0.0.1:{server.server_port}/api"
        (tmp_path / "prefect" / "server.json").write_text(json.dumps({"api": address}))
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            found = plugin.setup_environment(ctx=_context(None))
            assert capsys.readouterr().err == ""
            monkeypatch.setattr("sys.argv", [*RUN, "crop-map/request"])
            assert plugin.setup_environment(ctx=_context(None)) == found
            assert "the run waits until `cropline up` starts one" in capsys.readouterr().err, "there is no worker"
            monkeypatch.setattr("sys.argv", ["prefect", "flow-run", "ls"])
            (tmp_path / "prefect" / "secret").write_text("cropline:hush\n")
            secured = plugin.setup_environment(ctx=_context(None))
            named = plugin.setup_environment(ctx=_context(address))
            chosen = plugin.setup_environment(ctx=_context("http://elsewhere/api"))
        finally:
            server.shutdown()
            thread.join()
    assert found is not None
    assert found.env == {"PREFECT_API_URL": address}
    assert secured is not None
    assert secured.env == {"PREFECT_API_URL": address, "PREFECT_API_AUTH_STRING": "cropline:hush"}
    assert named is not None
    assert named.env == {"PREFECT_API_AUTH_STRING": "cropline:hush"}, "its address may be set"
    assert chosen is None, "an address that is set stays, and isn't told the secret"
    assert plugin.setup_environment(ctx=_context(None)) is None, "the server is gone"


def _context(address: str | None) -> HookContext:
    import logging

    return HookContext(prefect_version="3.8.8", api_url=address, logger_factory=logging.getLogger)
