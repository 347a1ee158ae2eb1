"""A season compared with the same months of other years, from the order to the anomaly, where what must come out is known exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agrunet.data.patches import Patch
from catalog.errors import NotEnoughAcquisitionsError
from catalog.products import Order
from catalog.storage.store import Store, open_store
from catalog.zone import Zone
from flows.request import MapRequest
from flows.settings import Settings
from flows.stages import order_of
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.mask.options import USUAL_MASK
from processors.patches.cube_patches import CubePatches, cover
from processors.season import Season, choose_season
from processors.thematic.protocol import Job
from processors.thematic.vegetation import Vegetation


@pytest.fixture(scope="module")
def source(mission_archive: Any) -> str:
    """What was sensed in April and May 2019, and the same April once more as May 2018."""
    folder = mission_archive.folder
    items = []
    for path in mission_archive.products:
        month = path.name.split("_")[2][:6]
        if month not in ("201904", "201905"):
            continue
        text = path.read_text()
        for kept in [text, text.replace("2019-04-", "2018-05-").replace("201904", "201805")][
            : 2 if month == "201904" else 1
        ]:
            item = json.loads(kept)
            for asset in item["assets"].values():
                asset["href"] = f"./{(path.parent / asset['href']).resolve().relative_to(folder)}"
            items.append(item)
    saved = folder / "shifted.json"
    saved.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return f"stac:{saved}"


def requested(mission_archive: Any, source: str, **changes: Any) -> MapRequest:
    asked = {
        "area": mission_archive.area,
        "year": 2019,
        "source": source,
        "processor": "vegetation",
        "min_acquisitions": 1,
    }
    return MapRequest.model_validate({**asked, **changes})


def gathered(request: MapRequest, store: Store) -> tuple[Order, Season, Zone]:
    order, zone = order_of(request, Settings(store=str(store.root))), Zone.of(request.polygon)
    cells = extend_cells(store, order, zone.cells)
    for acquisition in order.acquisitions:
        ingest_acquisition(store, order, acquisition.id, cells, order.source)
        mask_acquisition(store, order, acquisition.id, cells, USUAL_MASK)
    asked = (request.min_clear, request.min_acquisitions)
    return order, choose_season(store, order, zone.area, zone.epsg, *asked), zone


def mapped(request: MapRequest, store: Store) -> tuple[Vegetation, dict[str, np.ndarray]]:
    order, season, zone = gathered(request, store)
    job = Job(
        level="L2A", year=request.year, months=request.season, days=season.days(order.start), bands=season.bands,
        synthetic=True, parameters=request.parameters,
    )  # fmt: skip
    processor = Vegetation(job)
    windows = cover(zone.window, processor.grid, zone_area=zone.geometry)
    patches = CubePatches(store, order.source_id, "L2A", season, windows, processor.bands)
    [(_, fields)] = list(processor.run(patches, [0]))
    return processor, processor.finish(fields, processor.summarise([fields]))


def test_the_anomaly_is_the_difference_to_the_same_month_of_the_other_year(
    mission_archive: Any, source: str, tmp_path: Path
) -> None:
    """May 2018 is April 2019 again, so that the anomaly of May is the difference of the two months in a plain map."""
    store = open_store(str(tmp_path / "store"))
    _, plain = mapped(requested(mission_archive, source, months=[4, 5]), store)
    request = requested(mission_archive, source, months=[5, 5], parameters={"reference_years": [2018, 2017]})
    processor, compared = mapped(request, store)
    april, may = plain["ndvi"]
    assert np.isfinite(april - may).sum() == 3600
    np.testing.assert_allclose(compared["ndvi_anomaly"][0], may - april, atol=1e-6)
    np.testing.assert_array_equal(compared["ndvi"][0], may)
    assert abs(np.nanmean(may - april)) > 0.01
    assert processor.notes == ("the mean of other years is without 2017-05: no acquisition",)


def test_other_years_are_ordered_and_read_but_are_no_part_of_the_season(
    mission_archive: Any, source: str, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path / "store"))
    request = requested(mission_archive, source, months=[5, 5], parameters={"reference_years": [2018]})
    order, season, zone = gathered(request, store)
    assert {made.time.year for made in order.own} == {2019}
    assert {made.time.year for made in order.acquisitions if made.id in order.other_years} == {2018}
    assert {one.time.year for one in season.own} == {2019}
    assert {one.time.year for one in season.compared_with} == {2018}
    assert min(season.days(order.start)) < 0 <= max(season.days(order.start))
    enough = len(season.own)
    with pytest.raises(NotEnoughAcquisitionsError, match=f"{enough} of {len(order.own)} acquisitions") as refused:
        choose_season(store, order, zone.area, zone.epsg, 0.5, enough + 1)
    assert refused.value.usable == enough


def test_offsets_are_given_for_the_acquisitions_of_any_year(mission_archive: Any, source: str, tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    request = requested(mission_archive, source, months=[5, 5], parameters={"reference_years": [2018]})
    order = order_of(request, settings)
    mine, other = order.own[0].id, order.other_years[0]
    given = order_of(request.model_copy(update={"offset": {mine: 0, other: 0}}), settings)
    assert f"{mine}_offset0" in {made.id for made in given.own}
    assert f"{other}_offset0" in given.other_years


def test_a_patch_of_three_years_gives_anomaly_and_deviations_by_hand() -> None:
    # One date in May of 2016, 2017, 2018 and 2019; three pixels: seen always, not in 2016, in 2019 alone.
    job = Job(
        level="L2A", year=2019, months=(5, 5), days=(-1091, -726, -361, 9), bands=("B04", "B08"), synthetic=True,
        parameters={"reference_years": [2016, 2017, 2018]},
    )  # fmt: skip
    processor = Vegetation(job)
    assert [variable.name for variable in processor.variables] == [
        "ndvi",
        "ndvi_deviation",
        "ndvi_anomaly",
        "ndvi_anomaly_z",
    ]
    assert "2016, 2017 and 2018" in processor.variables[2].title
    ndvi = np.array([[0.2] * 3, [0.4] * 3, [0.6] * 3, [0.7] * 3])
    values = np.stack([1000 * (1 - ndvi), 1000 * (1 + ndvi)], axis=1).astype(np.uint16)[:, :, None, :]
    clear = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]], bool)[:, None, :]
    patch = Patch(values, clear, np.array(job.days, np.int32))

    class Single:
        def __len__(self) -> int:
            return 1

        def read(self, index: int) -> Patch:  # noqa: ARG002
            return patch

    [(_, fields)] = list(processor.run(Single(), [0]))
    made = processor.finish(fields, processor.summarise([fields]))
    nan = np.nan
    np.testing.assert_allclose(made["ndvi"][0, 0], [0.7, 0.7, 0.7], atol=1e-6)
    np.testing.assert_allclose(made["ndvi_anomaly"][0, 0], [0.3, 0.2, nan], atol=1e-6)
    # The standard deviation of 0.2, 0.4 and 0.6 is 0.2; two years tell none.
    np.testing.assert_allclose(made["ndvi_anomaly_z"][0, 0], [1.5, nan, nan], atol=1e-5)
    assert {array.dtype for array in made.values()} == {np.dtype(np.float32)}
    assert processor.summarise([fields])["pixels"] == [3], "the curve is the season's own"


def test_months_without_anything_to_compare_with_are_noted() -> None:
    told = {"level": "L2A", "year": 2019, "months": (11, 2), "bands": ("B04", "B08"), "synthetic": True}
    # The season began on 2018-11-01; 2016-11-15, 2017-12-15 and 2018-11-15, 2018-12-15, 2019-01-15, 2019-02-15.
    days = (-716, -321, 14, 44, 75, 106)
    processor = Vegetation(Job.model_validate({**told, "days": days, "parameters": {"reference_years": [2017, 2018]}}))
    assert processor.notes == (
        "nothing to compare 2019-01, 2019-02 with: no acquisition of the same month in the other years",
        "the mean of other years is without 2016-12, 2017-11: no acquisition",
    )
    assert [variable.name for variable in processor.variables][-1] == "ndvi_anomaly"
