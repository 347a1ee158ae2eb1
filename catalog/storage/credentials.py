"""Credentials of archives and object stores. Filled in by `flows`, handed down, never written anywhere."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, SecretStr

from catalog.products import Frozen

CDSE_BUCKET = "eodata"
"""The bucket of products of the Copernicus Data Space."""

CDSE_ENDPOINT = "https://eodata.dataspace.copernicus.eu"
"""The object store of the Copernicus Data Space Ecosystem."""


PLANETARY_FILES = re.compile(r"https://sentinel2l2a\d+\.blob\.core\.windows\.net/[^?]*")
"""Files of the Planetary Computer that nobody has signed yet: what signs them has a query behind the name."""


class S3Access(Frozen):
    """Access to an S3 endpoint. Without a key requests are not signed."""

    endpoint: Annotated[str | None, Field(description="address of the endpoint; None for AWS")] = None
    region: Annotated[str | None, Field(description="e.g. eu-central-1; None leaves it to the library")] = None
    key: SecretStr | None = None
    secret: SecretStr | None = None
    token: Annotated[SecretStr | None, Field(description="of a session that ends")] = None
    requester_pays: Annotated[bool, Field(description="whoever reads agrees to pay, as some AWS buckets ask for")] = (
        False
    )


class SentinelHubAccess(Frozen):
    """An OAuth client of a Sentinel Hub deployment."""

    client_id: SecretStr
    client_secret: SecretStr
    base_url: Annotated[str, Field(description="address of the services")]
    token_url: Annotated[str, Field(description="where tokens are had")]


class Credentials(Frozen):
    """All that an installation knows; what is None isn't set."""

    s3: S3Access = S3Access()
    """Access to `s3://` addresses: archives and cubes."""
    cdse: S3Access = S3Access(endpoint=CDSE_ENDPOINT)
    """Access to the bucket `eodata`."""
    sentinel_hub: SentinelHubAccess | None = None

    def of_bucket(self, bucket: str) -> S3Access:
        """The access to the bucket of an ``s3://`` address."""
        return self.cdse if bucket == CDSE_BUCKET else self.s3


def remedy(address: str) -> str:
    """The remedy where access to an address is denied; GDAL's form of it (``/vsis3/…``) will do."""
    if re.search(rf"(?:s3://|/vsis3/){CDSE_BUCKET}/", address):
        return (
            "Set CDSE_S3_ACCESS_KEY and CDSE_S3_SECRET_KEY to keys that are valid, had at "
            "https://eodata-s3keysmanager.dataspace.copernicus.eu."
        )
    if re.search(r"s3://|/vsis3/", address):
        return (
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, where keys end) to keys that may read "
            "it, AWS_ENDPOINT_URL where it isn't at AWS, AWS_REQUEST_PAYER=requester where the reader pays."
        )
    if PLANETARY_FILES.match(address):
        return (
            "The Planetary Computer gives a token for its files to anybody who asks planetarycomputer.microsoft.com: check that it can be "
            "reached from here, or take another source, e.g. earth-search."
        )
    if re.search(r"\.blob\.core\.windows\.net/", address):
        return "Files on Azure need a SAS token in their address: give a catalogue of signed items, or take another source."
    return "Check that it may be read from here, and that what opens it hasn't expired."
