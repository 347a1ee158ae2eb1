"""Labels and crop masks, read onto the pixels of a zone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from catalog.class_columns import CODE_COLUMNS
from catalog.errors import RequestError
from catalog.grid import Window, inside
from catalog.legend import Legend, legend_of_codes, legend_of_words, read_legend, spelled
from catalog.quoting import shortened
from catalog.storage.store import sha256
from catalog.zone import group_windows
from processors.patches.codes import Coded, Codes
from processors.patches.ground_codes import open_codes
from processors.patches.polygons import faults_text
from processors.patches.vector_codes import VectorCodes, words_in

UNKNOWN_LABEL = -1
"""Label of a pixel of which nothing is known: no loss, no score."""

_BLOCK = 2048
"""Edge of what is looked at at once, pixels."""

_MASK_COLUMNS = ("crop_mask", "cropland", *CODE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Labels:
    """Codes of a raster or vector file with the legend that gives them a meaning."""

    codes: Codes
    legend: Legend

    @property
    def path(self) -> Path:
        return self.codes.path

    @property
    def digest(self) -> str:
        """Checksum (sha256) of the file, or of all files of a geodatabase, with their names."""
        if self.path.is_file():
            return sha256(self.path)
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        named = "".join(f"{path.relative_to(self.path)} {sha256(path)}\n" for path in files)
        return hashlib.sha256(named.encode()).hexdigest()

    def read(self, window: Window) -> npt.NDArray[np.int16]:
        """Index into ``legend.mapped`` (H, W); -1 unknown: outside the file, role ignore, codes that no entry names."""
        return _indices(self.codes.read(window), self.legend)

    def notes(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Sentences about what of the file isn't used in windows: rows by kind, and codes that the legend doesn't name."""
        notes = _unused_notes("labels", self.codes, windows)
        named = {code for entry in self.legend.entries for code in entry.source_codes}
        present: set[int] = set()
        contradicted: set[tuple[int, int]] = set()
        for block in (block for window in windows for block in window.blocks(_BLOCK)):
            coded = self.codes.read(block)
            present.update(int(code) for code in np.unique(coded.codes[coded.known]))
            contradicted |= coded.contradicted
        if contradicted:
            notes += (
                f"labels {self.path.name}: points of different classes meet on {len(contradicted)} pixel"
                f"{'s' * (len(contradicted) > 1)}, which {'are' if len(contradicted) > 1 else 'is'} unknown therefore.",
            )
        strange = sorted(present - named - {self.codes.nodata})
        if strange:
            shown = ", ".join(map(str, strange[:10])) + (" …" if len(strange) > 10 else "")
            notes += (f"labels {self.path.name}: the legend names no class of {len(strange)} codes: {shown}.",)
        if isinstance(self.codes, VectorCodes) and (words := self.codes.strange_words()):
            shown = shortened(", ".join(words), 200)
            notes += (f"labels {self.path.name}: the legend names no class of {len(words)} words: {shown}.",)
        return notes

    @property
    def scattered(self) -> bool:
        """Whether each labelled place stands for itself, as points do; else labels cover fields."""
        return self.codes.scattered

    def check(self, zone_area: BaseGeometry, epsg: int) -> None:
        """Raise `RequestError` where the labels don't touch the area, or no pixel of it has a class."""
        read = [(window, self.codes.read(window)) for window in group_windows(zone_area, epsg)]
        if not any((coded.known & inside(zone_area, window)).any() for window, coded in read):
            raise RequestError(
                f"labels {self.path}: don't overlap the area{_but_unused(self.codes, [window for window, _ in read])}. "
                "Give labels of the area, or an area within the labels."
            )
        if not any(self._class_pixels(_indices(coded, self.legend), zone_area, window) for window, coded in read):
            known = np.unique(np.concatenate([coded.codes[coded.known] for _, coded in read]))
            found = ", ".join(str(code) for code in known[:10])
            named = ", ".join(str(code) for entry in self.legend.classes for code in entry.source_codes[:10])
            raise RequestError(
                f"labels {self.path}: no pixel of the area has a class. Codes in the area: {found}; the legend's classes "
                f"have {named}. Check that the legend belongs to these labels."
            )

    def _class_pixels(self, read: npt.NDArray[np.int16], zone_area: BaseGeometry, window: Window) -> int:
        first = len(self.legend.mapped) - len(self.legend.classes)  # background comes first
        return int(((read >= first) & inside(zone_area, window)).sum())


