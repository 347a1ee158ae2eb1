"""Cross-validation: by the folds of a data set, of which some train, one stops and one tests; or by folds of fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.patches import UNKNOWN, FieldSource, LabelledSource, Patch
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


class View(Generic[Source]):
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


class FoldView(View[LabelledSource]):
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


class FieldFold(View[FieldSource]):
    """Patches in which one fold of the fields is held out and the others are learnt from: a `FieldSource` over another one.

    Fields of a ``hidden`` fold serve for nothing: what is chosen by the fold that is held out must not depend on them.
    """

    def __init__(self, source: FieldSource, fold: int, hidden: int | None = None) -> None:
        super().__init__(source)
        folds = np.array([field.fold or 0 for field in source.header.fields], dtype=np.int64)
        self._held, self._hidden = folds == fold, folds == (-1 if hidden is None else hidden)

    def field(self, index: int) -> npt.NDArray[np.int32]:
        """Field (H, W) of each pixel."""
        return self.source.field(index)

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): held out where the field is of the fold, none where it is hidden."""
        split, field = self.source.split(index), self.field(index)
        learnt = (split == SPLITS["train"]) & (field >= 0)
        split = np.where(learnt & self._held[field], SPLITS["hold-out"], split)
        return np.where(learnt & self._hidden[field], SPLITS["none"], split).astype(np.uint8)

    def swapped(self) -> FieldFold:
        """The same with the hidden fold held out, and the other one hidden: what is learnt from stays the same."""
        other = FieldFold(self.source, -1)
        other._held, other._hidden = self._hidden, self._held
        return other


class PatchFold(View[LabelledSource]):
    """Patches of which some are held out, within what there is to learn from: a `LabelledSource` over another one.

    A choice by these involves neither the pixels that a model is scored on nor those that stop it.
    """

    def __init__(self, source: LabelledSource, held: Sequence[int]) -> None:
        super().__init__(source)
        self._held = frozenset(held)

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): what a held-out patch has to learn from is held out."""
        use = SPLITS["hold-out"] if index in self._held else SPLITS["train"]
        return np.where(self.source.split(index) == SPLITS["train"], use, SPLITS["none"]).astype(np.uint8)


class AllScored(View[LabelledSource]):
    """A data set all of whose labelled pixels are scored: a `LabelledSource` over another one."""

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): what has a label is held out."""
        return np.where(self.label(index) == UNKNOWN, SPLITS["none"], SPLITS["hold-out"]).astype(np.uint8)
