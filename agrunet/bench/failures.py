"""Failures of one network while it is measured: a reason in its row, not the end of the table."""

from __future__ import annotations

import torch

from agrunet.errors import AgrunetError

_LONGEST = 200
"""Characters of a reason; compilers write pages."""


class MeasureError(Exception):
    """A measurement that failed; the text is the reason that its row shows."""


# Errors of torch, its compiler's among them, are RuntimeErrors.
CAUGHT: tuple[type[Exception], ...] = (MeasureError, RuntimeError, MemoryError, OSError, AgrunetError)
"""Errors that belong to one network: out of memory, no compiler, an operation that the device lacks, a shape it refuses."""


def reason(error: Exception) -> str:
    """Describe an error in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in text:
        text = f"out of memory: {text}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
