"""The report: everything that is known, in words, in one file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import delivery_kit
from PIL import Image
from shapely.geometry import box, shape

from catalog.candidates import Accuracy, Candidate
from catalog.grid import to_zone
from catalog.products import LEVEL_BANDS
from catalog.promotions import Compared, Decision, Figure, decided
from catalog.scores import early_curve
from catalog.season_state import SeasonState
from processors.delivery.areas import count_areas
from processors.delivery.coming_passes import coming_passes
from processors.delivery.provenance import DeliveryFacts, ModelUsed
from processors.delivery.report import write_report
from processors.mask.options import USUAL_MASK
from processors.thematic.domain import Domain, Verdict


def report(folder: Path, facts: DeliveryFacts, table: Any = None) -> str:
    picture = folder / "overview.png"
    Image.new("RGB", (3, 2), "#2f7d4f").save(picture)
    write_report(
        folder / "report.html", picture, [folder / "crop_map.tif", folder / "a b.csv"], facts, table,
        rasters=delivery_kit.crop_rasters(folder, delivery_kit.window(64, 64)),
        declared=(delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE), views=None,
    )  # fmt: skip
    return (folder / "report.html").read_text(encoding="utf-8")


class Seen(HTMLParser):
    """Text, tags and attributes of a page; complains about tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def test_scores_are_explained_and_the_honest_one_comes_first(tmp_path: Path) -> None:
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64)))).words
    assert words.index("Hold-out 0.574 ± 0.031 0.267 0.368 3300") < words.index("Grouped k-fold 0.924 0.807 0.873 3725")
    assert "Hold-out: Fields on ground that no model learns from: what to expect of a new field nearby." in words
    assert "Grouped k-fold: Each field mapped by a network that didn't learn from it" in words
    assert "The model is unproven." in words
    assert "This area has 0.41 km². Figures from one small area carry no claim of accuracy" in words


def test_a_large_area_is_not_called_small(tmp_path: Path) -> None:
    words = Seen(report(tmp_path, delivery_kit.facts(box(3, 50, 4, 51)))).words
    assert "Agreement with labels held out" in words
    assert "one small area" not in words


def test_without_scores_nothing_is_said_of_accuracy(tmp_path: Path) -> None:
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), scores=(), model=None))).words
    assert "Agreement" not in words
    assert "checksum" not in words


def test_acquisitions_used_and_not_are_listed_with_reasons(tmp_path: Path) -> None:
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64)))).words
    assert "2019-04-10 10:50 S2A unknown 100.0 % 90.0 % 50° yes" in words
    assert "2019-04-30 10:50 S2A 20 % 100.0 % 10.0 % 50° no: clear over 10 % of the area, min_clear is 50 %" in words
    assert "1 product found and left out" in words
    assert "S2A_CLOUDY 98 % cloudy, max_cloud is 95" in words
    assert "3 acquisitions used" in words


def test_bands_that_acquisitions_lack_are_told(tmp_path: Path) -> None:
    season = delivery_kit.season().model_copy(update={"bands": LEVEL_BANDS["L2A"][1:9]})
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), season=season))).words
    assert (
        "Bands in all that were used: B02, B03, B04, B05, B06, B07, B08, B8A; without B01, B09, B11, B12, which"
        in words
    )
    whole = season.model_copy(update={"bands": LEVEL_BANDS["L2A"]})
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), season=whole))).words
    assert "B11, B12." in words
    assert "; without" not in words


def test_a_low_sun_is_flagged_and_explained_only_where_there_is_one(tmp_path: Path) -> None:
    season = delivery_kit.season()
    first, *others = season.acquisitions
    winter = season.model_copy(update={"acquisitions": (first.model_copy(update={"sun_zenith": 74.6}), *others)})
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), season=winter))).words
    assert "90.0 % 15° low yes" in words
    assert "75.0 % 50° yes" in words
    assert "below 20° is low" in words
    assert "is low" not in Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64)))).words


def test_the_options_of_the_masks_are_told(tmp_path: Path) -> None:
    season = delivery_kit.season().model_copy(update={"masks": (json.loads(USUAL_MASK.record("L2A")),)})
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), season=season))).words
    assert (
        "clear pixels scene classification: clear 4, 5, 6, 7; cloud threshold none; dilated 3, 8, 9; dilation 60; version 1 (lengths in m)"
        in words
    )


