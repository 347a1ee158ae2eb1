"""Assets that lead elsewhere: refused with the reason, without what opens them, and nothing is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import rasterio
from web_kit import INSIDE, Web, pretended, served

from catalog.errors import ProductError, Reason
from catalog.products import Asset
from processors.ingest.opening import GDAL_ENVIRONMENT, AssetOpener, MissingAssetError


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    pretended(monkeypatch)
    monkeypatch.delenv("http_proxy", raising=False)
    with served(tmp_path) as web:
        yield web


def refused(asset: Asset) -> ProductError:
    with rasterio.Env(**GDAL_ENVIRONMENT), ExitStack() as stack, pytest.raises(ProductError) as error:
        AssetOpener(stack).open(asset)
    return error.value


def test_a_redirect_to_this_machine_is_refused_and_not_asked(web: Web, tmp_path: Path) -> None:
    with served(tmp_path, INSIDE) as inside:
        web.moved["/B04.tif"] = f"{inside.address}/secret.tif"
        error = refused(Asset(href=f"{web.address}/B04.tif?sig=the-token"))
        assert inside.asked == []
    assert error.kind is Reason.NOT_ALLOWED
    assert "127.0.0.2 is loopback" in str(error)
    assert "the-token" not in str(error)
    assert not isinstance(error, MissingAssetError), "a product that leads there isn't used for its other bands"


def test_a_description_of_other_files_is_no_asset(web: Web, tmp_path: Path) -> None:
    (tmp_path / "B04.tif").write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")
    assert "not recognized" in str(refused(Asset(href=str(tmp_path / "B04.tif"))))
    assert "not recognized" in str(refused(Asset(href=f"{web.address}/B04.tif")))
