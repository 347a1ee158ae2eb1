"""Archives and services that a request names by one word, each with the address that this stands for.

A preset is nothing but its address: a request by name and one by address are the same, and share their cubes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """An archive that is known by name."""

    name: str
    address: str
    title: str
    needs: str
    """What has to be there to read from it; empty where anybody may."""
    levels: tuple[str, ...]
    """Levels that can be read from it."""


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="earth-search",
            address="stac:https://earth-search.aws.element84.com/v1",
            title="Earth Search of Element 84, COGs on AWS",
            needs="",
            levels=("L2A",),
        ),
        Preset(
            name="cdse",
            address="cdse:",
            title="Copernicus Data Space, the whole archive as SAFE",
            needs="CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY (https://eodata-s3keysmanager.dataspace.copernicus.eu)",
            levels=("L2A", "L1C"),
        ),
        Preset(
            name="planetary-computer",
            address="stac:https://planetarycomputer.microsoft.com/api/stac/v1",
            title="Microsoft's Planetary Computer, COGs on Azure",
            needs="",
            levels=("L2A",),
        ),
    )
}
"""Presets by name. Earth Search lists L1C, too: JP2 in a bucket that asks its readers to pay (AWS_REQUEST_PAYER=requester)."""


def address_of(source: str) -> str:
    """The address that a request's source means: a preset's, else what it says itself."""
    preset = PRESETS.get(source.strip())
    return source if preset is None else preset.address
