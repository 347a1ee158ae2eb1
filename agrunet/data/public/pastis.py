"""PASTIS (Garnot and Landrieu, 2021) and its orthorectified variant of the same layout, read where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, RootModel

from agrunet.data.footprints import boxes_footprint, read_crs
from agrunet.data.header import SPLITS, FolderHeader
from agrunet.data.inputs import Normalisation
from agrunet.data.legend import legend_of
from agrunet.data.patches import Patch
from agrunet.data.season import Season, season_of
from agrunet.errors import AgrunetError
from agrunet.json_text import read_model

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")

CLASSES = (
    "background",
    "meadow",
    "soft winter wheat",
    "corn",
    "winter barley",
    "winter rapeseed",
    "spring barley",
    "sunflower",
    "grapevine",
    "beet",
    "winter triticale",
    "winter durum wheat",
    "fruits, vegetables, flowers",
    "potatoes",
    "leguminous fodder",
    "soybeans",
    "orchard",
    "mixed cereal",
    "sorghum",
)
"""Names by the code in the annotations, as the authors give them."""

COLOURS = (
    "#a8d08d",
    "#f2d34f",
    "#e8702a",
    "#d9b26f",
    "#fff04a",
    "#e9c98f",
    "#f7b733",
    "#7b3fa0",
    "#b8479b",
    "#cfa84a",
    "#f5e08a",
    "#f08080",
    "#8c5a2b",
    "#2f7d5b",
    "#5f9e3a",
    "#c0504d",
    "#d7bf6a",
    "#a0522d",
)
"""Colours of the crops, code 1 first: green for what stays green, yellow for cereals, as maps of crops have them."""

VOID = 19
"""Code of parcels that mostly lie outside the patch, or that are none of the classes: unknown, which is not background."""

REFERENCE = date(2018, 9, 1)
"""The day that the authors count from."""

_WHOLE = (9, 8)
"""A year from the reference on; the set's last dates, of autumn 2019, lie beyond it and are counted on."""

METADATA = "metadata.geojson"
NORMALISATION = "NORM_S2_patch.json"


_Model = TypeVar("_Model", bound=BaseModel)


class _Properties(BaseModel):
    patch: int = Field(alias="ID_PATCH")
    fold: int = Field(alias="Fold", ge=1)
    dates: dict[int, int] = Field(alias="dates-S2")
    tile: str = Field(alias="TILE", default="")


class _Feature(BaseModel):
    properties: _Properties
    geometry: dict[str, Any] | None = None


class _Simulated(BaseModel):
    """Part of the training contract that a simulated set of this layout states."""

    synthetic: Literal[True]
    footprint: dict[str, Any]
    months: tuple[int, int]
    baselines: tuple[str, ...]
    min_clear: float
    min_acquisitions: int
    hold_out: str


class _Metadata(BaseModel):
    features: list[_Feature] = Field(min_length=1)
    crs: dict[str, Any] | None = None
    simulated: _Simulated | None = Field(alias="cropline", default=None)


class _Statistics(BaseModel):
    mean: tuple[float, ...] = Field(min_length=len(BANDS), max_length=len(BANDS))
    std: tuple[float, ...] = Field(min_length=len(BANDS), max_length=len(BANDS))


class _NormalisationFile(RootModel[dict[str, _Statistics]]):
    """Statistics by `Fold_1` … `Fold_5`."""


