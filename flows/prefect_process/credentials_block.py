"""The Prefect block that keeps credentials for a whole installation. `cropline up` registers its type."""

from __future__ import annotations

from prefect.blocks.core import Block

from flows.credentials import BLOCK, BLOCK_SLUG, CredentialValues


class CroplineCredentials(Block, CredentialValues):
    """Credentials of archives; secrets are kept encrypted by the server and shown by none of its pages."""

    _block_type_name = "Cropline credentials"
    _block_type_slug = BLOCK_SLUG
    _description = (
        f"Opens archives for Cropline. Name the block in the environment variable {BLOCK} of whatever runs flows; "
        "what is set there directly overrules it, service by service."
    )
