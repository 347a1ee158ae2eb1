"""What the confidence of a map is worth: a probability, or only an order of what is surer and what is less sure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from catalog.products import Frozen

CALIBRATED_TO = 0.08
"""Expected calibration error up to which confidence is called calibrated."""


class ConfidenceKind(StrEnum):
    """How confidence is to be read."""

    CALIBRATED = "calibrated"
    RELATIVE = "relative"


class ConfidenceWorth(Frozen):
    """How far the confidence of a map agrees with its accuracy, on fields that its model never saw."""

    kind: ConfidenceKind
    ece: Annotated[
        float | None,
        Field(ge=0, le=1, description="expected calibration error there, 0 to 1; none where it isn't known"),
    ]

    @property
    def words(self) -> str:
        """A sentence for people."""
        if self.ece is None:
            return (
                "Confidence is relative: it says which pixels are surer than others. How often it is right wasn't measured on fields "
                "that the model never saw."
            )
        if self.kind is ConfidenceKind.RELATIVE:
            return (
                "Confidence is relative: it says which pixels are surer than others. On fields that the model never saw it differs "
                f"from the accuracy by {self.ece:.2f} on average."
            )
        return f"Confidence is calibrated: on fields that the model never saw it differs from the accuracy by {self.ece:.2f} on average."


def confidence_worth(config: dict[str, Any], *, synthetic: bool) -> ConfidenceWorth:
    """Tell it from a checkpoint's ``config.json``; ``synthetic``: of the mapped images. Simulated fields say nothing of real ones."""
    measured = [entry["ece"] for entry in config.get("calibration", ())]
    if not measured or (config.get("synthetic") and not synthetic):
        return ConfidenceWorth(kind=ConfidenceKind.RELATIVE, ece=None)
    worst = max(measured)
    kind = ConfidenceKind.CALIBRATED if worst <= CALIBRATED_TO else ConfidenceKind.RELATIVE
    return ConfidenceWorth(kind=kind, ece=worst)
