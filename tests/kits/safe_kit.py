"""Small synthetic SAFE products on the real UTM grid, with the structure of real ones; a module, so that all rooms' tests can import it.

Names, elements and their places follow the real products of the test data: the compact form since December 2016, the long names
before, and the AWS archive. Only what differs from place to place is filled in.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from shapely.geometry import Polygon, box, mapping

from catalog.grid import to_lonlat
from catalog.products import BANDS, LEVEL_BANDS, Level

BAND_IDS = {name: number for number, name in enumerate(BANDS)}
EDGE = 240
"""Pixels of 10 m along a tile here; whole pixels of 20 and 60 m too."""


@dataclass
class Kit:
    """What a product to be written is. Change a field, write it."""

    level: Level = "L2A"
    tile: str = "31UES"
    epsg: int = 32631
    west: int = 573_440
    """Corner of the tile, m: here of a cell of the grid, so that a product lies in one."""
    north: int = 5_632_000
    edge: int = EDGE
    platform: str = "S2A"
    start: datetime = datetime(2023, 6, 1, 10, 56, 21, tzinfo=UTC)
    """Of the datatake; the granule was sensed 5 minutes later."""
    orbit: int = 41_478
    relative_orbit: int = 94
    baseline: str = "05.09"
    generated: datetime = datetime(2023, 6, 1, 16, 0, 0, tzinfo=UTC)
    datastrip: str = "S20230601T105913"
    offset: int | None = -1000
    """None: the documents have no such element."""
    bands: Mapping[str, int | npt.NDArray[Any]] = field(default_factory=dict)
    """Raw numbers at native resolution; of bands that aren't here, 1000 + 100 x its place."""
    leave_out: tuple[str, ...] = ()
    scl: int | npt.NDArray[Any] = 4
    cloud_cover: float = 12.5
    quantification: float = 10_000
    saturated: int = 65_535
    nodata: int = 0
    footprint: str | None = None
    """EXT_POS_LIST as it stands in the document; by default the tile."""
    folder_name: str | None = None
    check: str = "PASSED"

    @property
    def name(self) -> str:
        return (
            f"{self.platform}_MSI{self.level}_{self.start:%Y%m%dT%H%M%S}_N{self.baseline.replace('.', '')}"
            f"_R{self.relative_orbit:03d}_T{self.tile}_{self.generated:%Y%m%dT%H%M%S}"
        )

    @property
    def sensed(self) -> datetime:
        return self.start + timedelta(minutes=5)

    @property
    def granule(self) -> str:
        """Folder of the granule."""
        return f"{self.level}_T{self.tile}_A{self.orbit:06d}_{self.datastrip[1:]}"

    @property
    def granule_id(self) -> str:
        made = f"{self.platform}_OPER_MSI_{self.level}_TL_2APS_{self.generated:%Y%m%dT%H%M%S}"
        return f"{made}_A{self.orbit:06d}_T{self.tile}_N{self.baseline}"

    @property
    def datastrip_id(self) -> str:
        return f"{self.platform}_OPER_MSI_{self.level}_DS_2APS_{self.generated:%Y%m%dT%H%M%S}_{self.datastrip}_N{self.baseline}"

    @property
    def outline(self) -> Polygon:
        """Of the tile, longitude and latitude."""
        east, south = self.west + self.edge * 10, self.north - self.edge * 10
        return to_lonlat(box(self.west, south, east, self.north), self.epsg)  # type: ignore[return-value]

    def raw(self, band: str) -> npt.NDArray[Any]:
        """(H, W) of a band at its native resolution, or of SCL at 20 m."""
        metres = 20 if band == "SCL" else BANDS[band].resolution
        size = self.edge * 10 // metres
        value = self.scl if band == "SCL" else self.bands.get(band, 1000 + 100 * BAND_IDS[band])
        return np.broadcast_to(value, (size, size)).astype(np.uint8 if band == "SCL" else np.uint16)

    def write(self, archive: Path, *, files_of: Mapping[str, Path] | None = None) -> Path:
        """The ``.SAFE`` folder. ``files_of``: a band's file copied instead of written."""
        product = archive / (self.folder_name or f"{self.name}.SAFE")
        granule = product / "GRANULE" / self.granule
        images = granule / "IMG_DATA"
        (granule / "QI_DATA").mkdir(parents=True)
        stem = f"T{self.tile}_{self.start:%Y%m%dT%H%M%S}"
        for band in (*LEVEL_BANDS[self.level], *(("SCL",) if self.level == "L2A" else ())):
            if band in self.leave_out:
                continue
            metres = 20 if band == "SCL" else BANDS[band].resolution
            path = images / (f"R{metres}m/{stem}_{band}_{metres}m.jp2" if self.level == "L2A" else f"{stem}_{band}.jp2")
            path.parent.mkdir(parents=True, exist_ok=True)
            if files_of and band in files_of:
                path.write_bytes(files_of[band].read_bytes())
            else:
                self.write_jp2(path, self.raw(band), metres)
        if self.level == "L2A":
            probability = np.full((self.edge // 2, self.edge // 2), 3, np.uint8)
            self.write_jp2(granule / "QI_DATA" / "MSK_CLDPRB_20m.jp2", probability, 20)
        (granule / "QI_DATA" / "MSK_DEFECT_B03.gml").write_text(GML, encoding="utf-8")
        (granule / "MTD_TL.xml").write_text(self.tile_xml(), encoding="utf-8")
        (product / f"MTD_MSI{self.level}.xml").write_text(self.product_xml([self.granule_id]), encoding="utf-8")
        return product

    def write_jp2(self, path: Path, array: npt.NDArray[Any], metres: int) -> None:
        height, width = array.shape
        with rasterio.open(
            path, "w", driver="JP2OpenJPEG", height=height, width=width, count=1, dtype=array.dtype, crs=f"EPSG:{self.epsg}",
            transform=Affine(metres, 0, self.west, 0, -metres, self.north), QUALITY="100", REVERSIBLE="YES",
        ) as file:  # fmt: skip
            file.write(array, 1)

    def product_xml(self, granules: list[str]) -> str:
        level = f"Level-{self.level[1:]}"
        boa = self.level == "L2A"
        element = "BOA_ADD_OFFSET" if boa else "RADIO_ADD_OFFSET"
        holder = "BOA_ADD_OFFSET_VALUES_LIST" if boa else "Radiometric_Offset_List"
        offsets = "".join(f'<{element} band_id="{number}">{self.offset}</{element}>' for number in BAND_IDS.values())
        quantification = (
            f'<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">{self.quantification:g}</BOA_QUANTIFICATION_VALUE>'
            '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>'
            if boa
            else f'<QUANTIFICATION_VALUE unit="none">{self.quantification:g}</QUANTIFICATION_VALUE>'
        )
        footprint = self.footprint or " ".join(
            f"{latitude} {longitude}" for longitude, latitude in self.outline.exterior.coords
        )
        listed = "".join(
            f'<Granule datastripIdentifier="{self.datastrip_id}" granuleIdentifier="{name}" imageFormat="JPEG2000"/>'
            for name in granules
        )
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_{level}.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{self.start:%Y-%m-%dT%H:%M:%S}.024Z</PRODUCT_START_TIME>
      <PRODUCT_URI>{self.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{self.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{self.generated:%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="G{self.platform}_{self.start:%Y%m%dT%H%M%S}_{self.orbit:06d}_N{self.baseline}">
        <SPACECRAFT_NAME>Sentinel-{self.platform[1:]}</SPACECRAFT_NAME>
        <SENSING_ORBIT_NUMBER>{self.relative_orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <SYNTHETIC>true</SYNTHETIC>
      <Product_Organisation><Granule_List>{listed}</Granule_List></Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>{self.nodata}</SPECIAL_VALUE_INDEX></Special_Values>
      <Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>{self.saturated}</SPECIAL_VALUE_INDEX></Special_Values>
      {quantification}
      {"" if self.offset is None else f"<{holder}>{offsets}</{holder}>"}
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info><Product_Footprint><Product_Footprint><Global_Footprint>
    <EXT_POS_LIST>{footprint}</EXT_POS_LIST>
  </Global_Footprint></Product_Footprint></Product_Footprint></n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{self.cloud_cover}</Cloud_Coverage_Assessment>
    <Quality_Control_Checks><Quality_Inspections>
      <quality_check checkType="GEOMETRIC_QUALITY">{self.check}</quality_check>
    </Quality_Inspections></Quality_Control_Checks>
  </n1:Quality_Indicators_Info>
</n1:{level}_User_Product>
"""

    def tile_xml(self) -> str:
        level = f"Level-{self.level[1:]}"
        sizes = "".join(
            f'<Size resolution="{metres}"><NROWS>{self.edge * 10 // metres}</NROWS><NCOLS>{self.edge * 10 // metres}</NCOLS></Size>'
            f'<Geoposition resolution="{metres}"><ULX>{self.west}</ULX><ULY>{self.north}</ULY>'
            f"<XDIM>{metres}</XDIM><YDIM>-{metres}</YDIM></Geoposition>"
            for metres in (10, 20, 60)
        )
        grid = "<Values_List><VALUES>29.5 30.5</VALUES><VALUES>29.6 NaN</VALUES></Values_List>"
        step = '<COL_STEP unit="m">5000</COL_STEP><ROW_STEP unit="m">5000</ROW_STEP>'
        views = "".join(
            f'<Mean_Viewing_Incidence_Angle bandId="{number}"><ZENITH_ANGLE unit="deg">{3 + number / 10}</ZENITH_ANGLE>'
            '<AZIMUTH_ANGLE unit="deg">104.5</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>'
            for number in BAND_IDS.values()
        )
        return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{level}_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_{level}_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{self.granule_id}</TILE_ID>
    <DATASTRIP_ID metadataLevel="Standard">{self.datastrip_id}</DATASTRIP_ID>
    <SENSING_TIME metadataLevel="Standard">{self.sensed:%Y-%m-%dT%H:%M:%S}.461Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {self.epsg % 100}N</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{self.epsg}</HORIZONTAL_CS_CODE>
      {sizes}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Sun_Angles_Grid><Zenith>{step}{grid}</Zenith><Azimuth>{step}{grid}</Azimuth></Sun_Angles_Grid>
      <Mean_Sun_Angle><ZENITH_ANGLE unit="deg">30.25</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">155.5</AZIMUTH_ANGLE></Mean_Sun_Angle>
      <Mean_Viewing_Incidence_Angle_List>{views}</Mean_Viewing_Incidence_Angle_List>
    </Tile_Angles>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{self.cloud_cover}</CLOUDY_PIXEL_PERCENTAGE>
      <DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>
    </Image_Content_QI>
  </n1:Quality_Indicators_Info>
</n1:{level}_Tile_ID>
"""


GML = """<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="MSK_DEFECT">
  <eop:maskMembers><eop:MaskFeature gml:id="QT_DEFECTIVE_PIXELS-D10.0">
    <eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">QT_DEFECTIVE_PIXELS</eop:maskType>
    <eop:extentOf><gml:Polygon><gml:exterior><gml:LinearRing>
      <gml:posList srsDimension="3">573440 5632000 0 573540 5632000 0 573540 5631900 0 573440 5632000 0</gml:posList>
    </gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf>
  </eop:MaskFeature></eop:maskMembers>
</eop:Mask>
"""


def pack(product: Path, archive: Path, *, method: int = zipfile.ZIP_DEFLATED, top: bool = True) -> Path:
    """A zip of a ``.SAFE`` folder; ``top``: with the folder itself in it, as publishers pack it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", method) as file:
        for path in sorted(product.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(product.parent if top else product))
    return archive


def write_long(archive: Path, granules: list[Kit]) -> Path:
    """A product of several granules with the long names of before December 2016. The first one's footprint is of all."""
    first = granules[0]
    about = (
        f"{first.platform}_OPER_PRD_MSI{first.level}_PDMC_{first.generated:%Y%m%dT%H%M%S}_R{first.relative_orbit:03d}"
    )
    product = archive / f"{about}_V{first.start:%Y%m%dT%H%M%S}_{first.sensed:%Y%m%dT%H%M%S}.SAFE"
    for one in granules:
        folder = product / "GRANULE" / one.granule_id
        (folder / "IMG_DATA").mkdir(parents=True)
        (folder / "QI_DATA").mkdir()
        stem = one.granule_id.rpartition("_N")[0]
        for band in LEVEL_BANDS[one.level]:
            one.write_jp2(folder / "IMG_DATA" / f"{stem}_{band}.jp2", one.raw(band), BANDS[band].resolution)
        mask = stem.replace("_MSI_L1C_TL_", "_MSK_DEFECT_")
        (folder / "QI_DATA" / f"{mask}_B03_MSIL1C.gml").write_text(GML, encoding="utf-8")
        (folder / f"{stem.replace('_MSI_', '_MTD_')}.xml").write_text(one.tile_xml(), encoding="utf-8")
    whole = first.product_xml([one.granule_id for one in granules])
    whole = whole.replace(f"{first.name}.SAFE", product.name)
    (product / f"{about.replace('_PRD_MSI', '_MTD_SAF')}.xml").write_text(whole, encoding="utf-8")
    return product


def write_aws(archive: Path, kit: Kit, *, product_document: bool = True) -> Path:
    """A tile as the AWS archive has it; the product's own document lies in another part of it."""
    day = f"{kit.start.year}/{kit.start.month}/{kit.start.day}"
    folder = archive / f"tiles/{int(kit.tile[:2])}/{kit.tile[2]}/{kit.tile[3:]}/{day}/0"
    (folder / "qi").mkdir(parents=True)
    (folder / "preview").mkdir()
    for band in (*LEVEL_BANDS[kit.level], *(("SCL",) if kit.level == "L2A" else ())):
        metres = 20 if band == "SCL" else BANDS[band].resolution
        path = folder / (f"R{metres}m/{band}.jp2" if kit.level == "L2A" else f"{band}.jp2")
        path.parent.mkdir(exist_ok=True)
        kit.write_jp2(path, kit.raw(band), metres)
        kit.write_jp2(folder / "preview" / f"{band}.jp2", np.ones((10, 10), np.uint8), 240)
    (folder / "qi" / "MSK_DEFECT_B03.gml").write_text(GML, encoding="utf-8")
    (folder / "metadata.xml").write_text(kit.tile_xml(), encoding="utf-8")
    east, south = kit.west + kit.edge * 10, kit.north - kit.edge * 10
    path = f"products/{day}/{kit.name}"
    about_tile = {
        "path": str(folder.relative_to(archive)),
        "timestamp": f"{kit.sensed:%Y-%m-%dT%H:%M:%S}.461Z",
        "tileDataGeometry": {
            **mapping(box(kit.west, south, east, kit.north)),
            "crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG:8.8.1:{kit.epsg}"}},
        },
        "cloudyPixelPercentage": kit.cloud_cover,
        "productName": kit.name,
        "productPath": path,
    }
    about_product = {
        "name": kit.name,
        "path": path,
        "datatakeIdentifier": f"G{kit.platform}_{kit.start:%Y%m%dT%H%M%S}_{kit.orbit:06d}_N{kit.baseline}",
    }
    (folder / "tileInfo.json").write_text(json.dumps(about_tile), encoding="utf-8")
    (folder / "productInfo.json").write_text(json.dumps(about_product), encoding="utf-8")
    if product_document:
        (archive / path).mkdir(parents=True)
        (archive / path / "metadata.xml").write_text(kit.product_xml([kit.granule_id]), encoding="utf-8")
    return folder
