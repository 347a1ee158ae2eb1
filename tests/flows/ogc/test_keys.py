"""Keys: named, private, revoked by deleting their line, and nothing is answered without one."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from ogc_kit import KEY, OTHER_KEY, Partner

from catalog.storage.store import Store
from flows.ogc.keys import KEYS_FILE, Keys, keep_first_key
from flows.prefect_process.private_files import private_umask


def _basic(name: str, key: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{key}'.encode()).decode()}"


def test_the_first_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    with private_umask():
        assert keep_first_key(tmp_path)
        text = (tmp_path / KEYS_FILE).read_text()
        assert not keep_first_key(tmp_path)
    assert (tmp_path / KEYS_FILE).read_text() == text
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600
    name, key = text.strip().split(":")
    keys = Keys(tmp_path / KEYS_FILE, print)
    assert keys.name_of(f"Bearer {key}") == name == "cropline"


def test_an_empty_file_stays_empty_and_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / KEYS_FILE).write_text("# all are revoked\n")
    assert not keep_first_key(tmp_path)
    keys = Keys(tmp_path / KEYS_FILE, print)
    assert keys.name_of("Bearer ") is None
    assert keys.name_of(_basic("", "")) is None


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (f"Bearer {KEY}", "partner"),
        (f"bearer  {OTHER_KEY} ", "other"),
        (_basic("partner", KEY), "partner"),
        (_basic("other", KEY), None),
        (_basic("partner", f"{KEY}x"), None),
        (f"Bearer {KEY[:-1]}", None),
        (f"Token {KEY}", None),
        ("Basic not-base64", None),
        ("Basic /w==", None),
        ("Bearer", None),
        ("", None),
        (None, None),
    ],
)
def test_a_key_is_shown_by_either_scheme(header: str | None, name: str | None, store: Store) -> None:
    assert Keys(store.prefect / KEYS_FILE, print).name_of(header) == name


def test_a_key_whose_line_is_deleted_is_revoked_at_once(store: Store, partner: Partner) -> None:
    assert partner.get("/conformance").status_code == 200
    (store.prefect / KEYS_FILE).write_text(f"other:{OTHER_KEY}\n")
    assert partner.get("/conformance").status_code == 401
    (store.prefect / KEYS_FILE).unlink()
    assert Partner(partner.app, OTHER_KEY).get("/conformance").status_code == 401


@pytest.mark.parametrize("line", ["sp: {}", " sp :\t{}  # of SP", "sp:{}\r"])
def test_blanks_around_a_name_and_a_key_are_no_part_of_them(line: str, tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / KEYS_FILE).write_text(f"{line.format(KEY)}\n", newline="")
    keys = Keys(tmp_path / KEYS_FILE, told.append)
    assert keys.name_of(f"Bearer {KEY}") == keys.name_of(_basic("sp", KEY)) == "sp"
    assert not told


def test_what_is_no_key_is_told_and_not_taken(tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / KEYS_FILE).write_text(
        f"short:abc\n:{KEY}\npartner:{KEY}  # of the first\npartner:{OTHER_KEY}\nnothing\nblank:{' ' * 30}\n"
    )
    keys = Keys(tmp_path / KEYS_FILE, told.append)
    assert keys.name_of(f"Bearer {KEY}") == "partner"
    assert keys.name_of("Bearer abc") is None
    assert keys.name_of(f"Bearer {OTHER_KEY}") is None, "each name once"
    assert [line.partition(":")[0] for line in told] == [f"{KEYS_FILE}, line {number}" for number in (1, 2, 4, 5, 6)]
    assert not any(KEY in line or "abc" in line for line in told)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/", "/openapi", "/conformance", "/processes", "/processes/crop-map/execution", "/jobs", "/static/cropline.css",
     "/jobs/0190a1b2-0000-7000-8000-000000000000/results/item.json", "/nothing"],
)  # fmt: skip
def test_nobody_is_answered_without_a_key(method: str, path: str, partner: Partner) -> None:
    for key in (None, "a-key-that-nobody-has-made"):
        answer = Partner(partner.app, key).ask(method, path)
        assert answer.status_code == 401
        challenges = answer.headers.get_list("www-authenticate")
        assert [challenge.partition(",")[0] for challenge in challenges] == [
            'Basic realm="Cropline"',
            'Bearer realm="Cropline"',
        ]
        assert answer.json()["status"] == 401
        assert answer.json()["detail"].startswith("A key is needed")


def test_a_page_elsewhere_whose_name_leads_here_gets_no_answer(partner: Partner) -> None:
    assert partner.get("/", headers={"Host": "evil.example"}).status_code == 400
