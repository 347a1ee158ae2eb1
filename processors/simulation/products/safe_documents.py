"""The documents of a SAFE product, with what readers look for in its place (Sentinel-2 Products Specification 14.9, ESA 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from catalog.products import BANDS, NO_DATA, SATURATED
from processors.simulation.instrument.instrument import OFFSET, RADIOMETRY, Instrument
from processors.simulation.mission.classification import NAMES as CLASS_NAMES
from processors.simulation.mission.granule import GRID, NOTICE, Content, Granule, iso

_IDS = {name: number for number, name in enumerate(BANDS)}
_HEAD = f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- {NOTICE} -->\n'
_SPACE = (
    'xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/{}.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)

_SHARES = {
    1: "SATURATED_DEFECTIVE_PIXEL", 2: "DARK_FEATURES", 3: "CLOUD_SHADOW", 4: "VEGETATION", 5: "NOT_VEGETATED", 6: "WATER",
    7: "UNCLASSIFIED", 8: "MEDIUM_PROBA_CLOUDS", 9: "HIGH_PROBA_CLOUDS", 10: "THIN_CIRRUS", 11: "SNOW_ICE",
}  # fmt: skip


def product_document(granule: Granule, content: Content, images: Sequence[str]) -> str:
    """``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``. ``images``: of the granule, from the product's folder, without ``.jp2``."""
    level = f"Level-{granule.level[1:]}"
    quality = "".join(
        f'<quality_check checkType="{check}">PASSED</quality_check>'
        for check in (
            "FORMAT_CORRECTNESS",
            "GENERAL_QUALITY",
            "GEOMETRIC_QUALITY",
            "RADIOMETRIC_QUALITY",
            "SENSOR_QUALITY",
        )
    )
    shares = _shares(granule, content)
    repeated = f"<Image_Content_QI>{shares}</Image_Content_QI>" if shares else ""
    footprint = " ".join(f"{latitude:.9f} {longitude:.9f}" for longitude, latitude in content.footprint)
    return f"""{_HEAD}<n1:{level}_User_Product {_SPACE.format(f"User_Product_{level}")}>
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{iso(granule.datatake_start)}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{iso(granule.datatake_start)}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{granule.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{granule.level[1:]}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{granule.baseline}</PROCESSING_BASELINE>
      <SYNTHETIC>true</SYNTHETIC>
      <GENERATION_TIME>{iso(granule.generated)}</GENERATION_TIME>
      <PREVIEW_IMAGE_URL>Not applicable</PREVIEW_IMAGE_URL>
      <PREVIEW_GEO_INFO>Not applicable</PREVIEW_GEO_INFO>
      <Datatake datatakeIdentifier="{granule.datatake}">
        <SPACECRAFT_NAME>Sentinel-{granule.platform[1:]}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{iso(granule.datatake_start)}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{granule.relative_orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Query_Options completeSingleTile="true"><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>
      <Product_Organisation><Granule_List>
        <Granule datastripIdentifier="{granule.datastrip}" granuleIdentifier="{granule.granule}" imageFormat="JPEG2000">
          {"".join(f"<IMAGE_FILE>{image}</IMAGE_FILE>" for image in images)}
        </Granule>
      </Granule_List></Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      {_special("NODATA", NO_DATA)}{_special("SATURATED", SATURATED)}
      <Image_Display_Order><RED_CHANNEL>3</RED_CHANNEL><GREEN_CHANNEL>2</GREEN_CHANNEL><BLUE_CHANNEL>1</BLUE_CHANNEL></Image_Display_Order>
      {_quantification(granule)}
      {_conversion(granule)}
      {_spectral()}
      {_class_list(granule)}
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint><Product_Footprint><Global_Footprint>
      <EXT_POS_LIST>{footprint} </EXT_POS_LIST>
    </Global_Footprint></Product_Footprint></Product_Footprint>
    <Coordinate_Reference_System><HORIZONTAL_CS_TYPE>GEOGRAPHIC</HORIZONTAL_CS_TYPE></Coordinate_Reference_System>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{content.cloudy:.6f}</Cloud_Coverage_Assessment>
    <Technical_Quality_Assessment><DEGRADED_ANC_DATA_PERCENTAGE>0.0</DEGRADED_ANC_DATA_PERCENTAGE><DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE></Technical_Quality_Assessment>
    <Quality_Control_Checks><Quality_Inspections>{quality}</Quality_Inspections></Quality_Control_Checks>
    {repeated}
  </n1:Quality_Indicators_Info>
</n1:{level}_User_Product>
"""