class Pastis:
    """A `LabelledSource`; patches by rising number.

    There are no cloud masks, and every pixel counts as clear, but in simulated sets, which have a folder `CLEAR_S2` beside the data.
    """

    def __init__(self, folder: Path, months: tuple[int, int] | None = None, folds: Sequence[int] | None = None) -> None:
        """Open the set in ``folder``.

        ``months``: only dates of those, first and last, in the first season that the set holds; ``folds``: only their patches.

        Of several acquisitions of one day the first is kept. Days count from 1 September 2018, or from the season's first day.
        Raises `AgrunetError` where files are missing or wrong, or a patch is left without a date.
        """
        self.folder = folder
        metadata = _read_json(folder / METADATA, _Metadata)
        if months is None and metadata.simulated is not None:
            months = metadata.simulated.months
        self._features = _of_folds(metadata.features, folds, folder)
        self._season = Season(REFERENCE, date.max) if months is None else season_of(months, REFERENCE)
        self._dates = [_dates(feature.properties, folder) for feature in self._features]
        self._chosen = [self._season.select(dates) for dates in self._dates]
        self._check_files()
        self._check_dates(months)
        self.header = FolderHeader(
            count=len(self._features),
            patch_size=self._annotation(0).shape[-1],
            bands=BANDS,
            classes=CLASSES,
            legend=legend_of(
                dict(enumerate(CLASSES[1:], start=1)),
                background=(0, CLASSES[0]),
                ignored=(VOID, "void"),
                colours=COLOURS,
            ),
            level="L2A",
            years=self._years(),
            months=_WHOLE if months is None else months,
            synthetic=False,
            min_clear=0.5,
            min_acquisitions=1,
            footprint=boxes_footprint(
                [(feature.properties.tile, feature.geometry) for feature in self._features],
                read_crs(metadata.crs, folder / METADATA),
            ),
            folds=tuple(feature.properties.fold for feature in self._features),
            hold_out="the folds of the data set",
        )
        if metadata.simulated is not None:
            self.header = self.header.model_copy(update=metadata.simulated.model_dump(exclude={"months"}))

    def __len__(self) -> int:
        return len(self._features)

    def read(self, index: int) -> Patch:
        """Read the patch with its label, values int16 as stored. Raises `AgrunetError` where its files can't be read or don't fit."""
        path = self._values_file(index)
        stored = _open_array(path)
        label = self.label(index)
        wanted = (len(self._dates[index]), len(BANDS), *label.shape)
        if stored.shape != wanted or stored.dtype not in (np.int16, np.uint16):
            raise AgrunetError(
                f"{path}: {stored.dtype} {stored.shape}, {METADATA} and the annotation want int16 {wanted}. Download it again."
            )
        positions, days = self._chosen[index]
        values = np.asarray(stored[positions])  # a copy of the chosen dates alone: the rest is never read
        return Patch(values, self._clear(index, positions, label.shape), days, label)

    def _clear(self, index: int, positions: npt.NDArray[np.intp], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        if not self.header.synthetic:
            return np.ones((len(positions), *shape), dtype=np.bool_)
        path = self.folder / "CLEAR_S2" / f"CLEAR_{self._features[index].properties.patch}.npy"
        stored, wanted = _open_array(path), (len(self._dates[index]), *shape)
        if stored.shape != wanted or stored.dtype != np.bool_:
            raise AgrunetError(
                f"{path}: {stored.dtype} {stored.shape}, bool {wanted} belongs there. Simulate it again."
            )
        return np.asarray(stored[positions])

    def label(self, index: int) -> npt.NDArray[np.int16]:
        """Read the label (H, W), index of the class or -1 where void."""
        codes = self._annotation(index)[0].astype(np.int16)
        if codes.max(initial=0) > VOID:
            raise AgrunetError(
                f"{self._annotation_file(index)}: class {codes.max()}, known are 0 to {VOID}. Download it again."
            )
        return np.where(codes == VOID, -1, codes).astype(np.int16)

    def split(self, index: int) -> npt.NDArray[np.uint8]:
        """Split (H, W): all to learn from; `agrunet.data.folds.FoldView` gives the folds their roles."""
        return np.full(self._annotation(index).shape[-2:], SPLITS["train"], dtype=np.uint8)

    def normalisation(self, folds: Sequence[int]) -> Normalisation:
        """Read the authors' statistics: the mean over the folds of their means, and of their standard deviations; of all dates, cut or not.

        Raises `AgrunetError` where `NORM_S2_patch.json` is missing or lacks a fold.
        """
        path = self.folder / NORMALISATION
        found = _read_json(path, _NormalisationFile).root
        missing = [fold for fold in folds if f"Fold_{fold}" not in found]
        if missing or not folds:
            raise AgrunetError(f"{path}: folds {missing or list(folds)} asked for, it holds {sorted(found)}.")
        chosen = [found[f"Fold_{fold}"] for fold in folds]
        mean = np.mean([part.mean for part in chosen], axis=0)
        std = np.mean([part.std for part in chosen], axis=0)
        return Normalisation(mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    def _check_files(self) -> None:
        files = [self._values_file(index) for index in range(len(self))]
        files += [self._annotation_file(index) for index in range(len(self))]
        missing = [path for path in files if not path.is_file()]
        if missing:
            raise AgrunetError(
                f"{self.folder}: {len(missing)} of the {len(files)} files that {METADATA} names are missing, first "
                f"{missing[0].relative_to(self.folder)}. Unpack the data set again."
            )

    def _check_dates(self, months: tuple[int, int] | None) -> None:
        for feature, (positions, _) in zip(self._features, self._chosen, strict=True):
            if not len(positions):
                period = f"from {REFERENCE}" if months is None else f"in months {months[0]} to {months[1]}"
                raise AgrunetError(
                    f"{self.folder}: patch {feature.properties.patch} has no date {period}. Choose more months."
                )

    def _years(self) -> tuple[int, ...]:
        kept = [dates[positions] for dates, (positions, _) in zip(self._dates, self._chosen, strict=True)]
        years = np.unique(np.concatenate(kept).astype("datetime64[Y]").astype(np.int64) + 1970)
        return tuple(years.tolist())

    def _values_file(self, index: int) -> Path:
        return self.folder / "DATA_S2" / f"S2_{self._features[index].properties.patch}.npy"

    def _annotation_file(self, index: int) -> Path:
        return self.folder / "ANNOTATIONS" / f"TARGET_{self._features[index].properties.patch}.npy"

    def _annotation(self, index: int) -> npt.NDArray[np.uint8]:
        if not 0 <= index < len(self):
            raise IndexError(f"patch {index} of {len(self)}")
        path = self._annotation_file(index)
        annotation = _open_array(path)
        if annotation.ndim != 3 or annotation.dtype != np.uint8 or annotation.shape[-2] != annotation.shape[-1]:
            raise AgrunetError(
                f"{path}: {annotation.dtype} {annotation.shape}; a square uint8 (3, H, W) belongs there. Download it again."
            )
        return annotation


def _of_folds(features: list[_Feature], folds: Sequence[int] | None, folder: Path) -> list[_Feature]:
    present = {feature.properties.fold for feature in features}
    if folds is not None and (not folds or not present.issuperset(folds)):
        raise AgrunetError(f"{folder}: folds {list(folds)} asked for, the patches are of folds {sorted(present)}.")
    chosen = [feature for feature in features if folds is None or feature.properties.fold in folds]
    return sorted(chosen, key=lambda feature: feature.properties.patch)


def _dates(properties: _Properties, folder: Path) -> npt.NDArray[np.datetime64]:
    """Dates (T,) in the order of the file: the keys are positions, whatever their order in the JSON."""
    try:
        dates = [date.fromisoformat(str(properties.dates[position])) for position in range(len(properties.dates))]
    except (KeyError, ValueError) as error:
        raise AgrunetError(
            f"{folder / METADATA}: dates-S2 of patch {properties.patch} can't be read ({error}). Download it again."
        ) from error
    return np.array(dates, dtype="datetime64[D]")


def _read_json(path: Path, model: type[_Model]) -> _Model:
    if not path.is_file():
        raise AgrunetError(f"no PASTIS in {path.parent}: {path.name} can't be read. Give its unpacked folder.")
    return read_model(path, model, lambda why: AgrunetError(f"{path}{why}. Download it again."))


def _open_array(path: Path) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AgrunetError(f"{path} can't be read ({error}). Download it again.") from error
    return array
