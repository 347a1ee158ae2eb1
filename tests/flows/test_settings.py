"""Settings come from the environment, and what can't be understood is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from catalog.errors import RequestError, StoreError
from catalog.grid import Cell
from catalog.storage.bucket_path import BucketPath
from catalog.storage.store import Store
from flows.prefect_process.server_file import service_store
from flows.prefect_process.services import environment_of
from flows.reporting.json_lines import VARIABLES
from flows.settings import Settings, load_settings
from processors.mask.options import USUAL_MASK


def test_variables_of_the_environment_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("CROPLINE_MAX_AREA_KM2", "10")
    settings = load_settings()
    assert settings.open_store().root == tmp_path / "store"
    assert settings.max_area_km2 == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CROPLINE_WORKERS", "none"),
        ("CROPLINE_MAX_AREA_KM2", "-1"),
        ("CROPLINE_PROCESSES", "0"),
        ("CROPLINE_DASK", "many"),
        ("CROPLINE_REPORTS", "https://maps.example.org"),
        ("CROPLINE_REPORTS", "maps=https://maps.example.org"),
    ],
)
def test_variable_that_cannot_be_understood_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match=rf"^{name}: .*got '{value}'"):
        load_settings()


def test_a_day_can_be_taken_for_today(monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(load_settings().now - datetime.now(UTC)) < timedelta(minutes=5)
    monkeypatch.setenv("CROPLINE_TODAY", "2019-05-01")
    assert load_settings().now == datetime(2019, 5, 1, tzinfo=UTC)
    monkeypatch.setenv("CROPLINE_TODAY", "2019-05-01T12:30+02:00")
    assert load_settings().now == datetime(2019, 5, 1, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "why"), [("May", "no date such as"), ("2019-13-01", "no date"), ("2099-01-01", "future")]
)
def test_a_day_that_cannot_be_today_is_refused(value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPLINE_TODAY", value)
    with pytest.raises(RequestError, match=rf"^CROPLINE_TODAY: .*{why}.*got '{value}'"):
        load_settings()


def test_options_of_masks_are_a_json_object_of_those_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().mask == USUAL_MASK
    monkeypatch.setenv("CROPLINE_MASK", '{"l2a": {"dilation": 80, "clear": [4, 5, 6, 7, 11]}}')
    mask = load_settings().mask
    assert (mask.l2a.dilation, mask.l2a.clear, mask.l2a.dilated) == (80, (4, 5, 6, 7, 11), (3, 8, 9))
    assert mask.l1c == USUAL_MASK.l1c


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"l2a": {"dilation": -5}}', r"^CROPLINE_MASK l2a dilation: .*greater than or equal to 0, got -5\. Correct"),
        ('{"l2a": {"dilated": [4]}}', r"^CROPLINE_MASK l2a: .*both clear and dilated"),
        ('{"l3": {}}', r"^CROPLINE_MASK l3: Extra inputs"),
        ("60", r"^CROPLINE_MASK: .*got 60"),
        ('{"l2a": ', r"^CROPLINE_MASK: no JSON object .*column 9.*Correct or unset it"),
    ],
)
def test_options_of_masks_that_make_no_sense_are_named(value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPLINE_MASK", value)
    with pytest.raises(RequestError, match=said):
        load_settings()


def test_dask_takes_threads_local_or_an_address() -> None:
    assert Settings(dask="tcp://10.0.0.1:8786").dask == "tcp://10.0.0.1:8786"
    with pytest.raises(ValidationError, match="none of 'threads', 'local'"):
        Settings(dask="many")


def _store_at(root: Path) -> Store:
    """The store of a run: its cubes are where the settings of this process say."""
    return load_settings().model_copy(update={"store": str(root)}).open_store()


def test_a_scheduler_elsewhere_is_trusted_and_given_files_by_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    with pytest.raises(RequestError, match="not encrypted"), Settings(dask="tcp://192.0.2.7:1").open_engine(store):
        pass
    with (
        pytest.raises(RequestError, match="CROPLINE_SHARED_STORE"),
        Settings(dask="tls://192.0.2.7:1").open_engine(store),
    ):
        pass
    monkeypatch.setenv("CROPLINE_SHARED_STORE", "true")
    monkeypatch.setenv("CROPLINE_DASK_INSECURE", "tcp://192.0.2.7:1")
    assert load_settings().shared_store is True
    with (
        pytest.raises(RequestError, match="no certificates"),
        load_settings().model_copy(update={"dask": "tls://192.0.2.7:1"}).open_engine(store),
    ):
        pass
    assert load_settings().dask_insecure == "tcp://192.0.2.7:1"
    assert load_settings().processes is None


def test_only_the_cubes_may_lie_in_a_bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match="Set CROPLINE_STORE to a folder; the cubes may go to a bucket: set CROPLINE_CUBES"
    ):
        Settings(store="s3://bucket/cropline").open_store()
    monkeypatch.setenv("CROPLINE_CUBES", "s3://bucket/cubes")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    store = _store_at(tmp_path)
    assert str(store.cube("s", "L2A", Cell(32631, 56, 549))) == "s3://bucket/cubes/s/L2A/32631_0056_0549.zarr"
    assert isinstance(store.cubes, BucketPath)
    assert store.cubes.access.secret == SecretStr("hush")
    assert "hush" not in repr(store)
    monkeypatch.setenv("CROPLINE_CUBES", str(tmp_path / "elsewhere"))
    assert _store_at(tmp_path).cubes == tmp_path / "elsewhere"
    monkeypatch.delenv("CROPLINE_CUBES")
    assert _store_at(tmp_path).cubes == tmp_path / "cubes"
    with pytest.raises(StoreError, match="CROPLINE_CUBES to a folder or to s3://"):
        Settings(cubes="gs://bucket/cubes").open_store()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().workers = 3  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(("cubes", "expected"), [("s3://bucket/prefix", "s3://bucket/prefix"), (None, "store/cubes")])
def test_a_worker_finds_the_cubes_where_the_installation_has_them_without_keys_being_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cubes: str | None, expected: str
) -> None:
    monkeypatch.setenv("CROPLINE_CREDENTIALS_BLOCK", "of-a-server-that-does-not-run-yet")
    settings = Settings(store=str(tmp_path / "store"), cubes=cubes)
    place = environment_of(settings, service_store(settings))["CROPLINE_CUBES"]
    assert place == (expected if cubes else str(tmp_path / expected))


def test_logs_are_json_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    assert not VARIABLES.keys() & environment_of(load_settings(), store).keys()
    monkeypatch.setenv("CROPLINE_LOG_FORMAT", "json")
    assert VARIABLES.items() <= environment_of(load_settings(), store).items()
    monkeypatch.setenv("CROPLINE_LOG_FORMAT", "xml")
    with pytest.raises(RequestError, match=r"^CROPLINE_LOG_FORMAT: .*got 'xml'"):
        load_settings()
