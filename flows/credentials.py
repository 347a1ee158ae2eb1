"""Credentials and where they come from: environment variables with the names that their services gave them, else a Prefect block.

Each service is looked up by itself: what the environment holds of it counts, and only what it lacks is taken from the block that
CROPLINE_CREDENTIALS_BLOCK names. So a variable set for one command overrules what an installation shares.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, Field, SecretStr

from catalog.errors import RequestError, SourceError
from catalog.guards.environment import variable
from catalog.guards.json_text import parse_object
from catalog.storage.credentials import CDSE_ENDPOINT, Credentials, S3Access, SentinelHubAccess
from flows.own_server import authorization, own_secret, own_server

BLOCK = "CROPLINE_CREDENTIALS_BLOCK"
"""Names the block of this type to take what the environment lacks from."""

BLOCK_SLUG = "cropline-credentials"

SENTINEL_HUB = "https://services.sentinel-hub.com"
_TOKEN_PATH = "/auth/realms/main/protocol/openid-connect/token"  # noqa: S105 - an address
_TOKEN_URLS = {
    "https://sh.dataspace.copernicus.eu": (
        "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
    ),
}
"""Token addresses of deployments that don't give tokens themselves."""


class CredentialValues(BaseModel):
    """Credentials of all services, each optional: the fields of a block."""

    s3_endpoint: Annotated[str | None, Field(description="Address of the S3 endpoint; empty for AWS.")] = None
    s3_region: Annotated[str | None, Field(description="Region of the S3 endpoint, such as eu-central-1.")] = None
    s3_key: Annotated[SecretStr | None, Field(description="Access key of s3:// addresses.")] = None
    s3_secret: Annotated[SecretStr | None, Field(description="Secret key of s3:// addresses.")] = None
    s3_token: Annotated[SecretStr | None, Field(description="Session token, where keys end.")] = None
    s3_requester_pays: Annotated[bool, Field(description="Agree to pay for reading, as some AWS buckets ask for.")] = (
        False
    )
    cdse_endpoint: Annotated[str | None, Field(description="Another endpoint of the bucket eodata.")] = None
    cdse_key: Annotated[SecretStr | None, Field(description="S3 access key of the Copernicus Data Space.")] = None
    cdse_secret: Annotated[SecretStr | None, Field(description="S3 secret key of the Copernicus Data Space.")] = None
    sh_client_id: Annotated[SecretStr | None, Field(description="OAuth client of Sentinel Hub.")] = None
    sh_client_secret: Annotated[SecretStr | None, Field(description="Its secret.")] = None
    sh_base_url: Annotated[str | None, Field(description=f"Address of the services; {SENTINEL_HUB} if empty.")] = None
    sh_token_url: Annotated[
        str | None, Field(description="Where tokens are had; what belongs to the services if empty.")
    ] = None


def load_credentials() -> Credentials:
    """The credentials of this process.

    Raises `RequestError` where CROPLINE_CREDENTIALS_BLOCK names a block that isn't there, `SourceError` where no Prefect server answers.
    """
    values = _environment()
    name = variable(BLOCK)
    if not name or all(key is not None for key in (values.s3_key, values.cdse_key, values.sh_client_id)):
        return as_credentials(values)
    block = _block(name)
    update = {
        field: getattr(block, field)
        for service, key in (("s3_", "s3_key"), ("cdse_", "cdse_key"), ("sh_", "sh_client_id"))
        if getattr(values, key) is None
        for field in CredentialValues.model_fields
        if field.startswith(service)
    }
    return as_credentials(values.model_copy(update=update))


def as_credentials(values: CredentialValues) -> Credentials:
    """Convert to the credentials that sources are handed."""
    hub = None
    if values.sh_client_id is not None and values.sh_client_secret is not None:
        base = (values.sh_base_url or SENTINEL_HUB).rstrip("/")
        token_url = values.sh_token_url or _TOKEN_URLS.get(base, base + _TOKEN_PATH)
        hub = SentinelHubAccess(
            client_id=values.sh_client_id, client_secret=values.sh_client_secret, base_url=base, token_url=token_url
        )
    return Credentials(
        s3=S3Access(
            endpoint=values.s3_endpoint,
            region=values.s3_region,
            key=values.s3_key,
            secret=values.s3_secret,
            token=values.s3_token,
            requester_pays=values.s3_requester_pays,
        ),
        cdse=S3Access(
            endpoint=values.cdse_endpoint or CDSE_ENDPOINT,
            region="default",
            key=values.cdse_key,
            secret=values.cdse_secret,
        ),
        sentinel_hub=hub,
    )


_read: dict[str, CredentialValues] = {}
"""What this process read of blocks last, by their address."""


def _block(name: str) -> CredentialValues:
    """Ask the server for what a block holds, without Prefect itself: importing that takes seconds, and would fix its settings
    before `cropline run` makes a Prefect of its own."""
    api = variable("PREFECT_API_URL") or own_server()
    where = f"{BLOCK}: the block {name!r}"
    if api is None:
        raise SourceError(
            f"{where} can't be had, for no Prefect server runs. Start it with `cropline up`, or set the variables themselves."
        )
    request = urllib.request.Request(  # noqa: S310 - the address that this installation is set to
        f"{api.rstrip('/')}/block_types/slug/{BLOCK_SLUG}/block_documents/name/{quote(name, safe='')}?include_secrets=true",
        headers=_authorization(api),
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            values = _read[request.full_url] = CredentialValues.model_validate(
                parse_object(answer.read(), ValueError)["data"]
            )
            return values
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise RequestError(
                f"{where} is not at {api}. Make it there as a block of type Cropline credentials."
            ) from None
        raise SourceError(f"{where} can't be had from {api}: HTTP {error.code}.") from None
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and request.full_url in _read:
            return _read[request.full_url]  # a server that is away for a while fails no run
        # A validation error would repeat the values.
        raise SourceError(f"{where} can't be had from {api} ({type(error).__name__}). Look at it there.") from None


def _authorization(api: str) -> dict[str, str]:
    """Header that this server asks for: the user's own word, else the secret of this store's server, told to no other."""
    if secret := variable("PREFECT_API_AUTH_STRING"):
        return authorization(secret)
    if secret := variable("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {secret}"}
    secret = own_secret() if api == own_server() else None
    return authorization(secret) if secret else {}


def _environment() -> CredentialValues:
    return CredentialValues(
        s3_endpoint=variable("AWS_ENDPOINT_URL_S3") or variable("AWS_ENDPOINT_URL"),
        s3_region=variable("AWS_REGION") or variable("AWS_DEFAULT_REGION"),
        s3_key=_secret("AWS_ACCESS_KEY_ID"),
        s3_secret=_secret("AWS_SECRET_ACCESS_KEY"),
        s3_token=_secret("AWS_SESSION_TOKEN"),
        s3_requester_pays=variable("AWS_REQUEST_PAYER") == "requester",
        cdse_endpoint=variable("CDSE_S3_ENDPOINT"),
        cdse_key=_secret("CDSE_S3_ACCESS_KEY"),
        cdse_secret=_secret("CDSE_S3_SECRET_KEY"),
        sh_client_id=_secret("SH_CLIENT_ID"),
        sh_client_secret=_secret("SH_CLIENT_SECRET"),
        sh_base_url=variable("SH_BASE_URL"),
        sh_token_url=variable("SH_TOKEN_URL"),
    )


def _secret(name: str) -> SecretStr | None:
    value = variable(name)
    return None if value is None else SecretStr(value)