def test_what_could_have_made_the_map_is_told_with_the_reasons(tmp_path: Path) -> None:
    accuracy = Accuracy(split="hold-out", miou=0.6, interval=(0.5, 0.7))
    used = Candidate(
        processor="crop-map", model="good", place="cropline", accuracy=accuracy, seconds=301.2, measured=True, taken=True, reason="in use"
    )  # fmt: skip
    fast = used.model_copy(
        update={"processor": "crop-map-fast", "accuracy": None, "measured": False, "taken": False, "reason": "slower"}
    )
    made = delivery_kit.facts(delivery_kit.window(64, 64), candidates=(used, fast))
    words = Seen(report(tmp_path, made)).words
    assert "for this request, which prefers quality." in words
    assert "crop-map good cropline hold-out 0.600 (0.50 to 0.70) 301 yes in use" in words
    assert "crop-map-fast good cropline unknown 301 (not measured) no slower" in words
    timely = made.model_copy(update={"request": {**made.request, "prefer": "time", "deadline": "2026-12-01T06:00:00Z"}})
    assert "prefers what is fastest, by 2026-12-01T06:00:00Z." in Seen(report(tmp_path, timely)).words
    alone = made.model_copy(update={"candidates": (used,)})
    assert "What could have made it" not in Seen(report(tmp_path, alone)).words


def test_what_was_decided_about_a_model_trained_for_the_request_is_told(tmp_path: Path) -> None:
    miou, oa = Figure(candidate=0.2, in_use=0.6, difference=-0.4), Figure(candidate=0.5, in_use=0.7, difference=-0.2)
    compared = Compared(miou=miou, oa=oa, fields={"wheat": 20, "maize": 20}, resamples=2000, seed=0)
    decision = decided("new", Decision.NOT_BETTER, "mIoU 0.200 against 0.600 of good", "good", "hold-out", compared)
    model = ModelUsed(name="good", checksum="00", decision=decision)
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), model=model))).words
    assert (
        "new was trained from the request's labels. It is not promoted, and this map is not made with it: mIoU 0.200 against 0.600 of good."
        in words
    )
    assert "on the same 40 fields mean IoU overall accuracy new 0.200 0.500 good, which was in use 0.600 0.700" in words
    first = decided("good", Decision.FIRST, "the first of its kind")
    model = ModelUsed(name="good", checksum="00", decision=first)
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), model=model))).words
    assert "good was trained from the request's labels. It is in use from now on: the first of its kind." in words


def test_model_software_timings_and_request_are_told(tmp_path: Path) -> None:
    page = report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64)))
    words = Seen(page).words
    for expected in (
        "name flanders", f"checksum {'ab' * 32}", "bands B04, B08", "software Cropline 0.1.0", "source stac:catalog.json",
        "ingest 2.0, thematic 3.5, together 5.5", "made 2026-11-01 12:00 UTC", '"year": 2019', "EPSG:32631",
        "Not masked to cropland", "Contains modified Copernicus Sentinel data 2019",
    ):  # fmt: skip
        assert expected in words
    assert "SYNTHETIC" not in words


def test_hectares_stand_beside_their_colours(tmp_path: Path) -> None:
    area = delivery_kit.window(30, 20)
    facts = delivery_kit.facts(area)
    path = delivery_kit.crop_rasters(tmp_path, area)["crop_map"]
    seen = Seen(report(tmp_path, facts, count_areas(path, delivery_kit.LEGEND, to_zone(shape(facts.area), facts.epsg))))
    assert "winter wheat 1.80 180 33.3" in seen.words
    assert "no estimate of crop areas. The map says nothing on 0.60 ha" in seen.words
    assert ("span", "style", "background:#e2b93b") in seen.attributes


