"""The folder of training patches: `patches.json` and one uncompressed `.npz` per patch.

Training reads nothing else, so that `torchrun` on any machine needs only this folder. A patch file holds ``values`` (T, C, H, W)
integers, ``clear`` (T, H, W) bool, ``days`` (T,) int32, ``label`` (H, W) int16 (-1 unknown) and ``split`` (H, W) uint8.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from agrunet.errors import AgrunetError
from agrunet.files import file_written_whole
from agrunet.patches import Patch
from agrunet.settings import Frozen

HEADER = "patches.json"

SPLITS: dict[str, int] = {
    "train": 0,
    "stop": 1,
    "within-field": 2,
    "field-disjoint": 3,
    "test-fold": 4,
    "none": 255,
}
"""What each pixel is for: to learn from, to stop and fit the temperature on, to score on (three kinds, never mixed), nothing."""

TEST_SPLITS = ("within-field", "field-disjoint", "test-fold")


class FolderHeader(Frozen):
    """What the patches are; all that a checkpoint must remember of its training data."""

    count: Annotated[int, Field(ge=1, description="number of patches")]
    patch_size: Annotated[int, Field(ge=1, description="height and width, pixels")]
    bands: Annotated[tuple[str, ...], Field(min_length=1, description="names, in the order of the arrays")]
    classes: Annotated[tuple[str, ...], Field(min_length=2, description="names, by the index that labels hold")]
    legend: Annotated[
        list[dict[str, Any]], Field(description="of the labels; carried into the checkpoint, not interpreted")
    ] = []
    level: str
    years: Annotated[tuple[int, ...], Field(min_length=1)]
    months: Annotated[
        tuple[int, int], Field(description="first and last month of the season; days count from its start")
    ]
    synthetic: bool
    footprint: Annotated[dict[str, Any] | None, Field(description="GeoJSON geometry, longitude and latitude")] = None
    patch_footprints: Annotated[
        tuple[dict[str, Any], ...] | None, Field(description="the same for each patch, where known")
    ] = None
    folds: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...] | None, Field(description="fold of each patch, for cross-validation")
    ] = None
    resampling: Annotated[str, Field(description="of bands coarser than 10 m")] = "nearest"
    baselines: Annotated[tuple[str, ...], Field(description="processing baselines of the products")] = ()
    atmospheric_processor: str = "unknown"
    min_clear: Annotated[
        float, Field(ge=0, le=1, description="clear part of the area that an acquisition must have")
    ] = 0.5
    min_acquisitions: Annotated[int, Field(ge=1, description="clear dates that a pixel needs to be mapped")] = 1
    max_dates: Annotated[int, Field(ge=1, description="longest series the model may be given")] = 70
    hold_out: Annotated[str, Field(description="how the scored pixels were chosen, in one sentence")] = ""

    @property
    def background(self) -> int | None:
        """Index of the class that the legend calls background (known, but no crop); None where it has none."""
        names = [entry.get("name") for entry in self.legend if entry.get("role") == "background"]
        return next((index for index, name in enumerate(self.classes) if name in names), None)

    @model_validator(mode="after")
    def _consistent(self) -> FolderHeader:
        if self.patch_footprints is not None and len(self.patch_footprints) != self.count:
            raise ValueError(f"{len(self.patch_footprints)} patch footprints for {self.count} patches")
        if self.folds is not None and len(self.folds) != self.count:
            raise ValueError(f"{len(self.folds)} folds for {self.count} patches")
        return self


def patch_file(folder: Path, index: int) -> Path:
    """Where a patch lies in its folder."""
    return folder / f"{index:06d}.npz"


def write_folder_header(folder: Path, header: FolderHeader) -> None:
    """Write `patches.json`. Written last, it says that the patches are all there."""
    with file_written_whole(folder / HEADER) as temporary:
        temporary.write_text(header.model_dump_json(indent=1) + "\n", encoding="utf-8")


def write_patch(folder: Path, index: int, patch: Patch, split: npt.NDArray[np.uint8]) -> None:
    """Write one patch with its label and ``split`` (H, W), values of `SPLITS`. Raises `AgrunetError` where the shapes don't fit."""
    if patch.label is None:
        raise AgrunetError(f"patch {index} of {folder} has no label; training patches need one.")
    problem = _misfit(patch, split)
    if problem:
        raise AgrunetError(f"patch {index} of {folder}: {problem}.")
    with file_written_whole(patch_file(folder, index)) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            values=patch.values,
            clear=patch.clear,
            days=np.asarray(patch.days, dtype=np.int32),
            label=np.asarray(patch.label, dtype=np.int16),
            split=np.asarray(split, dtype=np.uint8),
        )


def _misfit(patch: Patch, split: npt.NDArray[np.uint8]) -> str:
    T, _, H, W = patch.values.shape
    wanted = {"clear": (T, H, W), "days": (T,), "label": (H, W), "split": (H, W)}
    found = {"clear": patch.clear, "days": patch.days, "label": patch.label, "split": split}
    for name, shape in wanted.items():
        if np.shape(found[name]) != shape:  # type: ignore[arg-type]  # a missing label was refused before
            return f"{name} has shape {np.shape(found[name])}, values {patch.values.shape} want {shape}"  # type: ignore[arg-type]
    strange = set(np.unique(split).tolist()) - set(SPLITS.values())
    return f"split holds {sorted(strange)}, known are {SPLITS}" if strange else ""


class PatchFolder:
    """A folder of training patches; a `PatchSource`."""

    def __init__(self, folder: Path) -> None:
        """Raises `AgrunetError` where the folder is not whole."""
        self.folder = folder
        path = folder / HEADER
        try:
            self.header = FolderHeader.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise AgrunetError(f"no training patches in {folder}: {HEADER} can't be read. Write them again.") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise AgrunetError(f"{path}: {where}: {first['msg']}. Write the patches again.") from error
        missing = [index for index in range(self.header.count) if not patch_file(folder, index).is_file()]
        if missing:
            raise AgrunetError(
                f"{folder}: {len(missing)} of {self.header.count} patches are missing, first {missing[0]}. Write them again."
            )

    def __len__(self) -> int:
        return self.header.count

    def read(self, index: int) -> Patch:
        """The patch with its label. Raises `AgrunetError` where its file can't be read."""
        arrays = self._load(index, ("values", "clear", "days", "label"))
        patch = Patch(arrays["values"], arrays["clear"], arrays["days"], arrays["label"])
        if patch.values.ndim != 4 or patch.values.shape[1] != len(self.header.bands):
            raise AgrunetError(
                f"{patch_file(self.folder, index)}: values {patch.values.shape}, the header has "
                f"{len(self.header.bands)} bands. Write the patches again."
            )
        return patch

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """What each pixel is for: (H, W), values of `SPLITS`."""
        return self._load(index, ("split",))["split"]

    def label(self, index: int) -> npt.NDArray[np.int16]:
        """(H, W), index of the class or -1, without reading the values."""
        return self._load(index, ("label",))["label"]

    def _load(self, index: int, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        if not 0 <= index < self.header.count:
            raise IndexError(f"patch {index} of {self.header.count}")
        path = patch_file(self.folder, index)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in names}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise AgrunetError(f"{path} can't be read ({error}). Write the patches again.") from error
