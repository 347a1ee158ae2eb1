"""The secret is made once, for its owner only; what lies beside it is closed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flows.own_server import SECRET_FILE, read_secret
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.private_files import close_folder, kept_secret, private_umask


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_is_private_from_its_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    replace = Path.replace

    def renamed(self: Path, target: Path) -> Path:
        modes.append(_mode(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", renamed)
    before = os.umask(0o022)
    try:
        with private_umask() as usual:
            close_folder(tmp_path / "prefect")
            secret, new = kept_secret(tmp_path / "prefect")
            assert kept_secret(tmp_path / "prefect") == (secret, False)
        assert (new, usual, os.umask(0o022)) == (True, 0o022, 0o022)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert _mode(tmp_path / "prefect" / SECRET_FILE) == 0o600
    assert [path.name for path in (tmp_path / "prefect").iterdir()] == [SECRET_FILE]
    assert read_secret(tmp_path / "prefect") == secret
    name, password = secret.split(":")
    assert name == "cropline"
    assert len(password) >= 32


@pytest.mark.parametrize("damaged", [b"", b"\n", b"\xff\xfe"])
def test_a_damaged_secret_is_made_anew(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / SECRET_FILE).write_bytes(damaged)
    with private_umask():
        assert kept_secret(tmp_path)[1]
    assert read_secret(tmp_path)


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "prefect"
    (folder / "storage").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch(0o644)
    (folder / "link").symlink_to(elsewhere)
    for name in ("prefect.db", "server.log"):
        (folder / name).touch(0o644)
    close_folder(folder)
    assert _mode(folder) == _mode(folder / "storage") == 0o700
    assert _mode(folder / "prefect.db") == _mode(folder / "server.log") == 0o600
    assert _mode(elsewhere) == 0o644, "what a link points to is somebody else's"


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "chmod", denied)
    with pytest.raises(ServiceError, match=r"^can't close .*not permitted.*CROPLINE_STORE"):
        close_folder(tmp_path)


def test_a_secret_is_not_shown_with_the_address() -> None:
    assert "hush" not in repr(Api("http://127.0.0.1:4200/api", "cropline:hush"))