def open_labels(
    path: Path,
    legend: Path | None = None,
    windows: Sequence[Window] = (),
    layer: str | None = None,
    column: str | None = None,
    radius: float = 0.0,
) -> Labels:
    """Open labels: a GeoTIFF of integer codes, or polygons or points with a column of codes or of words.

    The column is the one named source_code, code or crop_code, else the only one of words that is called like a class, else the only one
    of integers. Words are names of the legend; without one each is a class. The legend is the CSV given, else
    ``<labels>.legend.csv`` beside the labels, else every non-zero code is a class of its own: of the codes in ``windows`` where
    some are given, of the whole file otherwise. Codes that a legend names count even where the file calls them no-data.
    ``layer``: of a vector file that holds several; ``column``: the one meant; ``radius``: of the round parcel that a point stands for
    where its row says none, m: 0 is the pixel that it falls in.
    Raises `RequestError` where a file is missing or isn't what it should be.
    """
    codes = open_codes(path, "labels", CODE_COLUMNS, layer=layer, column=column, radius=radius)
    found = legend if legend is not None else legend_beside(path)
    if isinstance(codes, VectorCodes) and (words := words_in(codes)):
        read = read_legend(found) if found is not None else legend_of_words(words)
        table = {str(code): code for entry in read.entries for code in entry.source_codes}
        table |= {spelled(entry.name): entry.source_codes[0] for entry in read.entries if entry.source_codes}
        return Labels(replace(codes, words=table, classes=_classes(read)), read)
    if found is None:
        return Labels(codes, legend_of_codes(_present(codes, windows)))
    read = read_legend(found)
    return Labels(replace(codes, classes=_classes(read)) if isinstance(codes, VectorCodes) else codes, read)


def _classes(legend: Legend) -> dict[int, int]:
    """A number for the class of each code that a legend names."""
    return {code: number for number, entry in enumerate(legend.entries) for code in entry.source_codes}


def legend_beside(path: Path) -> Path | None:
    """The legend that lies beside labels: crop_type.tif.legend.csv or crop_type.legend.csv."""
    candidates = (path.with_name(f"{path.name}.legend.csv"), path.with_name(f"{path.stem}.legend.csv"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@dataclass(frozen=True, slots=True)
class CropMask:
    """Codes of a file that tell where cropland is."""

    codes: Codes

    @property
    def path(self) -> Path:
        return self.codes.path

    def read(self, window: Window) -> npt.NDArray[np.bool_]:
        """True (H, W) on cropland; False where the file says 0, no-data or nothing."""
        coded = self.codes.read(window)
        cropland: npt.NDArray[np.bool_] = coded.known & (coded.codes != 0) & (coded.codes != self.codes.nodata)
        return cropland

    def notes(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Sentences about the rows of the file that aren't used in windows."""
        return _unused_notes("crop mask", self.codes, windows)

    def check(self, zone_area: BaseGeometry, epsg: int) -> None:
        """Raise `RequestError` where the mask leaves nothing of the area: it lies elsewhere, or calls all of it non-crop."""
        windows = group_windows(zone_area, epsg)
        if not any((self.read(window) & inside(zone_area, window)).any() for window in windows):
            raise RequestError(
                f"crop_mask {self.path}: no cropland in the area{_but_unused(self.codes, windows)}. "
                "Give a mask of the area in which cropland is not 0."
            )


def open_crop_mask(path: Path, layer: str | None = None) -> CropMask:
    """Open a mask: a GeoTIFF that is not 0 on cropland, or polygons.

    Polygons are cropland, except where a column named crop_mask, cropland, source_code, code or crop_code says 0.
    Raises `RequestError` where the file is missing or is neither.
    """
    return CropMask(open_codes(path, "crop_mask", _MASK_COLUMNS, mask=True, layer=layer))


def _unused_notes(what: str, codes: Codes, windows: Sequence[Window]) -> tuple[str, ...]:
    text = faults_text(codes.unused(windows))
    return (f"{what} {codes.path.name}: {text}.",) if text else ()


def _but_unused(codes: Codes, windows: Sequence[Window]) -> str:
    text = faults_text(codes.unused(windows))
    return f" ({text})" if text else ""


def _present(codes: Codes, windows: Sequence[Window]) -> Iterable[int]:
    if not windows:
        return (int(code) for code in codes.present())
    read = (codes.read(window) for window in windows)
    here = np.unique(np.concatenate([np.unique(coded.codes[coded.known]) for coded in read]))
    return (int(code) for code in here if code != codes.nodata)


def _indices(coded: Coded, legend: Legend) -> npt.NDArray[np.int16]:
    pairs = sorted((code, index) for index, entry in enumerate(legend.mapped) for code in entry.source_codes)
    codes = np.array([code for code, _ in pairs], np.int64)
    indices = np.array([index for _, index in pairs], np.int16)
    nearest = np.minimum(np.searchsorted(codes, coded.codes), len(codes) - 1)
    named = coded.known & (codes[nearest] == coded.codes)
    return np.where(named, indices[nearest], np.int16(UNKNOWN_LABEL))
