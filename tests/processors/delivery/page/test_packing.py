"""What a page holds reads back as what was put in."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import delivery_kit
import geopandas
import numpy as np
import numpy.typing as npt
from PIL import Image
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box

from catalog.legend import LegendClass
from processors.delivery.page import curves, outlines
from processors.delivery.page.marks import MARKS, distances, marks_of
from processors.delivery.page.packing import packed_integers, script_json, zigzag
from processors.delivery.page.pictures import thumbnail_addresses, true_color_record
from processors.delivery.page.pixels import NO_VALUE, Scale, packed_band, packed_classes, scales_of
from processors.views.views import Curves


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def integers(content: bytes) -> list[int]:
    numbers, value, shift = [], 0, 0
    for byte in content:
        value |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            numbers.append(value)
            value = shift = 0
    return numbers


def pixels_of(record: object, columns: int, rows: int) -> npt.NDArray[np.uint8]:
    """A packed raster as an array of whole blocks."""
    across, down = -(-columns // 64), -(-rows // 64)
    found = np.full((down * 64, across * 64), NO_VALUE, np.uint8)
    blocks = np.frombuffer(unpacked(record.values), np.uint8).reshape(-1, 64, 64)  # type: ignore[attr-defined]
    for number, block in zip(record.blocks, blocks, strict=True):  # type: ignore[attr-defined]
        row, column = divmod(number, across)
        found[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64] = block
    return found[:rows, :columns]


def test_integers_of_any_size_come_back() -> None:
    values = np.array([0, 1, 127, 128, 300, 16_383, 16_384, 2_000_000_000])
    assert integers(unpacked(packed_integers(values))) == values.tolist()
    assert integers(unpacked(packed_integers(zigzag(np.array([0, -1, 1, -2, 2]))))) == [0, 1, 2, 3, 4]


def test_nothing_in_json_ends_its_element() -> None:
    evil = "</script><!-- & -->"
    text = script_json([evil])
    assert not {"<", ">", "&"} & set(text)
    assert json.loads(text) == [evil]


def test_a_class_map_s_very_pixels_are_in_the_page(tmp_path: Path) -> None:
    area = delivery_kit.window(150, 90)
    values = np.random.default_rng(1).choice(np.array([0, 1, 2, 5, 255], np.uint8), area.shape)
    values[:, 64:128] = 255  # whole blocks without data don't travel
    path = delivery_kit.write_raster(tmp_path, delivery_kit.CROP_MAP, area, values)
    record = packed_classes(path, delivery_kit.CROP_MAP, area, box(*area.bounds), 0, at_10_m=True)
    assert record.blocks == (0, 2, 3, 5)
    np.testing.assert_array_equal(pixels_of(record, 150, 90), values)


def test_the_finest_level_that_fits_is_taken(tmp_path: Path) -> None:
    area = delivery_kit.window(400, 400)
    values = np.random.default_rng(1).integers(0, 200, area.shape).astype(np.uint8)
    path = delivery_kit.write_raster(tmp_path, delivery_kit.CROP_MAP, area, values)
    sizes = {}
    for most in (10**6, 60_000, 30_000):
        record = packed_classes(path, delivery_kit.CROP_MAP, area, box(*area.bounds), most, at_10_m=False)
        assert len(record.values) <= most
        sizes[record.metres] = len(record.values)
    assert list(sizes) == [10, 20, 30]
    assert sizes[20] > 30_000, "20 m would not have fitted"


def test_measurements_are_told_to_half_a_step(tmp_path: Path) -> None:
    area = delivery_kit.window(60, 40)
    values = np.random.default_rng(1).uniform(-0.1, 0.9, (3, *area.shape)).astype(np.float32)
    values[0, 3, 3] = np.nan
    values[1, 0, 0] = 40
    path = delivery_kit.write_raster(tmp_path, delivery_kit.NDVI, area, values)
    scales = scales_of(path, delivery_kit.NDVI, box(*area.bounds))
    assert [(scale.below, scale.above) for scale in scales] == [(False, False), (False, True), (False, False)]
    assert 0.0039 < scales[0].step < 0.0045
    record = packed_band(path, delivery_kit.NDVI, 0, scales[0], area, box(*area.bounds), 10**6)
    codes = pixels_of(record, 60, 40)
    assert codes[3, 3] == NO_VALUE
    known = codes != NO_VALUE
    told = scales[0].low + codes[known] * scales[0].step
    np.testing.assert_allclose(told, values[0][known], atol=scales[0].step / 2 + 1e-6)


def test_counts_are_told_as_they_are(tmp_path: Path) -> None:
    clear = delivery_kit.CROP_MAP.model_copy(update={"name": "clear_count", "legend": None, "limits": (0.0, 27.0)})
    area = delivery_kit.window(20, 20)
    path = delivery_kit.write_raster(tmp_path, clear, area, np.full(area.shape, 13, np.uint8))
    assert scales_of(path, clear, box(*area.bounds)) == (Scale(0.0, 1.0),)


def test_curves_keep_their_values_and_gaps() -> None:
    made = Curves(
        parcels=np.array([[0.501, np.nan, 2.0]], np.float32), grid=np.full((2, 2, 3), 0.25, np.float32), grid_pixels=8
    )
    row = np.frombuffer(unpacked(curves.parcels_record(made, 1000) or ""), np.uint8)
    assert row[1] == NO_VALUE
    assert abs(curves.SCALE.low + row[0] * curves.SCALE.step - 0.501) <= curves.SCALE.step / 2
    grid = curves.grid_record(made, 1000)
    assert (grid["metres"], grid["rows"], grid["columns"]) == (80, 2, 2)


def test_curves_of_too_many_squares_are_of_larger_ones() -> None:
    random = np.random.default_rng(1).uniform(0, 1, (50, 30, 20)).astype(np.float32)
    random[:2, :2] = [[[0.2], [np.nan]], [[0.4], [np.nan]]]
    grid = curves.grid_record(Curves(parcels=None, grid=random, grid_pixels=8), 12_000)
    assert (grid["metres"], grid["rows"], grid["columns"]) == (160, 25, 15)
    first = np.frombuffer(unpacked(grid["values"]), np.uint8).reshape(25, 15, 20)[0, 0]
    np.testing.assert_allclose(curves.SCALE.low + first * curves.SCALE.step, 0.3, atol=0.003)


def test_outlines_keep_their_corners_to_the_metre() -> None:
    area = delivery_kit.window(100, 100)
    west, south, _, _ = area.bounds
    holed = Polygon([(0, 0), (90.4, 0), (90.4, 80), (0, 80)], [[(10, 10), (20, 10), (20, 20)]])
    parts = MultiPolygon([box(200, 200, 210, 220), box(300, 300, 300.2, 300.2)])
    shapes = [translate(holed, west, south), None, translate(parts, west, south)]
    numbers = iter(integers(unpacked(outlines.outline_record(shapes, area))))
    x = y = 0
    read = []
    for _ in shapes:
        rings = []
        for _ in range(next(numbers)):
            ring = []
            for _ in range(next(numbers)):
                dx, dy = ((number >> 1) ^ -(number & 1) for number in (next(numbers), next(numbers)))
                x, y = x + dx, y + dy
                ring.append((x, y))
            rings.append(ring)
        read.append(rings)
    assert [len(rings) for rings in read] == [2, 0, 1], "a part smaller than the precision is left out"
    assert set(read[0][0]) == {(0, 0), (90, 0), (90, 80), (0, 80)}
    assert set(read[0][1]) == {(10, 10), (20, 10), (20, 20)}
    assert set(read[2][0]) == {(200, 200), (210, 200), (210, 220), (200, 220)}


def test_too_many_parcels_are_left_out() -> None:
    area = delivery_kit.window(100, 100)
    frame = geopandas.GeoDataFrame(
        {"value": [1], "share": [0.5], "confidence": [float("nan")], "pixels": [60]},
        geometry=[box(*area.bounds)],
        crs=32631,
    )
    record = outlines.parcels_record(frame, area, 10_000)
    assert record is not None
    assert unpacked(record["share"]) == bytes([100])
    assert unpacked(record["confidence"]) == bytes([NO_VALUE])
    assert outlines.parcels_record(frame, area, 10) is None


def test_a_large_picture_is_made_smaller_and_far_apart_parts_stand_side_by_side(tmp_path: Path) -> None:
    colour = delivery_kit.CROP_MAP.model_copy(
        update={"name": "true_color", "legend": None, "bands": ("r", "g", "b"), "nodata": 0.0}
    )
    area = delivery_kit.window(2100, 600)
    values = np.full((3, *area.shape), 120, np.uint8)
    values[:, :, 300:] = 0
    path = delivery_kit.write_raster(tmp_path, colour, area, values)
    west, south, _, north = area.bounds
    whole = true_color_record(path, area, box(*area.bounds), 10**6)
    assert (whole["metres"], whole["tiles"], whole["width"], whole["height"]) == (10, None, 2100, 600)
    small = true_color_record(path, area, box(*area.bounds), len(whole["address"]) - 1)
    assert small["metres"] > 10
    apart = box(west, south, west + 100, north).union(box(west + 20_800, south, west + 20_900, south + 50))
    spread = true_color_record(path, area, apart, 10**6)
    assert spread["tiles"] == [(0, 0), (1, 0), (1, 4)]
    assert (spread["columns"], spread["width"]) == (2, 1024)


def test_thumbnails_become_smaller_where_they_are_many(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (96, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    thumbnails = {str(number): tmp_path / "a.png" for number in range(5)}
    large = thumbnail_addresses(thumbnails, 10**6)
    small = thumbnail_addresses(thumbnails, 10_000)
    assert list(large) == list(small) == ["0", "1", "2", "3", "4"]
    assert sum(map(len, small.values())) <= 10_000 < sum(map(len, large.values()))


def test_classes_with_like_colours_have_different_patterns() -> None:
    """Meadow and spring barley of the shipped legend are one colour to a reader without red cones, potatoes and sorghum nearly."""
    colours = {
        "meadow": "#a8d08d",
        "spring barley": "#e9c98f",
        "potatoes": "#8c5a2b",
        "sorghum": "#a0522d",
        "grapevine": "#7b3fa0",
    }
    entries = [
        LegendClass(value=value, name=name, colour=colour)
        for value, (name, colour) in enumerate(colours.items(), start=1)
    ]
    apart = distances([entry.rgb for entry in entries], grey=False)
    assert apart[0, 1] < 2
    assert apart[2, 3] < 4
    marks = marks_of(entries, grey=False)
    assert marks[1] == marks[5] == 0, "what is unlike all others stays plain"
    assert marks[1] != marks[2]
    assert marks[3] != marks[4]
    grey = marks_of([LegendClass(value=value, name="a", colour="#808080") for value in range(1, 20)], grey=True)
    assert set(list(grey.values())[:MARKS]) == set(range(MARKS))
