"""An evaluation in its delivery: part of the report and the item, kept when the map is delivered again, claimed for its own pixels only."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import delivery_kit
import evaluation_kit
import numpy as np
import pystac
import pytest
from PIL import Image

from catalog.errors import DeliveryError
from processors.delivery.confusion_picture import draw_confusion
from processors.delivery.deliver import deliver
from processors.delivery.delivered_map import DeliveredMap, open_delivered
from processors.delivery.evaluations import Evaluation, kept_evaluations, of_these_pixels
from processors.delivery.report_section import with_section
from processors.evaluation import into_delivery
from processors.evaluation.drawing import SampleWish, draw_sample
from processors.evaluation.evaluate import evaluate
from processors.evaluation.into_delivery import add_evaluation
from processors.evaluation.reference import open_reference
from processors.evaluation.sample_file import write_sample


def evaluation_of(delivered: DeliveredMap, folder: Path, name: str = "fields.gpkg") -> Evaluation:
    """Against parcels."""
    path = folder / name
    evaluation_kit.parcels([((30, 30, 40, 40), "maize"), ((50, 50, 60, 60), "winter wheat")]).to_file(path)
    return evaluate(delivered, open_reference(path, delivered.window.epsg))


def section(folder: Path) -> str:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<!-- section evaluation -->") == page.count("<!-- end of section evaluation -->") == 1
    return page.partition("<!-- section evaluation -->")[2].partition("<!-- end of section evaluation -->")[0]


def checked_item(folder: Path) -> pystac.Item:
    """The item, whose assets are all there and as it describes them."""
    item = pystac.Item.from_file(str(folder / "item.json"))
    for asset in item.assets.values():
        content = (folder / asset.href).read_bytes()
        assert asset.extra_fields["file:checksum"] == f"1220{hashlib.sha256(content).hexdigest()}"
        assert asset.extra_fields["file:size"] == len(content)
    return item


def test_report_and_item_tell_of_it_and_all_else_stays(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    (folder / "crop_map.tif.ovr").write_text("of a gis")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    delivered = open_delivered(folder)
    made = evaluation_of(delivered, tmp_path)
    files = add_evaluation(delivered, made)
    assert [file.name for file in files] == ["evaluation.json", "confusion.png"]
    assert all(file.is_file() for file in files)
    changed = {path.name for path in folder.iterdir() if path.is_file() and path.read_bytes() != before[path.name]}
    assert changed == {"report.html", "item.json"}
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, "evaluation"])
    assert [one.record for one in kept_evaluations(folder)] == [made]
    text = section(folder)
    assert "Accuracy against reference data" in text
    assert "fields.gpkg" in text
    assert "Parcels are counted one by one" in text
    assert "data:image/png;base64," in text
    assert f"evaluation/{files[0].parent.name}/evaluation.json" in text
    item = checked_item(folder)
    assert item.assets["evaluation"].href.endswith("evaluation.json")
    assert item.assets["confusion"].media_type == "image/png"
    assert item.properties["cropline:evaluation"]["units"] == made.used
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


def test_the_latest_is_shown_and_earlier_ones_are_named(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    for name in ("first.gpkg", "second.gpkg"):
        delivered = open_delivered(folder)
        add_evaluation(delivered, evaluation_of(delivered, tmp_path, name))
    text = section(folder)
    assert text.index("second.gpkg") < text.index("Earlier evaluations of this map") < text.index("first.gpkg")
    assert len(kept_evaluations(folder)) == 2
    assert checked_item(folder).assets["evaluation"].href.split("/")[2] == kept_evaluations(folder)[0].folder.name


def test_delivered_again_with_the_same_pixels_the_map_keeps_its_evaluation(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    add_evaluation(delivered, evaluation_of(delivered, tmp_path))
    before = section(folder)
    assert evaluation_kit.delivered(tmp_path, evaluation_kit.pixels()) == folder
    assert section(folder) == before
    assert "evaluation" in checked_item(folder).assets


def test_delivered_again_with_other_pixels_the_map_is_not_credited_with_it(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    add_evaluation(delivered, evaluation_of(delivered, tmp_path))
    evaluation_kit.delivered(tmp_path, evaluation_kit.pixels(seed=9))
    text = section(folder)
    assert "This map has not been evaluated" in text
    assert "Of an earlier map with other pixels, not of this one" in text
    assert "overall accuracy" not in text
    item = checked_item(folder)
    assert "evaluation" not in item.assets
    assert "cropline:evaluation" not in item.properties
    these, outdated = of_these_pixels(kept_evaluations(folder), open_delivered(folder).checksum)
    assert (len(these), len(outdated)) == (0, 1)


def test_another_requests_delivery_in_its_place_takes_nothing_over(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    add_evaluation(delivered, evaluation_of(delivered, tmp_path))
    rasters = {"crop_map": tmp_path / "crop_map.tif"}
    facts = delivery_kit.facts(evaluation_kit.WINDOW, request_digest="ba9876543210")
    deliver(folder, rasters, (delivery_kit.CROP_MAP,), facts, replace=True)
    assert not (folder / "evaluation").exists()
    assert not section(folder).strip()


def test_a_map_that_was_delivered_anew_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    made = evaluation_of(delivered, tmp_path)
    evaluation_kit.delivered(tmp_path, evaluation_kit.pixels(seed=9))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DeliveryError, match="was delivered or evaluated anew while this evaluation was made"):
        add_evaluation(delivered, made)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_on_a_full_disk_the_delivery_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    made = evaluation_of(delivered, tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(into_delivery, "draw_confusion", full)
    with pytest.raises(DeliveryError, match=r"can't be written: No space left on device. Free some space"):
        add_evaluation(delivered, made)
    assert not (folder / "evaluation").exists()
    assert "evaluation" not in checked_item(folder).assets


def test_a_map_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    other = evaluation_kit.delivered(tmp_path / "other", evaluation_kit.pixels(seed=9))
    shutil.copy(other / "crop_map.tif", folder / "crop_map.tif")
    with pytest.raises(DeliveryError, match="is not the map that was delivered"):
        open_delivered(folder)
    (folder / "crop_map.tif").unlink()
    with pytest.raises(DeliveryError, match=r"crop_map.tif can't be read: No such file"):
        open_delivered(folder)


def test_a_delivery_without_classes_cannot_be_evaluated(tmp_path: Path) -> None:
    area = delivery_kit.window(30, 20)
    declared = (delivery_kit.NDVI, delivery_kit.DEVIATION)
    deliver(tmp_path / "out", delivery_kit.vegetation_rasters(tmp_path, area), declared, delivery_kit.facts(area))
    with pytest.raises(DeliveryError, match="holds no map of classes"):
        open_delivered(tmp_path / "out")


def test_a_delivery_from_before_legends_were_written_down_is_read_by_names_and_values(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    item = json.loads((folder / "item.json").read_text())
    del item["assets"]["crop_map"]["cropline:legend"]
    (folder / "item.json").write_text(json.dumps(item))
    delivered = open_delivered(folder)
    assert [entry.name for entry in delivered.entries] == list(evaluation_kit.NAMES.values())
    assert evaluation_of(delivered, tmp_path).used == 2


def test_records_that_somebody_damaged_do_not_keep_a_map_from_being_delivered(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    record, _ = add_evaluation(delivered, evaluation_of(delivered, tmp_path))
    record.write_text("{")
    evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    assert not section(folder).strip()
    assert record.is_file()


def test_names_of_users_are_text_in_report_and_picture(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    made = evaluation_of(delivered, tmp_path)
    nasty = "<script>alert(1)</script> $\\frac$"
    classes = tuple(entry.model_copy(update={"name": nasty}) for entry in made.classes)
    add_evaluation(
        delivered, made.model_copy(update={"reference": nasty, "classes": classes, "unknown_classes": (nasty,)})
    )
    assert "<script>" not in section(folder)
    assert "&lt;script&gt;" in section(folder)


@pytest.mark.parametrize(("count", "synthetic"), [(1, True), (4, False), (19, True), (60, False)])
def test_the_picture_fits_few_and_many_classes(tmp_path: Path, count: int, synthetic: bool) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    made = evaluation_of(delivered, tmp_path)
    matrix = np.random.default_rng(3).integers(0, 30, (count, count))
    named = [made.classes[1].model_copy(update={"name": f"class {number}", "value": number}) for number in range(count)]
    changed = {"classes": tuple(named), "matrix": tuple(map(tuple, matrix.tolist())), "synthetic": synthetic}
    draw_confusion(tmp_path / "c.png", made.model_copy(update=changed))
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.info["Synthetic"] == ("yes" if synthetic else "no")
        width, height = picture.size
    assert 1000 < width < 3500
    assert 500 < height < 3500


def test_a_section_is_replaced_in_its_place_and_found_one_in_an_old_page() -> None:
    page = "<p>a</p><!-- section x --><!-- end of section x --><p>b</p><footer>c</footer>"
    first = with_section(page, "x", "<i>1</i>")
    second = with_section(first, "x", "<i>2</i>")
    assert second == first.replace("<i>1</i>", "<i>2</i>")
    assert second.index("<p>a</p>") < second.index("<i>2</i>") < second.index("<p>b</p>")
    old = with_section("<p>a</p><footer>c</footer>", "x", "<i>1</i>")
    assert old.index("<i>1</i>") < old.index("<footer>")
    assert with_section(old, "x", "").count("section x") == 2
    assert with_section("no page", "x", "<i>1</i>") == "no page"


def test_a_sample_and_its_map_go_through_the_whole_way(tmp_path: Path) -> None:
    folder = evaluation_kit.delivered(tmp_path, evaluation_kit.pixels())
    delivered = open_delivered(folder)
    design = draw_sample(delivered, SampleWish(points=160, minimum=20))
    write_sample(tmp_path / "s.gpkg", design, [])
    true = evaluation_kit.value_at(design, evaluation_kit.truth(evaluation_kit.pixels()))
    evaluation_kit.fill_in(tmp_path / "s.gpkg", {number: evaluation_kit.NAMES[value] for number, value in true.items()})
    made = evaluate(delivered, open_reference(tmp_path / "s.gpkg", delivered.window.epsg))
    add_evaluation(delivered, made)
    assert "estimated area, ha" in section(folder)
    assert " ± " in section(folder)
