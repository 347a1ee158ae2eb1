"""`infra/services.sh`: PostgreSQL and Redis of a folder, put right from every state."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from services_kit import call, environment, needs_packages, processes_in, services_folder

pytestmark = pytest.mark.services


@pytest.fixture
def folder() -> Iterator[Path]:
    needs_packages()
    with services_folder() as folder:
        yield folder


def test_every_state_is_put_right(folder: Path) -> None:
    """A story, since each start takes seconds."""
    assert call("stop", str(folder)).returncode == 0, "nothing to stop is no error"
    assert call("status", str(folder)).returncode == 3
    started = call("start", str(folder))
    assert started.returncode == 0, started.stderr
    first = environment(folder)
    assert set(first) == {"CROPLINE_DATABASE", "CROPLINE_REDIS"}
    assert call("status", str(folder)).returncode == 0

    # Only its owner reads the passwords, and nobody sees them in a list of processes or in what is printed.
    passwords = [address.rpartition("@")[0].rpartition(":")[2] for address in first.values()]
    assert all(len(password) >= 32 for password in passwords)
    for name in ("kept", "environment"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    for part in ("postgresql", "redis"):
        assert stat.S_IMODE((folder / part).stat().st_mode) == 0o700
    shown = [word for process in psutil.process_iter() for word in _words(process)] + [started.stdout, started.stderr]
    assert not [text for text in shown for password in passwords if password in text]

    # Nobody on another machine is answered.
    listening = [item for process in processes_in(folder) for item in process.net_connections("inet") if not item.raddr]
    assert {item.laddr.ip for item in listening} == {"127.0.0.1"}

    before = [process.pid for process in processes_in(folder)]
    assert call("start", str(folder)).returncode == 0
    assert {process.pid for process in processes_in(folder)} & set(before[:2]), "what runs is kept"
    assert environment(folder) == first

    for process in processes_in(folder):
        process.kill()
    assert call("status", str(folder)).returncode == 3
    assert call("start", str(folder)).returncode == 0
    assert environment(folder) == first, "where it was, with the passwords of before"

    (folder / "kept").unlink()
    assert call("start", str(folder)).returncode == 0
    anew = environment(folder)
    assert anew.values() != first.values()
    assert call("status", str(folder)).returncode == 0, "who lost the passwords gets others"

    assert call("stop", str(folder)).returncode == 0
    assert processes_in(folder) == []
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(anew["CROPLINE_REDIS"].rpartition(":")[2].removesuffix("/0"))))
        other.listen()
        assert call("start", str(folder)).returncode == 0
        moved = environment(folder)
        assert moved["CROPLINE_DATABASE"] == anew["CROPLINE_DATABASE"]
        assert moved["CROPLINE_REDIS"] != anew["CROPLINE_REDIS"], "another port where the one of before is taken"
        taken = call("start", str(folder), "--redis-port", str(other.getsockname()[1]))
    assert taken.returncode == 1
    assert taken.stderr.splitlines()[0].endswith("is taken. Name another with --redis-port, or leave it out.")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("start", "--redis-port", "70000"), "--redis-port 70000: no port."),
        (("start", "--redis-port", "none"), "--redis-port none: no port."),
        (("environment",), "no folder "),
    ],
)
def test_wrong_words_are_refused_in_a_line(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = call(words[0], str(tmp_path / "new"), *words[1:])
    assert done.returncode == 1
    assert done.stderr.startswith(says)
    assert not (tmp_path / "new").exists()


def test_missing_packages_are_named_with_the_command(folder: Path) -> None:
    programs = folder.parent / "bin"
    programs.mkdir()
    for place in ("/usr/sbin", "/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            if not program.name.startswith("redis") and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    done = call("start", str(folder), env={**os.environ, "PATH": str(programs)})
    assert done.returncode == 1
    assert done.stderr == "Redis is missing. On Debian: apt-get install -y postgresql redis-server\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_root_is_told_of_a_folder_that_postgres_cannot_enter(tmp_path: Path) -> None:
    needs_packages()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    done = call("start", str(closed / "services"))
    assert done.returncode == 1
    assert done.stderr.startswith("the user postgres, who runs them for root, can't enter ")


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
