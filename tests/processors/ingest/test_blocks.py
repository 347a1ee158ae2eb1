"""Blocks of a file are decoded once, wherever the cells lie, and what waits for later cells takes bounded memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cube_kit
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.grid import Cell
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest import blocks as ingest_blocks
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.ingest.blocks import BlockReader, Part, Scratch

pytestmark = pytest.mark.usefixtures("folder_source")

CORNER = Cell(32631, 56, 549)


class InMemory:
    """A dataset of one band that counts how often each of its blocks is read."""

    def __init__(self, array: np.ndarray, block: tuple[int, int]) -> None:
        self.array, self.block_shapes, self.dtypes = array, [block], [str(array.dtype)]
        self.height, self.width = array.shape
        self.decoded: Counter[tuple[int, int]] = Counter()

    def read(self, band: int, window: Any, out: np.ndarray) -> None:
        assert band == 1
        rows, columns = self.block_shapes[0]
        top, left = window.row_off, window.col_off
        bottom, right = top + window.height, left + window.width
        assert bottom <= self.height
        assert right <= self.width
        for row in range(top // rows, -(-bottom // rows)):
            for column in range(left // columns, -(-right // columns)):
                self.decoded[row, column] += 1
        out[:] = self.array[top:bottom, left:right]


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, int, tuple[int, int], list[Part]]:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    block = draw(st.integers(1, 17)), draw(st.integers(1, 41))
    parts = []
    for _ in range(draw(st.integers(1, 8))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        parts.append(Part(top, left, draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))))
    return height, width, block, parts


@given(plans(), st.sampled_from([0, 200, 10**6]))
@settings(max_examples=200, deadline=None)
def test_any_parts_of_any_blocks_are_right_and_decoded_once(
    tmp_path_factory: pytest.TempPathFactory,
    plan: tuple[int, int, tuple[int, int], list[Part]],
    kept: int,
) -> None:
    height, width, block, parts = plan
    array = np.arange(height * width, dtype=np.uint16).reshape(height, width)
    dataset = InMemory(array, block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest_blocks, "KEPT_BYTES", kept)
        folder = tmp_path_factory.mktemp("scratch")
        scratch = Scratch(folder)
        before = ingest_blocks._kept_bytes
        reader = BlockReader(dataset, parts, scratch)  # type: ignore[arg-type]
        for part in parts:
            np.testing.assert_array_equal(reader.read(part), array[part.top : part.bottom, part.left : part.right])
            assert ingest_blocks._kept_bytes - before <= kept
        assert set(dataset.decoded.values()) <= {1}
        assert ingest_blocks._kept_bytes == before  # everything kept was taken, nothing is left of it
        assert list(folder.iterdir()) == []
        scratch.close()


def test_what_was_not_taken_is_given_up(tmp_path: Path) -> None:
    before = ingest_blocks._kept_bytes
    scratch = Scratch(tmp_path)
    scratch.keep(np.zeros(100, np.uint8))
    assert ingest_blocks._kept_bytes == before + 100
    scratch.close()
    assert ingest_blocks._kept_bytes == before


@pytest.mark.parametrize("driver", ["COG", "JP2OpenJPEG"])
def test_an_acquisition_over_nine_cells_decodes_each_block_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    # Beside the cells in both directions; blocks of 512 at 10 m and of 256 at 20 m never end where cells do.
    window = cube_kit.square(row=600, column=700, size=1536)
    rng = np.random.default_rng(1)
    archive = cube_kit.Archive(store.root / "archive")
    raw = {"B02": rng.integers(1, 9000, (1536, 1536)), "B05": rng.integers(1, 9000, (768, 768))}
    raw["SCL"] = rng.integers(1, 11, (768, 768))
    archive.add("p", raw, window=window)
    suffix = {"COG": "tif", "JP2OpenJPEG": "jp2"}[driver]
    for name, values in raw.items():
        metres = 10 if name == "B02" else 20
        write_blocks(
            archive.folder / f"p-{name}.{suffix}", driver, values.astype(np.uint8 if name == "SCL" else np.uint16),
            Affine(metres, 0, window.left * 10, 0, -metres, window.top * 10), 5120 // metres,
        )  # fmt: skip
    listed = archive.folder / "products.json"
    listed.write_text(listed.read_text().replace(".tif", f".{suffix}"))
    decoded: Counter[tuple[str, int, int]] = Counter()
    real = ingest_blocks.read_part

    def counting(dataset: rasterio.DatasetReader, part: Part) -> np.ndarray:
        rows, columns = dataset.block_shapes[0]
        assert (rows, columns) == (5120 // dataset.res[0], 5120 // dataset.res[0])
        for row in range(part.top // rows, -(-part.bottom // rows)):
            for column in range(part.left // columns, -(-part.right // columns)):
                decoded[Path(dataset.name).name, row, column] += 1
        return real(dataset, part)

    monkeypatch.setattr(ingest_blocks, "read_part", counting)
    cells = [Cell(32631, 56 + column, 549 - row) for row in range(3) for column in range(3)]
    order = archive.order()
    extended = extend_cells(store, order, cells)
    (one,) = order.acquisitions
    result = ingest_acquisition(store, order, one.id, extended, order.source)
    assert (len(result.written), result.dropped) == (len(extended), ())
    assert len(extended) == 9
    assert len(decoded) == 3 * 9  # three files of 3 x 3 blocks each
    assert set(decoded.values()) == {1}
    whole = np.zeros((2, 3072, 3072), np.uint16)
    for cell in cells:
        cube = Cube(store.cube("kit", "L2A", cell))
        rows = slice((549 - cell.row) * 1024, (550 - cell.row) * 1024)
        columns = slice((cell.column - 56) * 1024, (cell.column - 55) * 1024)
        whole[:, rows, columns] = cube.read("reflectance", 0)[[1, 4]]
    inside = slice(600, 600 + 1536), slice(700, 700 + 1536)
    np.testing.assert_array_equal(whole[0][inside], raw["B02"])
    np.testing.assert_array_equal(whole[1][inside], raw["B05"].repeat(2, axis=0).repeat(2, axis=1))
    whole[:, inside[0], inside[1]] = 0
    assert whole.max() == 0


def write_blocks(path: Path, driver: str, values: np.ndarray, transform: Affine, block: int) -> None:
    options: dict[str, Any] = {"blocksize": block, "compress": "deflate", "overviews": "none"}
    if driver != "COG":
        options = {"reversible": "yes", "quality": 100, "blockxsize": block, "blockysize": block}
    with rasterio.open(
        path, "w", driver=driver, width=values.shape[1], height=values.shape[0], count=1, dtype=values.dtype,
        crs="EPSG:32631", transform=transform, **options,
    ) as file:  # fmt: skip
        file.write(values, 1)
