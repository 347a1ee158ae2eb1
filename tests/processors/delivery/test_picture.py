"""The picture: what it shows is what the rasters hold, nothing is cut off."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import delivery_kit
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image
from shapely.geometry import box, shape

from catalog.grid import to_lonlat, to_zone
from catalog.legend import Legend, LegendClass
from processors.delivery.areas import count_areas
from processors.delivery.picture import draw_overview
from processors.delivery.picture_page import LARGEST, Page, fitted, read_small, round_length, shortened
from processors.delivery.provenance import location_text, months_text


def colours_of(path: Path) -> dict[tuple[int, int, int], int]:
    """Pixels by colour."""
    with Image.open(path) as picture:
        counted = picture.convert("RGB").getcolors(maxcolors=1 << 20)
    assert counted is not None
    return {colour: count for count, colour in counted}  # type: ignore[misc]


def test_classes_are_drawn_in_their_colours_by_their_share(tmp_path: Path) -> None:
    area = delivery_kit.window(30, 20)
    facts = delivery_kit.facts(area)
    rasters = delivery_kit.crop_rasters(tmp_path, area)
    table = count_areas(rasters["crop_map"], delivery_kit.LEGEND, to_zone(shape(facts.area), facts.epsg))
    draw_overview(tmp_path / "overview.png", rasters, (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), facts, table)
    found = colours_of(tmp_path / "overview.png")
    wheat, maize, beet = (found[entry.rgb] for entry in delivery_kit.LEGEND.classes)
    # 3 : 3 : 2 of ten rows; the legend's small squares and the outline blur it a little. No colours between two classes.
    assert wheat == pytest.approx(maize, rel=0.02)
    assert beet == pytest.approx(maize * 2 / 3, rel=0.02)
    assert wheat > 200_000


def test_the_picture_carries_notice_and_notes_in_its_text(tmp_path: Path) -> None:
    area = delivery_kit.window(30, 20)
    draw_overview(
        tmp_path / "overview.png",
        delivery_kit.vegetation_rasters(tmp_path, area),
        (delivery_kit.NDVI, delivery_kit.DEVIATION),
        delivery_kit.facts(area),
        None,
    )
    with Image.open(tmp_path / "overview.png") as picture:
        text: dict[str, str] = picture.text  # type: ignore[attr-defined]
        assert picture.width >= 1600
    assert text["Copyright"] == "Contains modified Copernicus Sentinel data 2019"
    assert text["Title"] == "Crop map, 2019"
    assert text["Software"] == "Cropline 0.1.0"
    assert "Not masked to cropland" in text["Description"]


LONG = "a very long name that no legend has room for, with $signs$ and \\back{slashes}"


@pytest.mark.parametrize(
    ("size", "classes", "title"), [((30, 20), 3, "Crop map"), ((20, 90), 60, LONG), ((200, 20), 60, f"{LONG} {LONG}")]
)
@pytest.mark.parametrize("synthetic", [False, True])
def test_no_text_leaves_the_page(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    classes: int,
    title: str,
    synthetic: bool,
) -> None:
    area = delivery_kit.window(*size)
    legend = Legend(
        entries=tuple(
            LegendClass(value=value, name=f"{value} {LONG}", colour=f"#{value * 4:02x}8040")
            for value in range(1, classes + 1)
        )
    )
    variable = delivery_kit.CROP_MAP.model_copy(update={"legend": legend})
    values = (np.arange(area.height * area.width) % classes + 1).astype(np.uint8).reshape(area.shape)
    rasters = {
        "crop_map": delivery_kit.write_raster(tmp_path, variable, area, values),
        "confidence": delivery_kit.write_raster(
            tmp_path, delivery_kit.CONFIDENCE, area, np.full(area.shape, 0.5, np.float32)
        ),
    }
    facts = delivery_kit.facts(area, processor_title=title, synthetic=synthetic, notes=(LONG * 6, "A short note."))
    table = count_areas(rasters["crop_map"], legend, to_zone(shape(facts.area), facts.epsg))

    pages = kept_pages(monkeypatch)
    draw_overview(tmp_path / "overview.png", rasters, (variable, delivery_kit.CONFIDENCE), facts, table)

    [page] = pages
    assert_on_page(page)
    assert page.height < 2 * page.width


def test_names_in_any_script_are_drawn_without_a_warning(tmp_path: Path) -> None:
    area = delivery_kit.window(10, 10)
    entries = tuple(
        entry.model_copy(update={"name": name})
        for entry, name in zip(delivery_kit.LEGEND.entries, ("小麦", "🌾", "قمح", "$x^2$"), strict=True)
    )
    variable = delivery_kit.CROP_MAP.model_copy(update={"legend": Legend(entries=entries)})
    rasters = delivery_kit.crop_rasters(tmp_path, area)
    facts = delivery_kit.facts(area)
    table = count_areas(rasters["crop_map"], Legend(entries=entries), to_zone(shape(facts.area), facts.epsg))
    draw_overview(tmp_path / "overview.png", rasters, (variable,), facts, table)  # warnings are errors here


def test_no_text_of_panels_leaves_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    area = delivery_kit.window(40, 30)
    bands = tuple(f"band {number} {LONG}" for number in range(30))
    variable = delivery_kit.NDVI.model_copy(update={"bands": bands, "title": LONG, "unit": "ppm"})
    rasters = {"ndvi": delivery_kit.write_raster(tmp_path, variable, area, np.zeros((30, *area.shape), np.float32))}
    pages = kept_pages(monkeypatch)
    draw_overview(tmp_path / "overview.png", rasters, (variable,), delivery_kit.facts(area), None)
    assert_on_page(pages[0])


def kept_pages(monkeypatch: pytest.MonkeyPatch) -> list[Page]:
    """Pages are kept here instead of being written."""
    pages: list[Page] = []

    def keep(page: Page, *_: Any) -> None:
        pages.append(page)

    monkeypatch.setattr(Page, "save", keep)
    return pages


def assert_on_page(page: Page) -> None:
    canvas = page.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    page.figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    width, height = canvas.get_width_height()
    for text in page.figure.findobj(Text):
        if text.get_text() and text.get_visible():
            extent = text.get_window_extent(renderer)
            assert extent.x0 >= 0, text
            assert extent.y0 >= 0, text
            assert extent.x1 <= width, text
            assert extent.y1 <= height, text


def test_large_rasters_are_read_small(tmp_path: Path) -> None:
    area = delivery_kit.window(3 * LARGEST, 30)
    values = np.zeros(area.shape, np.float32)
    values[:, : area.width // 2] = 1
    values[0] = np.nan
    path = delivery_kit.write_raster(tmp_path, delivery_kit.CONFIDENCE, area, values)
    small, extent = read_small(path, 1, box(0, 0, 1, 1), classes=False)
    assert small.shape == (10, LARGEST)
    assert (small[:, : LARGEST // 2 - 1] == 1).all()  # what says nothing has no part in the average
    assert extent == (560_000, 560_000 + 30 * LARGEST * 1, 5_620_000 - 300, 5_620_000)


def test_lengths_are_round() -> None:
    assert [round_length(metres) for metres in (1999, 2000, 4999, 5001, 130, 10)] == [1000, 2000, 2000, 5000, 100, 10]


def test_maps_fit_their_box() -> None:
    assert fitted(100, 50, 8, 8) == (8, 4)
    assert fitted(50, 100, 8, 8) == (4, 8)


def test_long_names_end_in_dots() -> None:
    assert shortened("maize", 5) == "maize"
    assert shortened("winter wheat", 8) == "winter…"


def test_seasons_are_named_by_their_months() -> None:
    def utc(year: int, month: int) -> datetime:
        return datetime(year, month, 1, tzinfo=UTC)

    assert months_text((utc(2019, 1), utc(2019, 8))) == "January to July 2019"
    assert months_text((utc(2018, 10), utc(2019, 8))) == "October 2018 to July 2019"
    assert months_text((utc(2019, 12), utc(2020, 1))) == "December 2019"
    assert months_text((utc(2019, 5), utc(2019, 6))) == "May 2019"


def test_places_are_named_by_their_centre() -> None:
    square = to_lonlat(box(560_000, 5_619_360, 560_640, 5_620_000), 32631)
    assert location_text(delivery_kit.facts(square).area) == "50.726° N, 3.855° E, 0.41 km²"
    assert (
        location_text(
            {"type": "Polygon", "coordinates": [[[-61, -31], [-60, -31], [-60, -30], [-61, -30], [-61, -31]]]}
        )
        == "30.500° S, 60.500° W, 10,642 km²"
    )