def test_names_are_text_whatever_they_contain(tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>"
    facts = delivery_kit.facts(
        delivery_kit.window(64, 64), processor_title=evil, source=evil, notes=(evil,), request={"year": 2019, "note": evil},
        left_out=({"product": evil, "reason": evil},), model={"name": evil, "checksum": "00", "summary": {evil: evil}},
    )  # fmt: skip
    page = report(tmp_path, facts)
    assert evil not in page
    assert page.count("<script") == 2, "what the map is made of, and the code that shows it"
    assert page.count(html.escape(evil, quote=False).replace("'", "&#39;")) >= 8
    assert evil in Seen(page).text


def test_the_picture_is_inside_and_nothing_comes_from_elsewhere(tmp_path: Path) -> None:
    seen = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64))))
    [picture] = [value for tag, name, value in seen.attributes if (tag, name) == ("img", "src")]
    content = base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True)
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (3, 2)
    addresses = [value for _, name, value in seen.attributes if name in ("src", "href")]
    assert not [address for address in addresses if re.match(r"(https?:)?//", address)]
    assert not {tag for tag, _, _ in seen.attributes} & {"link", "iframe"}
    assert "src" not in [name for tag, name, _ in seen.attributes if tag == "script"]
    assert [address for address in addresses if address != picture] == ["overview.png", "crop_map.tif", "a%20b.csv"]


def test_the_page_fits_a_phone(tmp_path: Path) -> None:
    page = report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64)))
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    for table in re.finditer("<table[ >]", page):  # wide tables scroll in a box of their own
        assert page[: table.start()].endswith('<div class="scroll">')


def test_synthetic_data_are_called_so_before_anything_else(tmp_path: Path) -> None:
    words = Seen(report(tmp_path, delivery_kit.facts(delivery_kit.window(64, 64), synthetic=True))).words
    assert words.startswith("Crop map, 2019 (SYNTHETIC DATA) SYNTHETIC DATA: simulated fields, no observation")
    assert "nothing about real fields" in words


def test_the_domain_is_told_with_its_shares_and_what_to_do(tmp_path: Path) -> None:
    area = delivery_kit.window(64, 64)
    shares = {"inside": 0.655, "edge": 0.275, "outside": 0.07}
    edge = Domain(verdict=Verdict.EDGE, shares=shares, pixels=4096, months=3)
    page = report(tmp_path, delivery_kit.facts(area, domain=edge))
    words = Seen(page).words
    assert "Does the model know such fields?domain: edge" in words
    assert "inside: like what the model learnt from 65.5 %" in words
    assert "outside: unlike anything that it learnt from 7.0 %" in words
    assert "labels of this region would train one that knows it" in words
    assert "The seasons of 4096 pixels, spread over the whole area, be it cropland or not, are compared" in words
    assert "<details open>\n<summary>Does" in page
    unknown = report(tmp_path, delivery_kit.facts(area, domain=Domain(verdict=Verdict.UNKNOWN)))
    assert "domain: unknown The model doesn't say what it learnt from" in Seen(unknown).words
    assert "Does the model know" not in Seen(report(tmp_path, delivery_kit.facts(area))).words


def test_a_preliminary_map_says_so_and_which_passes_come(tmp_path: Path) -> None:
    state = SeasonState.of(2019, (4, 6), datetime(2019, 6, 1, tzinfo=UTC))
    area = delivery_kit.window(64, 64)
    facts = delivery_kit.facts(area, state=state)
    coming = coming_passes(shape(facts.area), state)
    words = Seen(report(tmp_path, facts.model_copy(update={"coming": coming}))).words
    assert words.startswith("Crop map, 2019 (preliminary)")
    assert "Coming passes" in words
    assert "S2A R051 100.0 %" in words
    assert "Orbits: S2A, S2B by reference orbit. Passes are right to about half a minute" in words
    assert "A pass is no acquisition yet" in words
    assert "This season isn't over: expect less of the map. Its model was scored on whole seasons only" in words
    assert "season preliminary, as of 2019-06-01; complete from 2019-07-08 on" in words
    curve = early_curve(delivery_kit.WITH_CURVE)
    model = ModelUsed(name="flanders", checksum="00", early=curve)
    early = Seen(report(tmp_path, delivery_kit.facts(area, state=state, model=model))).words
    assert "Of fields never seen, its model reached OA 0.70 and mean IoU 0.40 with data to the end of April" in early
    assert "March 0.600 0.300 900 April 0.700 0.400 950 May, the whole season 0.800 0.500 1000" in early
    final = Seen(report(tmp_path, delivery_kit.facts(area))).words
    assert "reliminary" not in final.replace("season final", "")
    assert "Coming passes" not in final
