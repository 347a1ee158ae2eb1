"""Metrics of an installation: what they are made from, and what they say where something is missing."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from monitoring_kit import OF_GPUS
from prometheus_client.parser import text_string_to_metric_families

from catalog.errors import StoreError
from catalog.storage.bucket_path import bucket_path
from catalog.storage.credentials import S3Access
from catalog.storage.store import Store
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.metrics import exposition
from flows.totals import TOTALS, count_delivery, count_ingested, count_masked, count_stage
from processors.engine.gpu_load import GpuLoad, gpu_loads
from processors.ingest.acquisition import IngestResult
from processors.mask.acquisition import MaskResult

ORDER: Any = SimpleNamespace(source="stac:https://somewhere.example/catalog.json")


def samples(store: Store, api: Any = None) -> dict[tuple[str, ...], float]:
    """The page as Prometheus' own parser reads it: values by name and labels' values."""
    page = exposition(store, api).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_a_store_in_which_nothing_ran_has_disks_and_no_counts(tmp_path: Path) -> None:
    found = samples(Store(tmp_path / "store"))
    assert found["cropline_disk_free_bytes", "store"] > 0
    assert {name for name, *_ in found} == {"cropline_info", "cropline_disk_free_bytes", "cropline_disk_size_bytes"}
    assert not (tmp_path / "store").exists(), "looking makes nothing"


def test_counts_grow_by_kind_of_source_stage_and_processor(tmp_path: Path) -> None:
    store = Store(tmp_path)
    read = IngestResult(acquisition="a", written=("x", "y"), read_bytes=1000, stored_bytes=400)
    there, not_read = IngestResult(acquisition="b", skipped=("x",)), IngestResult(acquisition="c")
    for _ in range(2):
        count_ingested(store, ORDER, [read, there, not_read])
    count_masked(store, ORDER, [MaskResult(acquisition="a", masked=("x", "y"))])
    count_stage(store, "season", 1.5)
    count_stage(store, "season", 2.0)
    count_delivery(store, "vegetation")
    found = samples(store)
    assert {key: value for key, value in found.items() if key[-1] == "stac:https"} == {
        ("cropline_acquisitions_read_total", "stac:https"): 2,
        ("cropline_acquisitions_unread_total", "stac:https"): 2,
        ("cropline_cells_written_total", "stac:https"): 4,
        ("cropline_cells_masked_total", "stac:https"): 2,
        ("cropline_read_bytes_total", "stac:https"): 2000,
        ("cropline_stored_bytes_total", "stac:https"): 800,
    }
    assert found["cropline_stage_seconds_count", "season"] == 2
    assert found["cropline_stage_seconds_sum", "season"] == 3.5
    assert found["cropline_deliveries_total", "vegetation"] == 1


def test_what_is_not_read_is_counted_from_zero_on(tmp_path: Path) -> None:
    """Prometheus doesn't see the first step of a series that begins with it."""
    store = Store(tmp_path)
    count_ingested(store, ORDER, [IngestResult(acquisition="a", written=("x",))])
    assert samples(store)["cropline_acquisitions_unread_total", "stac:https"] == 0


def test_processes_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from catalog.storage.store import Store; from flows.totals import count_stage\n"
        "for _ in range(20): count_stage(Store(Path(sys.argv[1])), 'season', 0.5)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait(300) for process in running] == [0, 0, 0]
    assert samples(Store(tmp_path))["cropline_stage_seconds_count", "season"] == 60


def test_a_run_does_not_fail_where_it_cannot_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    count_stage(Store(tmp_path / "file"), "season", 1.0)
    assert "Not counted for the metrics" in caplog.text
    (tmp_path / TOTALS).write_text("{")
    count_stage(Store(tmp_path), "season", 1.0)
    assert f"{tmp_path / TOTALS}" in caplog.text
    with pytest.raises(StoreError, match=r"totals.json .*Remove it"):
        samples(Store(tmp_path))