def tile_document(granule: Granule, content: Content, masks: Sequence[tuple[str, str | None, str]]) -> str:
    """``MTD_TL.xml``. ``masks``: kind, band or None, path from the product's folder."""
    level = f"Level-{granule.level[1:]}"
    west, north = granule.upper_left
    zone, hemisphere = granule.epsg % 100, "N" if granule.epsg < 32700 else "S"
    sizes = "".join(
        f'<Size resolution="{metres}"><NROWS>{granule.edge * 10 // metres}</NROWS><NCOLS>{granule.edge * 10 // metres}</NCOLS></Size>'
        for metres in (10, 20, 60)
    ) + "".join(
        f'<Geoposition resolution="{metres}"><ULX>{west}</ULX><ULY>{north}</ULY><XDIM>{metres}</XDIM><YDIM>-{metres}</YDIM></Geoposition>'
        for metres in (10, 20, 60)
    )
    angles = granule.angles
    sun = granule.sun_grid or tuple(np.full((GRID, GRID), value) for value in (angles.sun_zenith, angles.sun_azimuth))
    view = tuple(np.full((GRID, GRID), value) for value in (angles.view_zenith, angles.view_azimuth))
    views = "".join(
        f'<Viewing_Incidence_Angles_Grids bandId="{number}" detectorId="6">{_grids(view)}</Viewing_Incidence_Angles_Grids>\n'
        for number in _IDS.values()
    )
    means = "".join(
        f'<Mean_Viewing_Incidence_Angle bandId="{number}">{_mean(angles.view_zenith, angles.view_azimuth)}</Mean_Viewing_Incidence_Angle>'
        for number in _IDS.values()
    )
    listed = "".join(
        f'<MASK_FILENAME {_band_of(band)}type="MSK_{kind}">{path}</MASK_FILENAME>\n' for kind, band, path in masks
    )
    return f"""{_HEAD}<n1:{level}_Tile_ID {_SPACE.format(f"S2_PDI_{level}_Tile_Metadata")}>
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{granule.granule}</TILE_ID>
    <DATASTRIP_ID metadataLevel="Standard">{granule.datastrip}</DATASTRIP_ID>
    <DOWNLINK_PRIORITY metadataLevel="Standard">NOMINAL</DOWNLINK_PRIORITY>
    <SENSING_TIME metadataLevel="Standard">{iso(granule.sensed)}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}{hemisphere}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{granule.epsg}</HORIZONTAL_CS_CODE>
      {sizes}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Sun_Angles_Grid>{_grids(sun)}</Sun_Angles_Grid>
      <Mean_Sun_Angle>{_mean(angles.sun_zenith, angles.sun_azimuth)}</Mean_Sun_Angle>
      {views}<Mean_Viewing_Incidence_Angle_List>{means}</Mean_Viewing_Incidence_Angle_List>
    </Tile_Angles>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    {_image_content(granule, content)}
    <Pixel_Level_QI geometry="FULL_RESOLUTION">
{listed}    </Pixel_Level_QI>
    <PVI_FILENAME>GRANULE/{granule.folder}/QI_DATA/{granule.stem}_PVI.jp2</PVI_FILENAME>
  </n1:Quality_Indicators_Info>
</n1:{level}_Tile_ID>
"""


def datastrip_document(granule: Granule) -> str:
    """``MTD_DS.xml``: which datatake, and the noise that was added."""
    level = f"Level-{granule.level[1:]}"
    noise = "".join(
        f'<Radiometric_Quality bandId="{_IDS[band]}"><Noise_Model><ALPHA>{one.alpha}</ALPHA><BETA>{one.beta}</BETA></Noise_Model>'
        "</Radiometric_Quality>"
        for band, one in RADIOMETRY[granule.platform].items()
    )
    return f"""{_HEAD}<n1:{level}_DataStrip_ID {_SPACE.format(f"S2_PDI_{level}_Datastrip_Metadata")}>
  <n1:General_Info>
    <Datatake_Info datatakeIdentifier="{granule.datatake}" metadataLevel="Brief">
      <SPACECRAFT_NAME>Sentinel-{granule.platform[1:]}</SPACECRAFT_NAME>
      <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
      <DATATAKE_SENSING_START>{iso(granule.datatake_start)}</DATATAKE_SENSING_START>
      <SENSING_ORBIT_NUMBER>{granule.relative_orbit}</SENSING_ORBIT_NUMBER>
      <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
    </Datatake_Info>
    <Datastrip_Time_Info metadataLevel="Brief">
      <DATASTRIP_SENSING_START>{iso(granule.datastrip_start)}</DATASTRIP_SENSING_START>
    </Datastrip_Time_Info>
    <Processing_Info metadataLevel="Expertise">
      <PROCESSING_BASELINE>{granule.baseline}</PROCESSING_BASELINE>
      <UTC_DATE_TIME>{iso(granule.generated)}</UTC_DATE_TIME>
    </Processing_Info>
  </n1:General_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Radiometric_Info><Radiometric_Quality_List>{noise}</Radiometric_Quality_List></Radiometric_Info>
  </n1:Quality_Indicators_Info>
</n1:{level}_DataStrip_ID>
"""


