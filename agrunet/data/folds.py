"""Cross-validation: by the folds of a data set, of which some train, one stops and one tests; or by folds of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import FieldSource, LabelledSource, Patch
from agrunet.errors import AgrunetError

Source = TypeVar("Source", bound=LabelledSource)


def fold_roles(folds: int, test: int) -> dict[int, str]:
    """Give each fold 1 … ``folds`` its role when ``test`` is held out: the next one stops, around the end; the others train.

    Raises `AgrunetError` with fewer than three folds, or a test fold that isn't one of them.
    """
    if folds < 3:
        raise AgrunetError(f"{folds} folds; one must train, one stop and one test. Give at least 3.")
    if not 1 <= test <= folds:
        raise AgrunetError(f"test fold {test} of folds 1 to {folds}. Choose one of them.")
    return dict.fromkeys(range(1, folds + 1), "train") | {test % folds + 1: "stop", test: "test-fold"}


class _View(Generic[Source]):
    """Another data set with splits of its own."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @property
    def header(self) -> FolderHeader:
        return self.source.header

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> Patch:
        return self.source.read(index)

    def label(self, index: int) -> npt.NDArray[np.int16]:
        """Label (H, W), index of the class or -1."""
        return self.source.label(index)


class FoldView(_View[LabelledSource]):
    """A data set in which each patch has one role: a `LabelledSource` over another one."""

    def __init__(self, source: LabelledSource, roles: Mapping[int, str]) -> None:
        """Give the patches the roles of their folds; ``roles``: fold to the name of a split.

        Raises `AgrunetError` where the set has no folds, or a role has no patch.
        """
        if source.header.folds is None:
            raise AgrunetError(
                "the patches belong to no folds. Cross-validation needs a data set with folds, such as PASTIS."
            )
        super().__init__(source)
        self.roles = tuple(roles.get(fold, "none") for fold in source.header.folds)
        self.learnt_folds = sorted(fold for fold, role in roles.items() if role == "train")
        empty = sorted(set(roles.values()) - set(self.roles))
        if empty:
            raise AgrunetError(f"no patch is there to {', '.join(empty)}: folds {dict(roles)}. Choose other folds.")

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W), the patch's role everywhere."""
        size = self.header.patch_size  # not the label's shape: that would be read for it
        return np.full((size, size), SPLITS[self.roles[index]], dtype=np.uint8)

    def indices(self, role: str) -> list[int]:
        """Numbers of the patches of one role."""
        return [index for index, found in enumerate(self.roles) if found == role]


class WithoutFold(_View[FieldSource]):
    """Patches without one fold of the fields: what a model and its settings are chosen on, before that fold is scored. A `FieldSource`.

    Nothing of the fold is learnt from or scored, and the fields of its header belong to no fold.
    """

    def __init__(self, source: FieldSource, fold: int) -> None:
        super().__init__(source)
        fields = source.header.fields
        self._left_out = np.array([field.fold == fold for field in fields], dtype=np.bool_)
        left = tuple(field.model_copy(update={"fold": None}) if field.fold == fold else field for field in fields)
        self._header = source.header.model_copy(update={"fields": left})

    @property
    def header(self) -> FolderHeader:
        return self._header

    def field(self, index: int) -> npt.NDArray[np.int32]:
        """Field (H, W) of each pixel, -1 where it is of the fold."""
        field = self.source.field(index)
        return np.where((field >= 0) & self._left_out[field], -1, field).astype(np.int32)

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): of no use where the field is of the fold."""
        split, field = self.source.split(index), self.source.field(index)
        left_out = (field >= 0) & self._left_out[field]
        return np.where(left_out, SPLITS["none"], split).astype(np.uint8)


class FieldFold(_View[FieldSource]):
    """Patches in which one fold of the fields is held out and all else is learnt from: a `FieldSource` over another one."""

    def __init__(self, source: FieldSource, fold: int) -> None:
        super().__init__(source)
        self._held = np.array([field.fold == fold for field in source.header.fields], dtype=np.bool_)

    def field(self, index: int) -> npt.NDArray[np.int32]:
        """Field (H, W) of each pixel."""
        return self.source.field(index)

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): held out where the field is of the fold."""
        split, field = self.source.split(index), self.field(index)
        held = self._held[field] & (field >= 0)
        return np.where(held & (split == SPLITS["train"]), SPLITS["hold-out"], split).astype(np.uint8)
