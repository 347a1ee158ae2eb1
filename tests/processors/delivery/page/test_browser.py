"""A report in a browser: what its map shows and says is what the delivery's rasters hold, offline, by mouse, finger and keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import browser_kit
import delivery_kit
import numpy as np
import numpy.typing as npt
import page_kit
import pytest
import rasterio
from browser_kit import Opened, chromium, opened
from playwright.sync_api import Browser
from shapely.geometry import box

from catalog.grid import Window
from catalog.legend import Legend, LegendClass
from processors.delivery.deliver import deliver
from processors.delivery.page import data
from processors.delivery.page.pixels import packed_classes

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser_kit.CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

EVIL = "<img src=x onerror=alert(1)>"
OTHERS = {2: {"name": f"maize {EVIL}"}, 5: {"colour": "#dcb444"}}  # beet is coloured as wheat, nearly
LEGEND = Legend(
    entries=tuple(entry.model_copy(update=OTHERS.get(entry.value, {})) for entry in delivery_kit.LEGEND.entries)
)
CROP_MAP = delivery_kit.CROP_MAP.model_copy(update={"legend": LEGEND})
NAMES = {entry.value: entry.name for entry in LEGEND.entries} | {255: "no data"}
WHEAT = (0xE2, 0xB9, 0x3B, 255)
AREA = delivery_kit.window(300, 200)


def fields(area: Window) -> npt.NDArray[np.uint8]:
    """Fields of 20 x 12 pixels with single pixels of other classes in them, and gaps."""
    random = np.random.default_rng(5)
    rows, columns = np.indices(area.shape)
    numbers = (rows // 12) * 40 + columns // 20
    classes = random.choice(np.array([0, 1, 1, 2, 2, 5, 255], np.uint8), numbers.max() + 1)[numbers]
    other = random.random(area.shape) < 0.04
    classes[other] = random.choice(np.array([0, 1, 2, 5], np.uint8), int(other.sum()))
    return classes


def report(folder: Path, area: Window, classes: npt.NDArray[np.uint8], **facts: Any) -> Path:
    """The report of a delivery of that class map, its confidence and its season."""
    folder.mkdir(parents=True, exist_ok=True)
    confidence = np.where(classes == 255, np.nan, np.random.default_rng(1).uniform(0.3, 1, area.shape)).astype(
        np.float32
    )
    told = delivery_kit.facts(area, **facts)
    views = page_kit.views(folder, area, classes, NAMES, told)
    mosaics = {
        "crop_map": delivery_kit.write_raster(folder, CROP_MAP, area, classes),
        "confidence": delivery_kit.write_raster(folder, delivery_kit.CONFIDENCE, area, confidence),
    }
    deliver(folder / "delivery", mosaics, (CROP_MAP, delivery_kit.CONFIDENCE), told, views)
    return folder / "delivery" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    note = f"Preliminary, and not masked {EVIL}."
    return report(tmp_path_factory.mktemp("report"), AREA, fields(AREA), synthetic=True, notes=(note,))


@pytest.fixture
def page(browser: Browser, mapped: Path) -> Iterator[Opened]:
    with opened(browser, mapped.as_uri()) as found:
        yield found
        assert found.troubles == []
        assert found.requests == [mapped.as_uri()], "nothing is asked for but the page"


def pixels_at(path: Path, x: float, y: float) -> tuple[float, ...]:
    with rasterio.open(path) as raster:
        return tuple(value for value in next(raster.sample([(x, y)])).tolist())


def clicked_places(page: Opened, count: int, seed: int = 3) -> Iterator[tuple[float, float, dict[str, str]]]:
    """Click at so many places of the map: where on the screen, and what the page says."""
    frame = page.page.locator("#map").bounding_box()
    assert frame is not None
    random = np.random.default_rng(seed)
    for across, down in random.uniform((0.12, 0.2), (0.95, 0.8), (count, 2)):
        x, y = frame["x"] + round(across * frame["width"]), frame["y"] + round(down * frame["height"])
        page.page.mouse.click(x, y)
        yield x, y, page.place()


def test_clicks_at_fifty_places_say_what_the_rasters_hold(page: Opened, mapped: Path) -> None:
    page.page.locator("#marks").select_option("none")
    page.page.locator("#parcels").uncheck()
    colours = {entry.value: (*entry.rgb, 255) for entry in LEGEND.entries} | {255: (0, 0, 0, 0)}
    west, south, east, north = AREA.bounds
    seen = set()
    for x, y, place in clicked_places(page, 50):
        at = float(place["x"]), float(place["y"])
        if not (west < at[0] < east and south < at[1] < north):
            assert page.text("#place h3") == "outside the area"
            continue
        [value] = pixels_at(mapped.with_name("crop_map.tif"), *at)
        assert int(place["value"]) == value
        assert page.text("#place h3") == NAMES[int(value)]
        assert colours[int(value)] in page.pixels(x, y, around=1), "what is painted there, to a pixel of the screen"
        if value != 255:
            [confidence] = pixels_at(mapped.with_name("confidence.tif"), *at)
            told = float(page.text("#place .sure").removeprefix("confidence ").removesuffix(" %"))
            assert abs(told - 100 * confidence) <= 0.5 + 0.2 + 1e-6, "whole percents, of values in steps of 0.4 %"
        seen.add(int(value))
    assert seen == {0, 1, 2, 5, 255}

    page.page.locator("#map").focus()
    for _ in range(4):
        page.page.keyboard.press("+")
        page.page.wait_for_timeout(400)
    for x, y, place in clicked_places(page, 12, seed=4):
        inside = [float(place[axis]) % 10 for axis in "xy"]
        if all(1 < metres < 9 for metres in inside):
            assert page.pixels(x, y) == {colours[int(place["value"])]}


def test_a_field_is_told_with_its_hectares_and_its_curve(page: Opened, mapped: Path) -> None:
    parcels = page_kit.read_parcels(mapped.parent.parent)
    days = 3  # used, of the kit's season
    told = 0
    for _, _, place in clicked_places(page, 12, seed=8):
        number = int(place["parcel"])
        if number < 0:
            continue
        row = parcels.iloc[number]
        assert row.geometry.buffer(1).contains(box(*[float(place["x"]), float(place["y"])] * 2).centroid)
        words = page.text("#place")
        assert f"Field of {row.hectares:.2f} ha: {row.crop} on 96 % of it, mean confidence 80 %" in words
        shown = page.page.locator("#place .curve td:last-child").all_text_contents()
        expected = page_kit.curve_of(int(row.value), days)
        for text, value in zip(shown, expected, strict=True):
            assert text == "no clear pixel" if np.isnan(value) else abs(float(text) - value) <= 0.0025 + 0.005 + 1e-6
        told += 1
    assert told >= 5


def test_a_class_is_switched_off_and_on_and_layers_change(page: Opened) -> None:
    page.page.locator("#marks").select_option("none")
    shown = [(x, y) for x, y, place in clicked_places(page, 12) if place["value"] == "1"]
    assert shown
    wheat = page.page.locator('[data-class="1"]')
    wheat.uncheck()
    page.page.mouse.move(5, 5)
    assert all(WHEAT not in page.pixels(x, y, around=1) for x, y in shown)
    wheat.check()
    page.page.mouse.move(5, 5)
    assert all(WHEAT in page.pixels(x, y, around=1) for x, y in shown)
    page.page.locator("[data-all=off]").click()
    assert not page.page.locator("[data-class]").first.is_checked()
    assert all(page.pixels(x, y, around=1) == {(0, 0, 0, 0)} for x, y in shown)
    page.page.locator("[data-all=on]").click()

    page.page.get_by_label("Confidence of the crop map").check()
    assert page.page.locator(".ramp").is_visible()
    assert not page.page.locator(".classes").is_visible()
    assert all(WHEAT not in page.pixels(x, y, around=1) for x, y in shown)
    page.page.get_by_label("Crop", exact=True).check()

    page.page.locator("#opacity").fill("40")
    assert page.page.locator(".leaflet-pixels-pane").evaluate("pane => pane.style.opacity") == "0.4"
    grey = {(0xC3, 0xC8, 0xC5, 255)}
    assert page.pixels(*shown[0], canvas=0) != grey
    page.page.get_by_label("True colour").uncheck()
    assert page.pixels(*shown[0], canvas=0) == grey
    before = page.page.locator("#map canvas").nth(2).evaluate("canvas => canvas.toDataURL()")
    page.page.get_by_label("Field outlines").uncheck()
    assert page.page.locator("#map canvas").nth(2).evaluate("canvas => canvas.toDataURL()") != before


def test_patterns_stand_where_colours_are_not_enough(page: Opened) -> None:
    canvas = page.page.locator("#map canvas").nth(1)
    pictures = {}
    for name in ("none", "alike", "all"):
        page.page.locator("#marks").select_option(name)
        pictures[name] = canvas.evaluate("canvas => canvas.toDataURL()")
    assert pictures["alike"] != pictures["none"], "wheat and beet have nearly one colour"
    assert pictures["all"] != pictures["none"]


def test_the_map_is_used_with_keys_alone(page: Opened) -> None:
    keyboard = page.page.keyboard
    for _ in range(8):
        keyboard.press("Tab")
        if page.page.evaluate("document.activeElement.id") == "map":
            break
    assert page.page.evaluate("document.activeElement.id") == "map"
    keyboard.press("Enter")
    assert page.text("#status"), "told to screen readers"
    assert page.page.locator("#status").get_attribute("aria-live") == "polite"
    first = page.place()
    keyboard.press("+")
    keyboard.press("ArrowRight")
    page.page.wait_for_timeout(700)
    keyboard.press("Enter")
    assert float(page.place()["x"]) > float(first["x"])
    page.page.locator('[data-class="1"]').focus()
    keyboard.press("Space")
    assert not page.page.locator('[data-class="1"]').is_checked()


def test_what_must_be_known_stands_on_the_map_and_names_are_text(page: Opened) -> None:
    frame = page.text(".frame")
    assert "SYNTHETIC" in frame
    assert f"Preliminary, and not masked {EVIL}." in frame
    assert "Contains modified Copernicus Sentinel data 2019" in frame
    assert page.page.locator("img[src=x]").count() == 0
    for _, _, place in clicked_places(page, 20):
        if place["value"] == "2":
            break
    assert page.text("#place h3") == f"maize {EVIL}"
    assert page.page.locator("img[src=x]").count() == 0


def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, mapped: Path) -> None:
    phone = {"device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    with opened(browser, mapped.as_uri(), 390, 844, **phone) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") == 390
        frame = found.page.locator("#map").bounding_box()
        assert frame is not None
        found.page.touchscreen.tap(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
        below = found.page.locator("#place").bounding_box()
        assert found.place()["value"]
        assert below is not None
        assert below["y"] < 844, "what a tap says is in sight"
        for details in found.page.locator("main > details").all():
            details.locator("summary").first.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") == 390
        assert found.troubles == []


def test_paper_has_patterns_and_all_that_is_folded(browser: Browser, mapped: Path) -> None:
    with opened(browser, mapped.as_uri()) as found:
        before = found.page.locator("#map canvas").nth(1).evaluate("canvas => canvas.toDataURL()")
        found.page.emulate_media(media="print")
        found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert found.page.locator("main > details:not([open])").count() == 0
        assert found.page.locator("#map canvas").nth(1).evaluate("canvas => canvas.toDataURL()") != before
        found.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert found.page.locator("main > details[open]").count() == 0


def test_from_a_web_server_the_page_asks_for_nothing_else(browser: Browser, mapped: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(mapped.parent))
    asked: list[str] = []
    handler.func.log_message = lambda self, *_: asked.append(self.path)  # type: ignore[attr-defined, method-assign]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with opened(browser, f"http://127.0.0.1:{server.server_port}/report.html") as found:
            list(clicked_places(found, 3))
            assert found.troubles == []
        server.shutdown()
    assert [path for path in asked if path != "/favicon.ico"] == ["/report.html"]


def test_without_javascript_a_picture_stands_where_the_map_would(browser: Browser, mapped: Path) -> None:
    context = browser.new_context(viewport={"width": 900, "height": 900}, java_script_enabled=False)
    page = context.new_page()
    page.goto(mapped.as_uri())
    box = page.locator("noscript img").bounding_box()
    assert box is not None
    assert box["width"] > 500
    # What lies on top in the middle of the picture: a plain colour would mean that the dead map hides it.
    seen = page.locator("noscript img").screenshot()
    assert len(seen) > 10_000
    assert not page.locator("#map, #whole, #opacity").locator("visible=true").count()
    context.close()


def test_a_browser_that_cannot_unpack_says_what_is_missing(browser: Browser, mapped: Path) -> None:
    context = browser.new_context()
    found = context.new_page()
    found.add_init_script("delete globalThis.DecompressionStream")
    found.goto(mapped.as_uri())
    assert "can't unpack the map" in (found.locator("#trouble").text_content() or "")
    assert "overview.png" in (found.locator("#trouble").text_content() or "")
    context.close()


def test_a_large_area_is_shown_by_majority_and_clicks_say_so(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above 100 km², in an area that a test has time for: what an area may have in the page is little here."""
    monkeypatch.setattr(data, "AT_10_M_KM2", 1.0)
    area = delivery_kit.window(420, 300)
    classes = np.random.default_rng(4).choice(np.array([0, 1, 2, 5, 255], np.uint8), area.shape)
    monkeypatch.setattr(data, "PAGE_BYTES", 0)
    monkeypatch.setattr(data, "_LEAST", 30_000)
    path = report(tmp_path, area, classes)
    with rasterio.open(path.with_name("crop_map.tif")) as raster:
        delivered = raster.read(1)
    with opened(browser, path.as_uri()) as found:
        words = found.text(".classes")
        [metres] = [int(word) for word in words.partition("Majority of ")[2].split()[:1]]
        assert metres > 10
        expected = page_kit.majority_by_hand(delivered, metres // 10)
        west, south, east, north = area.bounds
        clicked = 0
        for _, _, place in clicked_places(found, 50):
            x, y = float(place["x"]), float(place["y"])
            if west < x < east and south < y < north:
                assert int(place["value"]) == expected[int((north - y) // metres), int((x - west) // metres)]
                if place["value"] != "255":
                    assert f"majority of {metres} m" in found.text("#place .sure")
                clicked += 1
        assert clicked > 30
        assert found.troubles == []


def test_measurements_are_shown_as_a_ramp_and_a_click_tells_all_of_them(browser: Browser, tmp_path: Path) -> None:
    area = delivery_kit.window(120, 90)
    random = np.random.default_rng(6)
    ndvi = random.uniform(-0.2, 0.9, (3, *area.shape)).astype(np.float32)
    ndvi[:, :, 50:60] = np.nan
    mosaics = {
        "ndvi": delivery_kit.write_raster(tmp_path, delivery_kit.NDVI, area, ndvi),
        "ndvi_deviation": delivery_kit.write_raster(tmp_path, delivery_kit.DEVIATION, area, ndvi - 0.5),
    }
    facts = delivery_kit.facts(area, processor="vegetation", processor_title="NDVI", model=None, scores=(), notes=())
    deliver(tmp_path / "delivery", mosaics, (delivery_kit.NDVI, delivery_kit.DEVIATION), facts)
    path = tmp_path / "delivery" / "report.html"
    with opened(browser, path.as_uri()) as found:
        assert found.page.locator(".ramp").count() == 6
        assert found.page.locator(".ramp:visible").count() == 1
        found.page.locator("select[name=layer]").select_option("ndvi_deviation-2")
        assert found.page.locator("[data-legend=ndvi_deviation-2]").is_visible()
        told = 0
        for _, _, place in clicked_places(found, 12):
            at = float(place["x"]), float(place["y"])
            if found.page.locator("#place [data-layer]").count() == 0:
                continue
            for name in ("ndvi", "ndvi_deviation"):
                for band, value in enumerate(pixels_at(path.with_name(f"{name}.tif"), *at), start=1):
                    text = found.text(f'#place [data-layer="{name}-{band}"]')
                    assert text == "no data" if np.isnan(value) else abs(float(text.strip("≤≥ ")) - value) < 0.004
                    told += 1
            headings = found.page.locator("#place .what").all_text_contents()
            assert headings == [delivery_kit.NDVI.title, delivery_kit.DEVIATION.title]
        assert told >= 30
        assert found.troubles == []
        assert found.requests == [path.as_uri()]


@pytest.mark.slow
def test_a_page_of_2500_km2_has_less_than_15_mb_and_is_ready_in_a_browser(browser: Browser, tmp_path: Path) -> None:
    """Noise compresses worse than any map: its very pixels wouldn't fit, the majority of 20 m does, and clicks are that."""
    area = delivery_kit.window(5000, 5000)
    entries = [
        LegendClass(value=value, name=f"crop {value}", colour=f"#{value * 20:02x}8040") for value in range(1, 12)
    ]
    noisy = delivery_kit.CROP_MAP.model_copy(update={"legend": Legend(entries=tuple(entries))})
    classes = np.random.default_rng(4).integers(1, 12, area.shape, np.uint8)
    mosaics = {"crop_map": delivery_kit.write_raster(tmp_path, noisy, area, classes)}
    deliver(tmp_path / "delivery", mosaics, (noisy,), delivery_kit.facts(area))
    path = tmp_path / "delivery" / "report.html"
    size = path.stat().st_size
    assert size < data.PAGE_BYTES
    zone_area = box(*area.bounds)
    finer = packed_classes(mosaics["crop_map"], noisy, area, zone_area, 0, at_10_m=True)
    assert len(finer.values) + 1_000_000 > data.PAGE_BYTES, "10 m would not have fitted"
    west, _, _, north = area.bounds
    with opened(browser, path.as_uri()) as found:
        assert "Majority of 20 m" in found.text(".classes")
        clicked = 0
        for _, _, place in clicked_places(found, 50):
            row, column = int((north - float(place["y"])) // 20), int((float(place["x"]) - west) // 20)
            if 0 <= row < 2500 and 0 <= column < 2500:
                square = classes[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                assert int(place["value"]) == page_kit.majority_by_hand(square, 2)[0, 0]
                clicked += 1
        assert clicked > 30
        assert found.troubles == []
