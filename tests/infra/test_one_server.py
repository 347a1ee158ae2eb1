"""One server: units, proxy and page, as far as they can be checked without becoming root. `infra/try-one-server.sh` runs all of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[2] / "infra"
UNITS = sorted((INFRA / "systemd").glob("*.*[a-z]"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
PAGE = INFRA.parent / "docs" / "how-to" / "one-server.md"
SITE = INFRA / "nginx" / "cropline.conf"
COMMAND = "/opt/cropline/bin/cropline"


def blocks(where: str) -> list[str]:
    """What is typed there, by the page."""
    found = re.findall(r'^```sh title="(.*?)"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for title, text in found if title == where]


def values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a command that is there, as they are below /etc."""
    folder = tmp_path / "system"
    shutil.copytree(INFRA / "systemd", folder)
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace(COMMAND, "/bin/true"))
    return folder


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is missing: apt-get install -y systemd")
    files = sorted(str(path) for path in folder.iterdir() if path.suffix in (".service", ".timer", ".target"))
    words = ["systemd-analyze", "verify", "--man=no", *files]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    done = verify(units)
    complaints = [
        line for line in done.stderr.splitlines() if "cropline" in line
    ]  # others are of this machine's own units
    assert not complaints


def test_a_wrong_unit_is_found(units: Path) -> None:
    server = units / "cropline-server.service"
    server.write_text(server.read_text().replace("PrivateDevices=yes", "PrivateDevices=perhaps\nNoSuchSetting=1"))
    said = verify(units).stderr
    assert "NoSuchSetting" in said
    assert "Failed to parse boolean value" in said


def test_all_units_are_of_their_own_user_and_may_gain_nothing(units: Path) -> None:
    assert {path.name for path in SERVICES} == {
        *(f"cropline-{part}.service" for part in ("server", "services", "worker", "prune", "backup")),
        "cropline-restore@.service",
    }
    common = (units / "cropline-.service.d" / "all.conf").read_text()  # systemd takes it for every cropline-….service
    for line in (
        "User=cropline",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "CapabilityBoundingSet=",
    ):
        assert f"{line}\n" in common
    assert not [path.name for path in SERVICES if values(path, "User") or values(path, "ProtectSystem")]


def test_the_server_alone_is_told_its_passwords_and_the_worker_the_keys() -> None:
    told = {path.stem: values(path, "EnvironmentFile") for path in SERVICES}
    secret, keys = "/etc/cropline/database.env", "-/etc/cropline/sources.env"
    assert {name for name, files in told.items() if secret in files} == {
        "cropline-server", "cropline-services", "cropline-backup", "cropline-restore@",
    }  # fmt: skip
    assert [name for name, files in told.items() if keys in files] == ["cropline-worker"]
    assert not re.search(
        r"(?i)password|secret|_key",
        (INFRA / "systemd" / "cropline.env").read_text().replace("No passwords, no keys", ""),
    )


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_a_unit_runs_a_command_that_there_is(unit: Path) -> None:
    """Its words are taken by the command line, which then fails for want of a store, or says that there is no such option."""
    from typer.testing import CliRunner

    from flows.commands.main import app

    (line,) = values(unit, "ExecStart")
    command, *words = line.split()
    assert command == COMMAND
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0, done.output
    options = [word for word in words if word.startswith("--")]
    assert [option for option in options if option not in done.output] == []


def test_nginx_takes_the_site(tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is missing: apt-get install -y nginx")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=maps.example.org",
    ]
    subprocess.run([*words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    site = (
        SITE.read_text()
        .replace("/etc/ssl/certs/cropline.pem", str(certificate))
        .replace("/etc/ssl/private/cropline.key", str(key))
    )
    site = site.replace("/var/log/nginx/cropline.log", str(tmp_path / "access.log"))
    (tmp_path / "site.conf").write_text(site)
    whole = f"pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} http {{ include {tmp_path}/site.conf; }}"
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run(
        [nginx, "-t", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "site.conf").write_text(site.replace("proxy_http_version 1.1", "proxy_http_version one"))
    done = subprocess.run(
        [nginx, "-t", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0


def test_the_page_s_commands_can_be_read_by_a_shell_and_use_what_is_there() -> None:
    typed = blocks("server") + blocks("your machine")
    assert len(blocks("server")) >= 8
    assert len(blocks("your machine")) == 2, "a map, and the same one after a restore"
    for text in typed:
        assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0, text
    named = {name for text in typed for name in re.findall(r"cropline/(infra/[\w./-]+)", text)}
    assert named
    assert [name for name in named if not (INFRA.parent / name).exists()] == []


def test_scripts_are_shell() -> None:
    assert subprocess.run(["bash", "-n", str(INFRA / "try-one-server.sh")], check=False).returncode == 0


def test_proxy_units_and_page_name_the_same_port_and_host() -> None:
    assert values(INFRA / "systemd" / "cropline-server.service", "ExecStart")[0].endswith("--port 4200")
    site = SITE.read_text()
    assert set(re.findall(r"proxy_pass (\S+);", site)) == {"http://127.0.0.1:4200"}
    (host,) = set(re.findall(r"server_name (\S+);", site))
    assert f"CROPLINE_PUBLIC_URL=https://{host}\n" in (INFRA / "systemd" / "cropline.env").read_text()
    assert f"https://{host}/api" in "".join(blocks("your machine"))
