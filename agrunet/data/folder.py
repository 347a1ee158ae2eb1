"""The folder of training patches: `patches.json` and one uncompressed `.npz` per patch.

Training reads nothing else, so that `torchrun` on any machine needs only this folder. A patch file holds ``values`` (T, C, H, W)
integers, ``clear`` (T, H, W) bool, ``days`` (T,) int32, ``label`` (H, W) int16 (-1 unknown), ``split`` (H, W) uint8 and, where the header
lists fields, ``field`` (H, W) int32: the number of the field that a pixel belongs to, -1 for none.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.files import file_written_whole, sha256, write_whole
from agrunet.json_text import read_model

HEADER = "patches.json"


def patch_file(folder: Path, index: int) -> Path:
    """Path of a patch in its folder."""
    return folder / f"{index:06d}.npz"


def write_folder_header(folder: Path, header: FolderHeader) -> None:
    """Write `patches.json`. Written last, it says that the patches are all there."""
    write_whole(folder / HEADER, header.model_dump_json(indent=1) + "\n")


def write_patch(
    folder: Path,
    index: int,
    patch: Patch,
    split: npt.NDArray[np.uint8],
    field: npt.NDArray[np.int32] | None = None,
) -> None:
    """Write one patch with its label, ``split`` (H, W), values of `SPLITS`, and the numbers of its fields (H, W).

    Raises `AgrunetError` where the shapes don't fit.
    """
    if patch.label is None:
        raise AgrunetError(f"patch {index} of {folder} has no label; training patches need one.")
    problem = _misfit(patch, split, field)
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
            **({} if field is None else {"field": np.asarray(field, dtype=np.int32)}),
        )


def _misfit(patch: Patch, split: npt.NDArray[np.uint8], field: npt.NDArray[np.int32] | None) -> str:
    T, _, H, W = patch.values.shape
    wanted = {"clear": (T, H, W), "days": (T,), "label": (H, W), "split": (H, W)}
    found = {"clear": patch.clear, "days": patch.days, "label": patch.label, "split": split}
    if field is not None:
        wanted["field"], found["field"] = (H, W), field
    for name, shape in wanted.items():
        if np.shape(found[name]) != shape:  # type: ignore[arg-type]  # a missing label was refused before
            return f"{name} has shape {np.shape(found[name])}, values {patch.values.shape} want {shape}"  # type: ignore[arg-type]
    strange = set(np.unique(split).tolist()) - set(SPLITS.values())
    return f"split holds {sorted(strange)}, known are {SPLITS}" if strange else ""


class PatchFolder:
    """A folder of training patches; a `PatchSource`."""

    def __init__(self, folder: Path) -> None:
        """Read the header. Raises `AgrunetError` where the folder is not whole."""
        self.folder = folder
        path = folder / HEADER
        if not path.is_file():
            raise AgrunetError(f"no training patches in {folder}: {HEADER} can't be read. Write them again.")
        self.header = read_model(path, FolderHeader, lambda why: AgrunetError(f"{path}{why}. Write the patches again."))
        missing = [index for index in range(self.header.count) if not patch_file(folder, index).is_file()]
        if missing:
            raise AgrunetError(
                f"{folder}: {len(missing)} of {self.header.count} patches are missing, first {missing[0]}. Write them again."
            )

    def __len__(self) -> int:
        return self.header.count

    def read(self, index: int) -> Patch:
        """Read the patch with its label. Raises `AgrunetError` where its file can't be read."""
        arrays = self._load(index, ("values", "clear", "days", "label"))
        patch = Patch(arrays["values"], arrays["clear"], arrays["days"], arrays["label"])
        if patch.values.ndim != 4 or patch.values.shape[1] != len(self.header.bands):
            raise AgrunetError(
                f"{patch_file(self.folder, index)}: values {patch.values.shape}, the header has "
                f"{len(self.header.bands)} bands. Write the patches again."
            )
        return patch

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Read the split (H, W) of each pixel, values of `SPLITS`."""
        return self._load(index, ("split",))["split"]

    def field(self, index: int) -> npt.NDArray[np.int32]:
        """Read the field (H, W) of each pixel: its number in the header, -1 for none."""
        return self._load(index, ("field",))["field"]

    def label(self, index: int) -> npt.NDArray[np.int16]:
        """Read the label (H, W), index of the class or -1, without the values."""
        return self._load(index, ("label",))["label"]

    def digest(self) -> str:
        """Checksum (sha256) of all patches: of the checksums of their files, in their order."""
        return hashlib.sha256(
            "".join(sha256(patch_file(self.folder, index)) for index in range(len(self))).encode()
        ).hexdigest()

    def _load(self, index: int, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        if not 0 <= index < self.header.count:
            raise IndexError(f"patch {index} of {self.header.count}")
        path = patch_file(self.folder, index)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in names}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise AgrunetError(f"{path} can't be read ({error}). Write the patches again.") from error
