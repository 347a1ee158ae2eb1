"""A run knows the place that it is in, and hands a request on once, to a deployment that is there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.exceptions import ObjectNotFound

from catalog.errors import RequestError
from flows import handing_on
from flows.handing_on import HANDED_ON, hand_on, in_own_pool, measured_elsewhere
from flows.rates import RunRecord
from flows.request import MapRequest
from flows.settings import Settings

REQUEST = MapRequest(area=[3.0, 51.0, 3.1, 51.1], year=2019, places=["gpu", "cropline"], prefer="time")
RECORD = RunRecord(
    source="mission", processor="crop-map", model="a", place="gpu", work={"pixels": 1}, seconds={"thematic": 2}
)


@pytest.fixture
def in_pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes this a run of a work pool; gives the run's id."""

    def set_pool(pool: str | None) -> str:
        flow_run = SimpleNamespace(id=uuid4(), work_pool_name=pool)
        monkeypatch.setattr(handing_on.FlowRunContext, "get", lambda: SimpleNamespace(flow_run=flow_run))
        return str(flow_run.id)

    return set_pool


def test_a_worker_that_is_set_to_another_place_than_its_pool_is_refused(in_pool: Any) -> None:
    settings = Settings(place="gpu")
    assert in_own_pool(settings) == settings, "outside of a run"
    for pool in ("gpu", None):  # a subflow has none of its own
        in_pool(pool)
        assert in_own_pool(settings) == settings
    in_pool("cropline")
    with pytest.raises(RequestError, match=r"^places: .*pool cropline, .*place gpu. Set CROPLINE_PLACE=cropline"):
        in_own_pool(settings)


def test_a_request_is_handed_on_whole_and_once(in_pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own, sent = in_pool("cropline"), []

    def run_deployment(name: str, **how: Any) -> Any:
        sent.append({"name": name, **how})
        return SimpleNamespace(id=uuid4(), name="new")

    monkeypatch.setattr(handing_on, "run_deployment", run_deployment)
    monkeypatch.setattr(handing_on, "get_run_logger", lambda: SimpleNamespace(info=lambda *_: None))
    state = hand_on(REQUEST, "gpu", Settings())
    (call,) = sent
    assert state.is_completed()
    assert state.name == HANDED_ON
    assert call["name"] == "crop-map/request-gpu"
    assert call["parameters"] == {**REQUEST.model_dump(mode="json"), "stay": True}
    assert (call["timeout"], call["idempotency_key"]) == (0, own)


def test_a_place_without_a_deployment_is_said(in_pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    in_pool("cropline")

    def run_deployment(*_: Any, **__: Any) -> Any:
        raise ObjectNotFound(http_exc=RuntimeError("404"))

    monkeypatch.setattr(handing_on, "run_deployment", run_deployment)
    with pytest.raises(RequestError, match=r"no deployment crop-map/request-gpu\. Start the server again"):
        hand_on(REQUEST, "gpu", Settings())


def test_speeds_of_other_places_are_read_and_nonsense_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    own = RECORD.model_copy(update={"place": "cropline"})
    told = [f"[{RECORD.model_dump_json()}]", f"[{own.model_dump_json()}]", "[]", '[{"place": 1}]', "no JSON", None]

    class Client:
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def read_artifacts(self, **_: Any) -> list[Any]:
            return [SimpleNamespace(data=data) for data in told]

    monkeypatch.setattr(handing_on, "get_client", lambda **_: Client())
    assert measured_elsewhere(Settings()) == [RECORD]
