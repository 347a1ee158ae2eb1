"""The crop map: AgrUNet's class probabilities, the most probable class and its confidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agrunet.data.patches import PatchSource
from agrunet.errors import AgrunetError
from catalog.errors import ModelError
from catalog.legend import MAP_NO_DATA, Legend
from catalog.model_fit import Misfit, MisfitKind, ModelContract, Need, misfits
from processors.patches.cube_patches import PatchGrid
from processors.rasters import Variable
from processors.thematic.crop_weights import Weights, weighted, weights_of
from processors.thematic.declaration import Declaration
from processors.thematic.protocol import Fields, Job

if TYPE_CHECKING:
    import torch  # imported where it computes: a list of processors, or a request's check, doesn't wait for it

    from agrunet.checkpoint.config import CheckpointConfig
    from agrunet.networks.registry import Network

CROP_MAP = "crop map"
"""Product of this processor, and of others that may stand in for it."""


class CropMapParameters(BaseModel):
    """What a request may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    overlap: Annotated[
        int | None,
        Field(ge=0, description="overlap of neighbouring patches, pixels; a quarter of the patch by default"),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16"], Field(description="arithmetic of the network; bf16 is faster and nearly the same")
    ] = "fp32"


class CropMap:
    """Processor that maps crops with a trained checkpoint; implements the `Processor` protocol."""

    name: ClassVar[str] = "crop-map"
    title: ClassVar[str] = "Crop map"
    version: ClassVar[str] = "1"
    needs_model: ClassVar[bool] = True
    names_crops: ClassVar[bool] = True
    Parameters: ClassVar[type[BaseModel]] = CropMapParameters
    declares: ClassVar[Declaration] = Declaration(product=CROP_MAP)

    def __init__(self, job: Job) -> None:
        if job.model is None:
            raise ModelError("crop-map: no model was chosen. Name one in the request, or give labels to train one.")
        from agrunet.checkpoint.folder import read_config

        self.parameters = self._asked(job.parameters)
        self._folder = job.model
        try:
            self._config = read_config(job.model)
            contract = ModelContract.model_validate(self._config.model_dump(include={*ModelContract.model_fields}))
        except AgrunetError as error:
            raise ModelError(str(error)) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise ModelError(f"model {job.model}: its {first['loc'][0]} can't be read: {first['msg']}.") from error
        self._check(contract, job)
        self.legend = contract.legend
        self._weights = weights_of(self.legend, job.crops)
        overlap = self.parameters.overlap
        size = self._config.patch_size
        self.grid = PatchGrid(size=size, overlap=size // 4 if overlap is None else overlap)
        if self.grid.overlap >= size:
            raise ModelError(
                f"crop-map: an overlap of {overlap} px leaves nothing of patches of {size} px. Ask for less."
            )
        self.bands: tuple[str, ...] = tuple(self._config.bands)
        self.fields: tuple[str, ...] = tuple(entry.name for entry in self.legend.mapped)
        self.variables: tuple[Variable, ...] = (
            Variable(name="crop_map", title="Crop", dtype="uint8", nodata=MAP_NO_DATA, legend=self.legend),
            Variable(name="confidence", title="Confidence of the crop map", dtype="float32", nodata=float("nan")),
        )
        masked = self.legend.background is not None or job.crop_mask
        self.notes: tuple[str, ...] = (
            *(_simulated(contract) if contract.synthetic and not job.synthetic else ()),
            *(() if masked else ("Not masked to cropland: every pixel is shown as one of the crops.",)),
            *(() if self._weights is None else (_limited(self.legend, self._weights),)),
        )

    def _asked(self, parameters: dict[str, Any]) -> CropMapParameters:
        return CropMapParameters.model_validate(parameters)

    def _check(self, contract: ModelContract, job: Job) -> None:
        """Refuse what the checkpoint's contract doesn't cover, saying what to change."""
        # Whether a model of simulated land may serve was decided where it was chosen: only where the request names it.
        need = Need(job.level, frozenset(job.bands), job.synthetic, named=True, months=job.months, dates=len(job.days))
        for misfit in misfits(contract, need):
            raise ModelError(f"model {self._folder.name} {_refusal(misfit, contract, job)}")

    def run(self, patches: PatchSource, indices: Iterable[int]) -> Iterator[tuple[int, Fields]]:
        """Class probabilities (K, size, size) of each patch; NaN where a pixel has too few clear dates."""
        from agrunet.inference import predict

        try:
            network, config = self._checkpoint
            predicted = predict(network, config, patches, indices, _device(), precision=self.parameters.precision)
            for index, probabilities in predicted:
                yield index, probabilities if self._weights is None else weighted(probabilities, self._weights)
        except AgrunetError as error:
            raise ModelError(str(error)) from error

    @cached_property
    def _checkpoint(self) -> tuple[Network, CheckpointConfig]:
        """Load the checkpoint at its first use, and once: `run` is called for each shard of an area."""
        from agrunet.checkpoint.folder import load_checkpoint

        return load_checkpoint(self._folder, _device())

    def summarise(self, blocks: Iterable[Fields]) -> dict[str, Any]:  # noqa: ARG002 - a map needs no view of the whole
        return {}

    def finish(self, fields: Fields, summary: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:  # noqa: ARG002
        """The most probable class (map value) and its probability."""
        valid = ~np.isnan(fields).any(axis=0)
        known = np.where(valid, fields, 0.0)
        values = np.array([entry.value for entry in self.legend.mapped], dtype=np.uint8)
        crop_map = np.where(valid, values[known.argmax(axis=0)], np.uint8(MAP_NO_DATA))
        confidence = np.where(valid, known.max(axis=0), np.float32("nan"))
        return {"crop_map": crop_map.astype(np.uint8), "confidence": confidence.astype(np.float32)}


def _simulated(model: ModelContract) -> tuple[str, ...]:
    """What every output says first of a model that saw no real field."""
    figures = model.measured or "How good it is on real fields was never measured."
    return ("The model learnt from simulated land alone and saw no real field. " + figures,)


def _limited(legend: Legend, weights: Weights) -> str:
    """What could be named, in words."""
    named = [
        entry.name if weight == 1 else f"{entry.name} ({weight:g})"
        for entry, weight in zip(legend.mapped, weights.tolist(), strict=True)
        if weight and entry.role == "class"
    ]
    return f"By the request only these crops may be named, those with a number weighted by it: {', '.join(named)}."


def _refusal(misfit: Misfit, model: ModelContract, job: Job) -> str:
    """Message for a job that is to be run now with a model that doesn't fit."""
    match misfit.kind:
        case MisfitKind.LEVEL:
            return f"was trained on {model.level}, the request is for {job.level}."
        case MisfitKind.BANDS:
            missing = ", ".join(band for band in model.bands if band not in job.bands)
            return f"needs {missing}, which not every acquisition holds. Take a model without, or another source."
        case MisfitKind.MONTHS:
            return (
                f"was trained on months {list(model.months)}, the request asks for {list(job.months)}. "
                "Ask for the model's months, or train one for yours."
            )
        case MisfitKind.SYNTHETIC:
            return "and the source must both be real or both synthetic."
        case MisfitKind.DATES:
            return f"{misfit.text}. Raise min_clear."
        case _:
            return f"{misfit.text}."


def _device() -> torch.device:
    """The first GPU that this process sees (workers are shown one each), else the CPU."""
    import torch

    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
