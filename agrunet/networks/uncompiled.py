"""A call that the compiler leaves out of its graphs. Importing it imports the compiler: only compiled networks do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


@torch.compiler.disable  # type: ignore[untyped-decorator]
def call(function: Callable[[Tensor], Result], values: Tensor) -> Result:
    """Call ``function`` outside of any compiled graph."""
    return function(values)
