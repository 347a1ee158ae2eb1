"""compose.yaml: the specification's schema takes it, the program takes its commands, and its secrets are files that a script makes."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_kit import takes

from flows.prefect_process.server_database import database_of
from flows.settings import Settings

COMPOSE = Path(__file__).resolve().parents[2] / "infra" / "compose"
CONTENT: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]


@pytest.mark.parametrize("file", ["compose.yaml", "gpus.yaml"])
def test_the_schema_of_the_specification_takes_it(file: str) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema brings the schema")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE / file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.get("image") == "cropline"])
def test_programs_take_the_commands_of_the_services(name: str) -> None:
    command = SERVICES[name]["command"]
    if command[0] == "cropline":
        assert takes(command)
    else:
        done = subprocess.run([sys.executable, "-m", *command, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not set(re.findall(r"--[a-z-]+", " ".join(command))) - set(re.findall(r"--[a-z-]+", done.stdout))


def test_nothing_is_open_to_other_machines() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:4200:4200"]
    assert not any("network_mode" in service or "privileged" in service for service in SERVICES.values())


def test_each_service_says_whether_it_is_well_or_why_not() -> None:
    asked = {name for name, service in SERVICES.items() if "test" in service.get("healthcheck", {})}
    assert asked == set(SERVICES) - {"server", "services"}  # the image asks the server; the services answer nobody
    waited = {other for service in SERVICES.values() for other in service.get("depends_on", {})}
    assert waited <= asked | {"server"}


def test_images_of_others_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values() if service["image"] != "cropline"]
    assert all(re.search(r":\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$", image) for image in images), images


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What the script makes, in a copy of the folder."""
    folder = tmp_path / "infra" / "compose"
    folder.mkdir(parents=True)
    shutil.copy(COMPOSE / "secrets.sh", folder)
    shutil.copy(COMPOSE.parent / "certificates.sh", folder.parent)
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing. On Debian: apt-get install openssl")
    for _ in range(2):  # what is there stays
        done = subprocess.run(["sh", str(folder / "secrets.sh")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "postgresql://" not in done.stdout + done.stderr
        first = {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()}
    assert {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()} == first
    return folder / "secrets"


def test_secrets_are_files_that_are_made_and_closed_to_others(secrets: Path, tmp_path: Path) -> None:
    named = {name: Path(secret["file"]).name for name, secret in CONTENT["secrets"].items()}
    assert all(name == file for name, file in named.items())
    assert {path.name for path in secrets.iterdir()} == set(named)
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == set(named)
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o444}
    text = (COMPOSE / "compose.yaml").read_text(encoding="utf-8")
    assert not [path.name for path in secrets.iterdir() if path.read_text().strip() in text]


def test_addresses_lead_to_the_services_with_their_passwords(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catalog.storage.store import open_store

    for name in ("CROPLINE_DATABASE", "CROPLINE_REDIS"):
        monkeypatch.setenv(name, (secrets / name).read_text().strip())
    database = database_of(Settings(), open_store(str(tmp_path / "store"), None, None))
    assert database.has_broker
    assert database.place == "PostgreSQL at database:5432/cropline, Redis at redis:6379"
    assert {"database", "redis"} <= set(SERVICES)
    password = (secrets / "database-password").read_text().strip()
    assert f":{password}@" in database.variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert (
        f"requirepass {database.variables['PREFECT_SERVER_DOCKET_URL'].split(':')[2].partition('@')[0]}\n"
        in (secrets / "redis.conf").read_text()
    )
