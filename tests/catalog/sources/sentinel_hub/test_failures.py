"""What goes wrong with Sentinel Hub, what is then said and asked again, and that secrets are shown nowhere."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentinel_hub_kit
from pydantic import SecretStr

from catalog.errors import ProductError, SourceError, StoreError
from catalog.grid import Cell, Window
from catalog.order import group_acquisitions
from catalog.sources.registry import open_source
from catalog.sources.sentinel_hub.process_api import DamagedAnswerError, Layer, decoded
from catalog.storage.credentials import Credentials

crowded = pytest.mark.filterwarnings("ignore::sentinelhub.exceptions.SHRateLimitWarning")


def counted(server: Any) -> int:
    return len(server.requests("/process"))


def test_wrong_credentials_are_said_once(sentinel_hub: Any) -> None:
    access = sentinel_hub.credentials.sentinel_hub.model_copy(update={"client_secret": SecretStr("wrong-and-hidden")})
    with pytest.raises(SourceError, match=r"not accepted: .*invalid_client.* Check SH_CLIENT_ID") as failure:
        open_source("sentinelhub:", Credentials(sentinel_hub=access)).search(
            sentinel_hub_kit.area_of(sentinel_hub_kit.CELL), sentinel_hub_kit.AUGUST, "L2A"
        )
    assert "wrong-and-hidden" not in str(failure.value)
    assert len(sentinel_hub.requests("/oauth/token")) == 1


def test_an_expired_token_is_renewed(sentinel_hub: Any, tmp_path: Path) -> None:
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub.tokens.clear()
    assert np.unique(sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)["B02"]).tolist() == [700]
    assert sentinel_hub.issued == 2


def test_one_token_serves_many_acquisitions(sentinel_hub: Any, tmp_path: Path) -> None:
    product = sentinel_hub_kit.ready(sentinel_hub)
    for folder in ("a", "b"):
        sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path / folder)
    assert sentinel_hub.issued == 1


@pytest.mark.parametrize(
    ("fault", "said", "error"),
    [
        ({"status": 401, "body": {"error": {"message": "no"}}}, "not accepted: .*no.* Check SH_CLIENT_ID", SourceError),
        ({"status": 403, "body": {"error": {"message": "no such right"}}}, "may not do that.*no such right", SourceError),
        (
            {"status": 403, "body": {"error": {"message": "Insufficient processing units or requests available in your account."}}},
            "quota is used up: .*Insufficient processing units",
            SourceError,
        ),
        ({"status": 404, "body": {"error": "gone"}}, r"Check SH_BASE_URL", SourceError),
        ({"status": 400, "body": {"error": {"message": "Invalid band"}}}, "S2A_.* refuses it: HTTP 400: .*Invalid band", ProductError),
        ({"status": 429, "headers": {"Retry-After": "7200000"}}, "too many requests.*wait for 7200 s", SourceError),
    ],
    ids=["401", "403", "quota", "404", "400", "429"],
)  # fmt: skip
@crowded
def test_a_refusal_is_clear_and_not_asked_for_again(
    sentinel_hub: Any, tmp_path: Path, fault: dict[str, Any], said: str, error: type[Exception]
) -> None:
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub.faults += [sentinel_hub_kit.Fault("/process", **fault) for _ in range(50)]
    windows = [
        sentinel_hub_kit.CELL.window,
        sentinel_hub_kit.EAST.window,
        sentinel_hub_kit.FAR.window,
        Cell(32633, 51, 505).window,
    ]
    with pytest.raises(error, match=said) as failure:
        sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path, *windows)
    assert failure.value.__context__ is None or error is ProductError
    assert 1 <= counted(sentinel_hub) <= (8 if "not accepted" in said else 4)
    assert list(tmp_path.iterdir()) == []


@crowded
def test_the_service_is_waited_for(sentinel_hub: Any, tmp_path: Path) -> None:
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub.faults += [
        sentinel_hub_kit.Fault("/process", status=429, headers={"Retry-After": "20"}) for _ in range(3)
    ]
    assert np.unique(sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)["B02"]).tolist() == [700]
    assert counted(sentinel_hub) == 5


@crowded
def test_waiting_ends(sentinel_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.sources.sentinel_hub.client.CROWDED", 3)
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub.faults += [
        sentinel_hub_kit.Fault("/process", status=429, headers={"Retry-After": "10"}) for _ in range(50)
    ]
    with pytest.raises(SourceError, match="too many requests"):
        sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    assert counted(sentinel_hub) <= 6


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"drop": True}, {"cut": 700}, {"cut": 0}], ids=str)
def test_what_passes_is_overcome(sentinel_hub: Any, tmp_path: Path, fault: dict[str, Any]) -> None:
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub.faults.append(sentinel_hub_kit.Fault("/process", **fault))
    made = sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    assert (np.unique(made["B02"]).tolist(), np.unique(made["B11"]).tolist()) == ([700], [900])
    assert counted(sentinel_hub) == 3


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}], ids=str)
def test_what_does_not_pass_is_an_error_of_the_source(sentinel_hub: Any, tmp_path: Path, fault: dict[str, Any]) -> None:
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub.faults += [sentinel_hub_kit.Fault("/process", **fault) for _ in range(50)]
    with pytest.raises(SourceError, match="can't be reached or fails"):
        sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    assert counted(sentinel_hub) <= 8
    assert list(tmp_path.iterdir()) == []


def test_a_raster_that_stays_damaged_drops_the_product(sentinel_hub: Any, tmp_path: Path) -> None:
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub.faults += [sentinel_hub_kit.Fault("/process", cut=700) for _ in range(50)]
    with pytest.raises(ProductError, match=r"S2A_MSIL2A_.*: what .* sends is damaged, 2 times: B0.*no whole GeoTIFF"):
        sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    assert counted(sentinel_hub) == 4
    assert list(tmp_path.iterdir()) == []


def test_an_answer_is_whole_or_refused_wherever_it_ends() -> None:
    layer, part = Layer(10, ("B02", "B03")), Window(32633, 0, 256, 256, 256)
    values = np.random.default_rng(4).integers(0, 9000, (3, 256, 256)).astype(np.uint16)
    whole = sentinel_hub_kit.tiff(values, 32633, layer.transform(part))
    np.testing.assert_array_equal(decoded(whole, layer, part), values)
    for end in range(0, len(whole), 2999):
        with pytest.raises(DamagedAnswerError):
            decoded(whole[:end], layer, part)
    for other in (Window(32633, 0, 257, 256, 256), Window(32633, 0, 256, 256, 128)):
        with pytest.raises(DamagedAnswerError, match=r"elsewhere|instead of"):
            decoded(whole, layer, other)
    with pytest.raises(DamagedAnswerError):
        decoded(b'<VRTDataset rasterXSize="256" rasterYSize="256"></VRTDataset>', layer, part)


def test_a_service_that_is_not_there_is_an_error_of_the_source(sentinel_hub: Any) -> None:
    access = sentinel_hub.credentials.sentinel_hub.model_copy(update={"token_url": "http://127.0.0.1:9/token"})
    with pytest.raises(SourceError, match=r"can't be reached or fails: .*127\.0\.0\.1"):
        open_source("sentinelhub:", Credentials(sentinel_hub=access)).search(
            sentinel_hub_kit.area_of(sentinel_hub_kit.CELL), sentinel_hub_kit.AUGUST, "L2A"
        )


def test_a_file_that_does_not_hold_what_was_written_never_counts(
    sentinel_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    product = sentinel_hub_kit.ready(sentinel_hub)
    # pieces of blocks stay in GDAL's memory until the file is closed, and then no longer fit
    monkeypatch.setattr("catalog.sources.sentinel_hub.process_api.LARGEST", 300)
    rng = np.random.default_rng(3)
    sentinel_hub.scenes[0].bands = {"B02": rng.integers(1, 60000, (1024, 1024))}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.raises(StoreError, match="TMPDIR"):
            sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


# Secrets


def test_secrets_are_shown_nowhere(
    sentinel_hub: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    product = sentinel_hub_kit.ready(sentinel_hub)
    sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path)
    credentials = sentinel_hub.credentials
    echo = {
        "error": {"message": f"{sentinel_hub_kit.CLIENT} {sentinel_hub_kit.SECRET} {' '.join(sentinel_hub.tokens)}"}
    }
    sentinel_hub.faults += [sentinel_hub_kit.Fault("/process", status=403, body=echo) for _ in range(4)]
    with pytest.raises(SourceError) as failure:
        sentinel_hub_kit.downloaded(sentinel_hub, product, tmp_path / "b")
    source = open_source("sentinelhub:", credentials)
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    shown = [
        caplog.text, "".join(capfd.readouterr()), repr(failure.value), repr(source), source.address, source.id,
        repr(credentials), credentials.model_dump_json(), files.decode("latin-1"), json.dumps(product.model_dump(mode="json")),
    ]  # fmt: skip
    assert len(sentinel_hub.tokens) == 1
    for secret in (sentinel_hub_kit.CLIENT, sentinel_hub_kit.SECRET, *sentinel_hub.tokens):
        assert [text for text in shown if secret in text] == []
    assert failure.value.__context__ is None
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".tif"}


def test_credentials_travel_to_other_processes(sentinel_hub: Any) -> None:
    sentinel_hub.scenes.append(sentinel_hub_kit.scene())
    travelled = pickle.loads(pickle.dumps(sentinel_hub.credentials))
    source = open_source(f"sentinelhub:{sentinel_hub.url}", travelled)
    assert (
        len(source.search(sentinel_hub_kit.area_of(sentinel_hub_kit.CELL), sentinel_hub_kit.AUGUST, "L2A").products)
        == 1
    )
    assert len(group_acquisitions(sentinel_hub_kit.found(sentinel_hub))) == 1


def test_neither_the_environment_nor_a_file_of_the_user_is_read(
    sentinel_hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SH_CLIENT_ID", "somebody-else")
    sentinel_hub.scenes.append(sentinel_hub_kit.scene())
    assert len(sentinel_hub_kit.found(sentinel_hub)) == 1
    assert list(tmp_path.iterdir()) == []