def inspire_document(granule: Granule, content: Content) -> str:
    """``INSPIRE.xml``: title and abstract say what it is."""
    positions = " ".join(f"{latitude:.9f} {longitude:.9f}" for longitude, latitude in content.footprint)

    def text(value: str) -> str:
        return f"<gco:CharacterString>{escape(value)}</gco:CharacterString>"

    return f"""{_HEAD}<gmd:MD_Metadata xmlns:gco="http://www.isotc211.org/2005/gco" xmlns:gmd="http://www.isotc211.org/2005/gmd">
  <gmd:fileIdentifier>{text(granule.name)}</gmd:fileIdentifier>
  <gmd:dateStamp><gco:Date>{granule.generated:%Y-%m-%d}</gco:Date></gmd:dateStamp>
  <gmd:identificationInfo><gmd:MD_DataIdentification>
    <gmd:citation><gmd:CI_Citation><gmd:title>{text(f"SYNTHETIC {granule.name}.SAFE")}</gmd:title></gmd:CI_Citation></gmd:citation>
    <gmd:abstract>{text(f"{NOTICE} {positions}")}</gmd:abstract>
  </gmd:MD_DataIdentification></gmd:identificationInfo>
</gmd:MD_Metadata>
"""


def manifest(granule: Granule, files: Iterable[tuple[str, int, str]]) -> str:
    """``manifest.safe``. ``files``: path, size in bytes, SHA3-256 of all others."""
    objects = "".join(
        f'<dataObject ID="file_{number}"><byteStream mimeType="application/octet-stream" size="{size}">'
        f'<fileLocation locatorType="URL" href="./{path}"/><checksum checksumName="SHA3-256">{digest}</checksum>'
        "</byteStream></dataObject>\n"
        for number, (path, size, digest) in enumerate(files)
    )
    version = f"esa/safe/sentinel/1.1/sentinel-2/msi/archive_{granule.level.lower()}_user_product"
    return f"""{_HEAD}<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="{version}">
  <metadataSection><metadataObject ID="synthetic" classification="DESCRIPTION" category="DMD"><metadataWrap mimeType="text/plain"
    textInfo="{NOTICE}"/></metadataObject></metadataSection>
  <dataObjectSection>
{objects}  </dataObjectSection>
</xfdu:XFDU>
"""


def mask_document(granule: Granule, kind: str, band: str, polygons: Mapping[str, str]) -> str:
    """A mask in GML. ``polygons``: by identifier, coordinates x and y in m, with spaces between."""
    name = f"{granule.platform}_OPER_MSK_{kind}_{granule.granule.split('_TL_')[1].rsplit('_N', 1)[0]}_{band}_MSI{granule.level}"
    types = {"DETFOO": "DETECTOR_FOOTPRINT", "CLOUDS": "OPAQUE"}
    members = "".join(
        f'<eop:MaskFeature gml:id="{identifier}"><eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{types[kind]}</eop:maskType>'
        f'<eop:extentOf><gml:Polygon gml:id="{identifier}_Polygon"><gml:exterior><gml:LinearRing>'
        f'<gml:posList srsDimension="2">{points}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon>'
        "</eop:extentOf></eop:MaskFeature>"
        for identifier, points in polygons.items()
    )
    return f"""{_HEAD}<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="{name}">
  <gml:name>MSK_{kind} pixels mask from data-strip {name}</gml:name>
  <eop:maskMembers>{members}</eop:maskMembers>
</eop:Mask>
"""


def _band_of(band: str | None) -> str:
    return "" if band is None else f'bandId="{_IDS[band]}" '


def _special(name: str, value: int) -> str:
    index = f"<SPECIAL_VALUE_INDEX>{value}</SPECIAL_VALUE_INDEX>"
    return f"<Special_Values><SPECIAL_VALUE_TEXT>{name}</SPECIAL_VALUE_TEXT>{index}</Special_Values>"


