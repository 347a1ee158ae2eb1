"""The base of every configuration of this library."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: immutable, strict about unknown fields, written to and read from JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")
