"""Chunk and shard shapes of a cell, measured both ways that it is used: written date by date, read as all dates of a patch.

The pixels are synthetic: noisy fields that compress about as real ones. What is read lies in the system's cache, so that the
codecs are measured and not the disk.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import zarr
from pydantic import Field
from zarr.codecs import BloscCodec, Crc32cCodec

from catalog.errors import StoreError
from catalog.grid import CELL
from catalog.products import LEVEL_BANDS, Frozen
from processors.cube.codecs import plain_codecs
from processors.cube.layout import BLOCK

PATCH = 128
"""Edge of the patches that are read, pixels."""

_BANDS = len(LEVEL_BANDS["L2A"])
_FIELD = 16
_PATCHES = 12

Pipeline = Literal["zarrs", "zarr-python"]

Watch = Callable[[int, int, str], None]
"""Callback that gets the number of measures done and of all, and what is measured now."""


class Layout(Frozen):
    """Storage layout of one date of all bands."""

    name: str
    chunk: Annotated[int, Field(description="edge of the chunks that are decoded at least, pixels")] = BLOCK
    shard: Annotated[bool, Field(description="a whole date in one file; else one file a chunk")] = True
    codec: Literal["lz4", "zstd"] = "lz4"
    level: Annotated[int, Field(description="of compression")] = 5


LAYOUTS = (
    Layout(name="design"),
    Layout(name="chunks of 64", chunk=64),
    Layout(name="chunks of 256", chunk=256),
    Layout(name="zstd", codec="zstd", level=3),
    Layout(name="no shards", shard=False),
)


class LayoutRow(Frozen):
    """One layout through one pipeline; the fastest of all rounds."""

    layout: Layout
    pipeline: Pipeline
    write_megapixels_per_second: Annotated[float, Field(description="pixels of a band, one date at a time")]
    patch_ms: Annotated[float, Field(description="one patch on the borders of chunks of 128, all dates and bands")]
    straddling_patch_ms: Annotated[float, Field(description="the same, half a patch off these borders")]
    bytes_per_pixel: Annotated[float, Field(description="stored; 2 uncompressed")]
    files: Annotated[int, Field(description="per date")]
    dates: int
    bands: int
    rounds: int
    machine: str


def measure_layouts(
    folder: Path,
    dates: int,
    rounds: int,
    machine: str,
    layouts: Sequence[Layout] = LAYOUTS,
    watch: Watch | None = None,
) -> list[LayoutRow]:
    """Write and read every layout through both pipelines, in turn, ``rounds`` times. ``folder`` holds one of them at a time.

    Raises `StoreError` where what is read is not what was written, or the disk is full.
    """
    pipelines: tuple[Pipeline, ...] = ("zarrs", "zarr-python")
    cases = [(layout, pipeline) for layout in layouts for pipeline in pipelines]
    slabs = _slabs()
    best: dict[tuple[Layout, Pipeline], LayoutRow] = {}
    for number in range(rounds):
        for position, case in enumerate(cases):
            if watch is not None:
                watch(number * len(cases) + position, rounds * len(cases), f"{case[0].name}, {case[1]}")
            row = _measure(folder / "cell.zarr", *case, slabs, dates).model_copy(
                update={"rounds": rounds, "machine": machine}
            )
            best[case] = row if case not in best else _faster(best[case], row)
    return [best[case] for case in cases]


def _faster(row: LayoutRow, other: LayoutRow) -> LayoutRow:
    return row.model_copy(
        update={
            "write_megapixels_per_second": max(row.write_megapixels_per_second, other.write_megapixels_per_second),
            "patch_ms": min(row.patch_ms, other.patch_ms),
            "straddling_patch_ms": min(row.straddling_patch_ms, other.straddling_patch_ms),
        }
    )


def _slabs() -> tuple[npt.NDArray[np.uint16], ...]:
    """Two dates (B, H, W), written in turn."""
    rng = np.random.default_rng(0)
    fields = rng.integers(300, 4000, (_BANDS, CELL // _FIELD, CELL // _FIELD))
    wide = fields.repeat(_FIELD, 1).repeat(_FIELD, 2)
    return tuple((wide + drift + rng.integers(-60, 60, wide.shape)).astype(np.uint16) for drift in (0, 40))


def _measure(
    path: Path, layout: Layout, pipeline: Pipeline, slabs: Sequence[npt.NDArray[np.uint16]], dates: int
) -> LayoutRow:
    try:
        array = _create(path, layout, pipeline, dates)
        start = time.perf_counter()
        for index in range(dates):
            array[index] = slabs[index % len(slabs)]
        written = time.perf_counter() - start
        aligned = _read(array, slabs, 0)
        straddling = _read(array, slabs, PATCH // 2)
        files = [file for file in (path / "reflectance" / "c").rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
    except OSError as error:
        raise StoreError(f"can't write {path}: {error}. Free some space, and run again.") from error
    finally:
        shutil.rmtree(path, ignore_errors=True)
    pixels = dates * slabs[0].size
    return LayoutRow(
        layout=layout,
        pipeline=pipeline,
        write_megapixels_per_second=pixels / written / 1e6,
        patch_ms=aligned * 1000,
        straddling_patch_ms=straddling * 1000,
        bytes_per_pixel=size / pixels,
        files=len(files) // dates,
        dates=dates,
        bands=_BANDS,
        rounds=1,
        machine="",
    )


def _create(path: Path, layout: Layout, pipeline: Pipeline, dates: int) -> zarr.Array[Any]:
    whole = (1, _BANDS, CELL, CELL)
    chunks = (1, _BANDS, layout.chunk, layout.chunk)
    with nullcontext() if pipeline == "zarrs" else plain_codecs():
        return zarr.open_group(path, mode="w", zarr_format=3).create_array(
            "reflectance",
            shape=(dates, *whole[1:]),
            chunks=chunks,
            shards=whole if layout.shard else None,
            dtype=np.uint16,
            fill_value=0,
            compressors=(BloscCodec(cname=layout.codec, clevel=layout.level, shuffle="shuffle"), Crc32cCodec()),
        )


def _read(array: zarr.Array[Any], slabs: Sequence[npt.NDArray[np.uint16]], shift: int) -> float:
    """Seconds per patch, all dates and bands, at positions that don't repeat."""
    every = np.arange(array.shape[0])
    positions = list(_positions(shift))
    start = time.perf_counter()
    patches = [np.asarray(array.oindex[every, :, rows, columns]) for rows, columns in positions]
    spent = (time.perf_counter() - start) / len(positions)
    for patch, (rows, columns) in zip(patches, positions, strict=True):
        if not all(
            np.array_equal(values, slabs[date % len(slabs)][:, rows, columns]) for date, values in enumerate(patch)
        ):
            raise StoreError(f"{array.store_path}: what is read at {rows}, {columns} is not what was written.")
    return spent


def _positions(shift: int) -> Iterator[tuple[slice, slice]]:
    edge = CELL // PATCH - 1
    for number in np.random.default_rng(1).permutation(edge * edge)[:_PATCHES].tolist():
        row, column = (PATCH * part + shift for part in divmod(number, edge))
        yield slice(row, row + PATCH), slice(column, column + PATCH)