def _quantification(granule: Granule) -> str:
    boa = granule.level == "L2A"
    element, holder = (
        ("BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST") if boa else ("RADIO_ADD_OFFSET", "Radiometric_Offset_List")
    )
    offsets = "".join(f'<{element} band_id="{number}">{-OFFSET}</{element}>' for number in _IDS.values())
    values = (
        '<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>'
        '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
        '<WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>'
        if boa
        else '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
    )
    return values + (f"<{holder}>{offsets}</{holder}>" if granule.shifted else "")


def _conversion(granule: Granule) -> str:
    distance = Instrument(granule.platform, granule.sensed.timetuple().tm_yday).sun_distance
    radiometry = RADIOMETRY[granule.platform]
    irradiances = "".join(
        f'<SOLAR_IRRADIANCE bandId="{_IDS[band]}" unit="W/m²/µm">{one.irradiance}</SOLAR_IRRADIANCE>'
        for band, one in radiometry.items()
    )
    gains = "".join(
        f'<PHYSICAL_GAINS bandId="{_IDS[band]}">{one.gain}</PHYSICAL_GAINS>' for band, one in radiometry.items()
    )
    return (
        f"<Reflectance_Conversion><U>{distance:.9f}</U><Solar_Irradiance_List>{irradiances}</Solar_Irradiance_List>"
        f"</Reflectance_Conversion>{gains}"
    )


def _spectral() -> str:
    entries = "".join(
        f'<Spectral_Information bandId="{_IDS[name]}" physicalBand="{name.replace("B0", "B")}"><RESOLUTION>{band.resolution}</RESOLUTION>'
        f'<Wavelength><CENTRAL unit="nm">{band.wavelength}</CENTRAL></Wavelength></Spectral_Information>'
        for name, band in BANDS.items()
    )
    return f"<Spectral_Information_List>{entries}</Spectral_Information_List>"


def _class_list(granule: Granule) -> str:
    if granule.level == "L1C":
        return ""
    entries = "".join(
        f"<Scene_Classification_ID><SCENE_CLASSIFICATION_TEXT>SC_{name}</SCENE_CLASSIFICATION_TEXT>"
        f"<SCENE_CLASSIFICATION_INDEX>{code}</SCENE_CLASSIFICATION_INDEX></Scene_Classification_ID>"
        for code, name in CLASS_NAMES.items()
    )
    return f"<Scene_Classification_List>{entries}</Scene_Classification_List>"


def _image_content(granule: Granule, content: Content) -> str:
    """Statement of the granule's document on its pixels; the product's repeats L2A's part."""
    shares = f"<CLOUDY_PIXEL_PERCENTAGE>{content.cloudy:.6f}</CLOUDY_PIXEL_PERCENTAGE>"
    shares += "<DEGRADED_MSI_DATA_PERCENTAGE>0</DEGRADED_MSI_DATA_PERCENTAGE>"
    return f"<Image_Content_QI>{shares}{_shares(granule, content)}</Image_Content_QI>"


def _shares(granule: Granule, content: Content) -> str:
    if granule.level == "L1C":
        return ""
    shares = f"<NODATA_PIXEL_PERCENTAGE>{content.nodata:.6f}</NODATA_PIXEL_PERCENTAGE>"
    shares += "".join(
        f"<{name}_PERCENTAGE>{content.classes.get(code, 0):.6f}</{name}_PERCENTAGE>" for code, name in _SHARES.items()
    )
    return (
        shares
        + f"<GRANULE_MEAN_AOT>{content.aerosol:.6f}</GRANULE_MEAN_AOT><GRANULE_MEAN_WV>{content.vapour:.6f}</GRANULE_MEAN_WV>"
    )


def _mean(zenith: float, azimuth: float) -> str:
    return (
        f'<ZENITH_ANGLE unit="deg">{zenith:.10g}</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">{azimuth:.10g}</AZIMUTH_ANGLE>'
    )


def _grids(grids: Sequence[npt.NDArray[np.float64]]) -> str:
    step = '<COL_STEP unit="m">5000</COL_STEP><ROW_STEP unit="m">5000</ROW_STEP>'
    return "".join(
        f"<{name}>{step}<Values_List>{''.join(f'<VALUES>{_row(row)}</VALUES>' for row in grid)}</Values_List></{name}>"
        for name, grid in zip(("Zenith", "Azimuth"), grids, strict=True)
    )


def _row(row: npt.NDArray[np.float64]) -> str:
    return " ".join("NaN" if math.isnan(value) else f"{value:.6g}" for value in row)
