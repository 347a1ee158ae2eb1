"""Sources are found by name among what installed packages offer."""

# ruff: noqa: ARG002  (methods of a protocol)

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import plug_kit
import pytest

from catalog.area import Area
from catalog.errors import RequestError
from catalog.products import Asset, Level, Product
from catalog.sources.protocol import SearchResult
from catalog.sources.registry import GROUP, open_source
from catalog.storage.credentials import Credentials


class Shelf:
    """A source that holds nothing, as another package would offer it."""

    usage = "shelf:NAME of a shelf"

    def __init__(self, address: str, credentials: Credentials) -> None:
        self.address = f"shelf:{address}"
        self.id = address
        self.credentials = credentials

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        return SearchResult(())

    def assets(self, product: Product) -> dict[str, Asset]:
        return {}


class Nameless(Shelf):
    """A source that forgets what names it."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self.credentials = credentials


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages in which `shelf_package` is importable."""
    monkeypatch.setattr(plug_kit, "Shelf", Shelf, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_source_of_another_package_is_opened_by_its_name(packages: Path) -> None:
    plug_kit.install(packages, "shelves", group=GROUP, shelf="plug_kit:Shelf")
    source: Any = open_source("shelf:left:2", Credentials())
    assert (type(source), source.address) == (Shelf, "shelf:left:2")
    with pytest.raises(RequestError, match=r"'attic:1' is of no known kind.*shelf:NAME of a shelf"):
        open_source("attic:1")


def test_packages_of_the_current_folder_are_named_after_it_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an interpreter started beside a checkout, whose path begins with the current folder by its relative name."""
    plug_kit.install(tmp_path / "here", "shelves", group=GROUP, shelf="plug_kit:Nothing")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend("")
    for folder in ("here", "."):
        monkeypatch.chdir(tmp_path / folder)
        with pytest.raises(RequestError, match=r"source shelf of shelves 1\.0 \(plug_kit:Nothing\) can't be imported"):
            open_source("shelf:left:2")


def test_a_broken_source_is_named_and_the_others_open(packages: Path, tmp_path: Path) -> None:
    plug_kit.install(packages, "broken", "0.1", group=GROUP, gone="no_such_module:Source", half="plug_kit:Made")
    with pytest.raises(RequestError, match=r"source gone of broken 0\.1 .*can't be imported.*Repair or uninstall"):
        open_source("gone:x")
    with pytest.raises(RequestError, match=r"source half .*is no source: it has no usage, search, assets"):
        open_source("half:x")
    assert open_source(f"safe:{tmp_path}").address == f"safe:{tmp_path}"
    with pytest.raises(RequestError) as refused:
        open_source("attic:1")
    assert "gone" not in str(refused.value)


def test_a_source_without_what_names_it_in_the_store_is_refused(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plug_kit, "Nameless", Nameless, raising=False)
    plug_kit.install(packages, "nameless", group=GROUP, nameless="plug_kit:Nameless")
    with pytest.raises(
        RequestError, match=r"source nameless, once made, has no address, id. See catalog/sources/protocol"
    ):
        open_source("nameless:x")


def test_a_name_that_two_packages_offer_is_refused(packages: Path) -> None:
    plug_kit.install(packages, "other", group=GROUP, stac="plug_kit:Shelf")
    with pytest.raises(RequestError, match=r"source stac: cropline .* and other 1\.0 both offer it. Uninstall one\."):
        open_source("stac:somewhere")
