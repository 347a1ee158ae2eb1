"""Items made by hand in the form of each provider: all say the same acquisition, and are understood the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog.products import BANDS, UNKNOWN
from catalog.sources.reach import Reach
from catalog.sources.stac.item import item_assets, item_product

SQUARE = {"type": "Polygon", "coordinates": [[[4, 50], [5, 50], [5, 51], [4, 50]]]}
TIME = "2023-08-15T10:56:24.461Z"
NAME = "S2B_MSIL2A_20230815T105629_N0509_R094_T31UES_20230815T140000"
ELEVATION, ZENITH, AZIMUTH = 52.5, 37.5, 155.25
L2A = [band for band in BANDS if band != "B10"]


@dataclass(frozen=True)
class Form:
    """One provider's way to say it, and what it can't say."""

    id: str
    collection: str
    properties: dict[str, Any]
    assets: dict[str, Any]
    href: str
    """Where B04 lies."""
    offset: int
    offset_from: str
    base: str = "https://api.example.org/collections/c/items/an-item"
    unknown: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def item(self) -> dict[str, Any]:
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": self.id,
            "collection": self.collection,
            "geometry": SQUARE,
            "properties": {"datetime": TIME, **self.properties},
            "links": [],
            "assets": self.assets,
            **self.extra,
        }


def files(keys: list[str], address: str, **more: Any) -> dict[str, Any]:
    return {key: {"href": address.format(key), **more} for key in keys}


def _common(band: str) -> str:
    return BANDS[band].common_name


_CDSE = (
    "s3://eodata/Sentinel-2/MSI/L2A/2023/08/15/"
    + NAME
    + ".SAFE/GRANULE/L2A_T31UES_A033642_20230815T105624/IMG_DATA/{0}"
)

FORMS = {
    "Earth Search v0": Form(
        id="S2B_31UES_20230815_0_L2A",
        collection="sentinel-s2-l2a-cogs",
        properties={
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "gsd": 10,
            "eo:cloud_cover": 12.5,
            "proj:epsg": 32631,
            "sentinel:utm_zone": 31,
            "sentinel:latitude_band": "U",
            "sentinel:grid_square": "ES",
            "sentinel:sequence": "0",
            "sentinel:product_id": NAME,
            "sentinel:processing_baseline": "05.09",
            "sentinel:boa_offset_applied": True,
        },
        assets={
            **files([*L2A, "SCL", "AOT", "WVP"], "https://cogs.example.org/31/U/ES/2023/8/{0}.tif"),
            "overview": {
                "href": "https://cogs.example.org/L2A_PVI.tif",
                "eo:bands": [{"name": "B04"}],
                "roles": ["overview"],
            },
            "visual": {"href": "https://cogs.example.org/TCI.tif", "roles": ["visual"]},
            "info": {"href": "https://roda.example.org/tileInfo.json"},
        },
        href="https://cogs.example.org/31/U/ES/2023/8/B04.tif",
        offset=0,
        offset_from="sentinel:boa_offset_applied: true",
        unknown=("datastrip", "sun_zenith", "sun_azimuth"),
    ),
    "Earth Search v1": Form(
        id="S2B_31UES_20230815_0_L2A",
        collection="sentinel-2-l2a",
        properties={
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "eo:cloud_cover": 12.5,
            "mgrs:utm_zone": 31,
            "mgrs:latitude_band": "U",
            "mgrs:grid_square": "ES",
            "grid:code": "MGRS-31UES",
            "view:sun_azimuth": AZIMUTH,
            "view:sun_elevation": ELEVATION,
            "s2:processing_baseline": "05.09",
            "s2:product_uri": f"{NAME}.SAFE",
            "s2:product_type": "S2MSI2A",
            "s2:datatake_id": "GS2B_20230815T105629_033642_N05.09",
            "s2:datastrip_id": "S2B_OPER_MSI_L2A_DS_2BPS_20230815T140000_S20230815T105623_N05.09",
            "earthsearch:boa_offset_applied": True,
            "processing:software": {"sentinel2-to-stac": "0.1.1"},
        },
        assets={
            **files(
                [*map(_common, L2A), "scl"],
                "https://cogs.example.org/31/U/ES/{0}.tif",
                **{"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]},
            ),
            **files([f"{_common(band)}-jp2" for band in L2A], "s3://originals/tiles/31/U/ES/{0}.jp2"),
        },
        href="https://cogs.example.org/31/U/ES/red.tif",
        offset=0,
        offset_from="earthsearch:boa_offset_applied: true",
    ),
    "element84 C1": Form(
        id="S2B_T31UES_20230815T105624_L2A",
        collection="sentinel-2-c1-l2a",
        properties={
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "eo:cloud_cover": 12.5,
            "grid:code": "MGRS-31UES",
            "view:sun_azimuth": AZIMUTH,
            "view:sun_elevation": ELEVATION,
            "s2:tile_id": "S2B_OPER_MSI_L2A_TL_2BPS_20230815T140000_A033642_T31UES_N05.09",
            "s2:processing_baseline": "05.09",
            "s2:product_uri": f"{NAME}.SAFE",
            "s2:datatake_id": "GS2B_20230815T105629_033642_N05.09",
            "s2:datastrip_id": "S2B_OPER_MSI_L2A_DS_2BPS_20230815T140000_S20230815T105623_N05.09",
        },
        assets={
            **files(
                [*map(_common, L2A)],
                "https://c1.example.org/31/U/ES/2023/8/{0}.tif",
                **{"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]},
            ),
            **files(["scl", "cloud", "snow", "preview", "aot", "wvp"], "https://c1.example.org/31/U/ES/2023/8/{0}.tif"),
        },
        href="https://c1.example.org/31/U/ES/2023/8/red.tif",
        offset=-1000,
        offset_from="the item's band offset -0.1",
    ),
    "Planetary Computer": Form(
        id="S2B_MSIL2A_20230815T105629_R094_T31UES_20230816T012345",
        collection="sentinel-2-l2a",
        properties={
            "platform": "Sentinel-2B",
            "constellation": "Sentinel 2",
            "eo:cloud_cover": 12.5,
            "proj:epsg": 32631,
            "s2:mgrs_tile": "31UES",
            "s2:product_uri": f"{NAME}.SAFE",
            "s2:product_type": "S2MSI2A",
            "s2:processing_baseline": "05.09",
            "s2:generation_time": "2023-08-15T14:00:00.000000Z",
            "s2:datatake_id": "GS2B_20230815T105629_033642_N05.09",
            "s2:datastrip_id": "S2B_OPER_MSI_L2A_DS_2BPS_20230815T140000_S20230815T105623_N05.09",
            "s2:mean_solar_zenith": ZENITH,
            "s2:mean_solar_azimuth": AZIMUTH,
            "sat:relative_orbit": 94,
        },
        assets={
            **files(
                [*L2A, "SCL", "AOT", "WVP", "visual"], "https://pc.example.org/31/U/ES/{0}_10m.tif?st=2023&sig=a%2Fb%3D"
            ),
            "preview": {"href": "https://pc.example.org/preview.png", "roles": ["thumbnail"]},
        },
        href="https://pc.example.org/31/U/ES/B04_10m.tif?st=2023&sig=a%2Fb%3D",
        offset=-1000,
        offset_from="baseline 05.09",
    ),
    "CDSE": Form(
        id=NAME,
        collection="sentinel-2-l2a",
        properties={
            "platform": "sentinel-2b",
            "constellation": "sentinel-2",
            "eo:cloud_cover": 12.5,
            "grid:code": "MGRS-31UES",
            "processing:level": "L2",
            "processing:version": "05.09",
            "processing:datetime": "2023-08-15T14:00:00.000000Z",
            "product:type": "S2MSI2A",
            "sat:relative_orbit": 94,
            "eopf:datatake_id": "GS2B_20230815T105629_033642_N05.09",
            "eopf:datastrip_id": "S2B_OPER_MSI_L2A_DS_2BPS_20230815T140000_S20230815T105623_N05.09",
            "view:sun_azimuth": AZIMUTH,
            "view:sun_elevation": ELEVATION,
        },
        assets={
            **{
                f"{band}_{metres}m": {
                    "href": _CDSE.format(f"R{metres}m/T31UES_20230815T105629_{band}_{metres}m.jp2"),
                    "alternate": {"https": {"href": "https://zipper.example.org/odata"}},
                    "bands": [{"name": band}],
                }
                for band in [*L2A, "SCL"]
                for metres in (60, 20, 10)
                if metres >= (BANDS[band].resolution if band in BANDS else 20)
            },
            "TCI_10m": {"href": _CDSE.format("R10m/TCI.jp2"), "roles": ["visual"]},
            "product_metadata": {"href": _CDSE.format("MTD_MSIL2A.xml"), "roles": ["metadata"]},
            "Product": {"href": "https://zipper.example.org/odata"},
        },
        href="/vsis3/eodata/" + _CDSE.removeprefix("s3://eodata/").format("R10m/T31UES_20230815T105629_B04_10m.jp2"),
        offset=-1000,
        offset_from="baseline 05.09",
        extra={"stac_version": "1.1.0"},
    ),
    "Digital Earth Africa": Form(
        id="4f0c1f5e-7c4e-5a4f-9a5e-0123456789ab",
        collection="s2_l2a",
        properties={
            "title": "S2B_31UES_20230815_0_L2A",
            "eo:platform": "sentinel-2b",
            "eo:constellation": "sentinel-2",
            "eo:cloud_cover": 12.5,
            "eo:sun_azimuth": AZIMUTH,
            "eo:sun_elevation": ELEVATION,
            "odc:region_code": "31UES",
            "odc:processing_datetime": "2023-08-15T14:00:00Z",
            "sentinel:utm_zone": 31,
            "sentinel:latitude_band": "U",
            "sentinel:grid_square": "ES",
            "sentinel:product_id": NAME,
        },
        assets=files([*L2A, "SCL", "AOT", "WVP"], "s3://deafrica-example/31/U/ES/2023/8/{0}.tif"),
        href="/vsis3/deafrica-example/31/U/ES/2023/8/B04.tif",
        offset=-1000,
        offset_from="baseline 05.09",
        unknown=("datastrip",),
    ),
    "a folder of downloads": Form(
        id="an-item",
        collection="",
        properties={"title": f"{NAME}.SAFE", "eo:cloud_cover": 12.5},
        assets={
            **files(
                [f"b{int(band[1:])}" if band[1:].isdigit() else band.lower() for band in L2A], "../my%20bands/{0}.tif"
            ),
            "scene_classification": {"href": "file://localhost/archive/my%20bands/SCL.tif"},
        },
        href="/archive/my bands/b4.tif",
        offset=-1000,
        offset_from="baseline 05.09",
        base="/archive/items/item.json",
        unknown=("datastrip", "sun_zenith", "sun_azimuth"),
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_each_form_is_understood(form: Form) -> None:
    read = item_product(form.item, form.base)
    facts = {
        "level": "L2A",
        "time": datetime(2023, 8, 15, 10, 56, 24, 461000, UTC),
        "tile": "31UES",
        "platform": "S2B",
        "relative_orbit": "R094",
        "baseline": "05.09",
        "generation_time": datetime(2023, 8, 15, 14, tzinfo=UTC),
        "cloud_cover": 12.5,
        "datastrip": "S20230815T105623",
        "sun_zenith": ZENITH,
        "sun_azimuth": AZIMUTH,
    }
    missing: dict[str, Any] = {name: UNKNOWN if name == "datastrip" else None for name in form.unknown}
    assert {name: getattr(read, name) for name in facts} == {**facts, **missing}
    # A name tells the start of the datatake, a property the orbit too.
    assert read.datatake in ("20230815T105629", "20230815T105629_033642")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_assets_of_each_form_are_found(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.lexists", lambda path: "%" not in path)  # the names of the files, decoded
    assets = item_assets(form.item, form.base, item_product(form.item, form.base), reach=Reach(Path("/archive")))
    assert [name for name in assets if name != "CLD"] == [*L2A, "SCL"]
    assert assets["B04"].href == form.href
    assert {(assets[band].offset, assets[band].offset_from) for band in L2A} == {(form.offset, form.offset_from)}
    assert assets["SCL"].offset == 0
