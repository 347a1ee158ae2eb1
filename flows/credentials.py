"""Where credentials come from: environment variables with the names that their services gave them."""

from __future__ import annotations

import os

from pydantic import SecretStr

from catalog.credentials import CDSE_ENDPOINT, Credentials, S3Access


def load_credentials() -> Credentials:
    """The credentials of this process."""
    return Credentials(
        s3=S3Access(
            endpoint=_text("AWS_ENDPOINT_URL_S3") or _text("AWS_ENDPOINT_URL"),
            region=_text("AWS_REGION") or _text("AWS_DEFAULT_REGION"),
            key=_secret("AWS_ACCESS_KEY_ID"),
            secret=_secret("AWS_SECRET_ACCESS_KEY"),
            token=_secret("AWS_SESSION_TOKEN"),
            requester_pays=_text("AWS_REQUEST_PAYER") == "requester",
        ),
        cdse=S3Access(
            endpoint=_text("CDSE_S3_ENDPOINT") or CDSE_ENDPOINT,
            region="default",
            key=_secret("CDSE_S3_ACCESS_KEY"),
            secret=_secret("CDSE_S3_SECRET_KEY"),
        ),
    )


def _text(name: str) -> str | None:
    return os.environ.get(name) or None


def _secret(name: str) -> SecretStr | None:
    value = _text(name)
    return None if value is None else SecretStr(value)