def test_cubes_in_a_bucket_have_no_disk(tmp_path: Path) -> None:
    found = samples(Store(tmp_path, bucket_path("s3://bucket/cubes", S3Access())))
    assert [key for key in found if key[0] == "cropline_disk_free_bytes"] == [("cropline_disk_free_bytes", "store")]


class Server:
    """An API with one queue, as Prefect answers; asked in a real server by `test_server.py`."""

    def __init__(self, states: dict[str, int], first: dict[str, Any] | None) -> None:
        self._states, self._first = states, first

    def ask(self, path: str, _body: dict[str, Any] | None = None) -> Any:
        if path.endswith("/queues/filter"):
            return [{"name": "interactive"}]
        if path.endswith("/workers/filter"):
            now = datetime.now(UTC).isoformat()
            return [{"name": name, "status": name, "last_heartbeat_time": now} for name in ("ONLINE", "OFFLINE")]
        if path == "flow_runs/history":
            return [{"states": [{"state_type": name, "count_runs": count} for name, count in self._states.items()]}]
        assert path == "flow_runs/filter"
        return [] if self._first is None else [self._first]


def test_a_queue_is_as_old_as_the_run_that_has_waited_longest(tmp_path: Path) -> None:
    since = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    api: Any = Server({"SCHEDULED": 3, "RUNNING": 1}, {"expected_start_time": since, "start_time": since})
    found = samples(Store(tmp_path), api)
    assert found["cropline_runs", "interactive", "scheduled"] == 3
    assert found["cropline_runs", "interactive", "failed"] == 0, "there before anything fails"
    assert 600 <= found["cropline_queue_age_seconds", "interactive"] < 900
    assert 600 <= found["cropline_longest_run_seconds", "interactive"] < 900
    assert found["cropline_workers_online",] == 1
    api = Server({"COMPLETED": 3}, None)
    assert samples(Store(tmp_path), api)["cropline_queue_age_seconds", "interactive"] == 0
    api = Server({"PENDING": 1, "RUNNING": 1}, None)
    assert samples(Store(tmp_path), api)["cropline_queue_age_seconds", "interactive"] == 0, "it began meanwhile"


def test_a_server_that_does_not_answer_is_an_error_and_no_gap(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no answer"):
        exposition(Store(tmp_path), Api("http://127.0.0.1:9/api", None))


def test_gpus_are_told_as_their_driver_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two, the second is in parts, of which the driver tells no load."""
    calls: list[str] = []
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: calls.append("init"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 3)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", _handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda _: SimpleNamespace(total=80, used=20))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", _rates)
    assert gpu_loads() == [GpuLoad("0", 0.37, 80, 20), GpuLoad("1", None, 80, 20)]
    assert calls == ["init", "shutdown"]
    found = samples(Store(tmp_path))
    assert {name for name, *_ in found if "gpu" in name} == OF_GPUS
    assert found["cropline_gpu_busy_ratio", "0"] == 0.37
    assert ("cropline_gpu_busy_ratio", "1") not in found


def _handle(number: int) -> int:
    if number == 2:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
    return number


def _rates(gpu: int) -> Any:
    if gpu == 1:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return SimpleNamespace(gpu=37, memory=5)


def test_without_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", none)
    assert not [key for key in samples(Store(tmp_path)) if "gpu" in key[0]]


def test_no_label_names_a_request_or_a_run(tmp_path: Path) -> None:
    api: Any = Server({"RUNNING": 1}, None)
    store = Store(tmp_path)
    count_ingested(store, ORDER, [IngestResult(acquisition="a", written=("x",))])
    count_stage(store, "season", 1.0)
    count_delivery(store, "vegetation")
    labels = {
        name
        for family in text_string_to_metric_families(exposition(store, api).decode())
        for sample in family.samples
        for name in sample.labels
    }
    assert labels == {"queue", "state", "source", "stage", "processor", "place", "version", "prefect"}
