"""The base of every configuration of this library, and how a wrong one is described."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError


class Frozen(BaseModel):
    """A value that is immutable, strict about unknown fields, written to and read from JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_problem(error: ValidationError) -> str:
    """Describe the first field that is wrong, as ``field.subfield: what pydantic says``."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
