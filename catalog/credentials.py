"""What opens the doors of archives and object stores. Filled in by `flows`, handed down, never written anywhere."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from catalog.products import Frozen

CDSE_ENDPOINT = "https://eodata.dataspace.copernicus.eu"
"""The object store of the Copernicus Data Space Ecosystem."""


class S3Access(Frozen):
    """How an S3 endpoint is entered. Without a key requests are not signed."""

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
    """Of `s3://` addresses: archives and cubes."""
    cdse: S3Access = S3Access(endpoint=CDSE_ENDPOINT)
    """Of the bucket `eodata`."""
    sentinel_hub: SentinelHubAccess | None = None
