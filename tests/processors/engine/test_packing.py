"""What is sent to workers holds no secret: they have their own."""

from __future__ import annotations

import pickle
from pathlib import Path

import engine_kit
import pytest
from pydantic import SecretStr

from catalog.errors import WorkerError
from catalog.storage.bucket_path import BucketPath
from catalog.storage.credentials import CDSE_ENDPOINT, Credentials, S3Access, SentinelHubAccess
from catalog.storage.store import Store
from processors.engine.opening import open_engine
from processors.engine.packing import pack

ACCESS = S3Access(endpoint="https://one.example", key=SecretStr("own-key"), secret=SecretStr("own-secret"))
HUB = SentinelHubAccess(
    client_id=SecretStr("own-id"), client_secret=SecretStr("own-secret"), base_url="https://x", token_url="https://y"
)
CREDENTIALS = Credentials(s3=ACCESS, cdse=S3Access(endpoint=CDSE_ENDPOINT, key=SecretStr("own-cdse")), sentinel_hub=HUB)


def access_of(store: Store, credentials: Credentials) -> tuple[Store, Credentials]:
    return store, credentials


def test_nothing_that_is_sent_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(Path("/there"), BucketPath("bucket", "cubes", ACCESS))
    sent = pickle.dumps(pack(access_of, (store, CREDENTIALS), engine_kit.resolved))
    assert b"own-" not in sent
    assert b"bucket" in sent
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-workers-key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://two.example")
    there, credentials = pickle.loads(sent)()
    assert (str(there.cubes_at), there.root) == ("s3://bucket/cubes", Path("/there"))
    assert engine_kit.key_of(there.cubes_at.access) == engine_kit.key_of(credentials.s3) == "the-workers-key"
    assert there.cubes_at.access.endpoint == "https://two.example"


@pytest.mark.parametrize("secret", [ACCESS, CREDENTIALS, SecretStr("own-key")])
def test_a_secret_without_its_way_to_the_worker_is_refused(secret: object) -> None:
    with pytest.raises(WorkerError, match="a credential would be sent"):
        pack(print, (secret,), None)


def test_what_no_worker_can_find_by_itself_is_refused() -> None:
    with pytest.raises(WorkerError, match="a credential would be sent"):
        pack(print, (HUB,), engine_kit.resolved)


def test_a_worker_uses_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-this-process")
    environments = [{"AWS_ACCESS_KEY_ID": "key-of-the-worker"}]
    with open_engine("local", environments=environments, resolve=engine_kit.resolved) as engine:
        found = engine.run(engine_kit.keys_of, CREDENTIALS, ACCESS)
    assert found == ["key-of-the-worker", None, "key-of-the-worker"]
