"""The request of the real square: ordered, trained on one part of the farmers' labels, mapped whole, scored on the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.features import rasterize, shapes
from shapely.geometry import shape

from catalog.legend import read_legend

GOLDEN = Path(__file__).with_name("golden_flanders.json")
"""Statistics of the NDVI of the square. To renew them after a wanted change: delete the file, run this test twice, and look
at the difference before committing it."""


@pytest.fixture(scope="module")
def request_of(real_data: Path, repository: Path) -> dict[str, Any]:
    archive = real_data / "flanders-2019"
    return {
        "area": json.loads((archive / "aoi.geojson").read_text()),
        "year": 2019,
        "source": f"stac:{archive / 'catalog.json'}",
        "max_cloud": 100,
        "labels": str(archive / "labels" / "crop_type.tif"),
        "legend": str(repository / "docs" / "examples" / "flanders-2019.legend.csv"),
        "training": "quick",
        "classifier": "forest-replay",
        "output": "map",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flanders")


@pytest.fixture(scope="module")
def told(
    request_of: dict[str, Any], folder: Path, run_command: Any, environment_of: Callable[..., dict[str, str]]
) -> dict[str, Any]:
    (folder / "aoi.json").write_text(json.dumps(request_of))
    env = environment_of(folder / "store")
    done = run_command("cropline", "run", "aoi.json", "--json", cwd=folder, env=env, timeout=540)
    assert done.returncode == 0, done.stderr
    assert "30 acquisitions" in done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _on_the_labels(delivery: Path, request: dict[str, Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Values of a map where the labels lie, and the labels' codes."""
    with rasterio.open(delivery / "crop_map.tif") as file, rasterio.open(request["labels"]) as labels:
        return file.read(1, window=file.window(*labels.bounds).round_lengths().round_offsets()), labels.read(1)


def test_the_map_beats_the_majority_class_on_the_fields_that_it_learnt_from(
    told: dict[str, Any], folder: Path, request_of: dict[str, Any]
) -> None:
    """A check of the wiring: a short training on one square says nothing of accuracy elsewhere."""
    made, codes = _on_the_labels(folder / "map", request_of)
    assert made.shape == codes.shape, "the map covers all labels, a pixel more on each side where the area touches it"
    legend = read_legend(Path(request_of["legend"]))
    values = np.zeros(codes.shape, np.uint8)
    for entry in legend.classes:
        values[np.isin(codes, entry.source_codes)] = entry.value
    known = (values > 0) & (made != 255)
    majority = 1387 / 3725  # grassland, of the labelled pixels of the whole square
    assert (made == values)[known].mean() > majority + 0.25


def test_the_model_learnt_from_the_fields_and_from_what_is_simulated_for_the_place(
    told: dict[str, Any], folder: Path
) -> None:
    config = json.loads((folder / "store" / "models" / told["model"] / "config.json").read_text())
    assert (config["training"]["kind"], config["synthetic"]) == ("forest-replay", False)
    assert config["training"]["replayed_pixels"] > 5000
    assert "simulated series of " in config["hold_out"]
    (score,) = config["scores"]
    assert score["oa"] > 1387 / 3725 + 0.2, "of fields that it never saw, more than all of it as grassland"


def test_a_square_of_few_fields_makes_an_unproven_model(told: dict[str, Any], folder: Path) -> None:
    (score,) = told["scores"]
    assert score["split"] == "grouped k-fold"
    assert score["n_pixels"] > 3000, "all of its fields"
    assert score["note"].startswith("Unproven: held-out ground has fewer than 5 fields")
    assert "carry no claim of accuracy" in score["note"]
    assert "The model is unproven." in (folder / "map" / "report.html").read_text()
    (line,) = (folder / "store" / "models" / "promotions.jsonl").read_text().splitlines()
    assert json.loads(line)["decision"] == "first"


def test_what_is_delivered_is_said(told: dict[str, Any], folder: Path) -> None:
    names = {Path(file).name for file in told["files"]}
    assert names == {
        "crop_map.tif", "confidence.tif", "clear_count.tif", "crop_map.qml", "crop_map.tif.aux.xml", "areas.csv", "parcels.parquet",
        "parcels.gpkg", "overview.png", "report.html", "item.json", "request.json",
    }  # fmt: skip
    with rasterio.open(folder / "map" / "crop_map.tif") as file:
        assert file.crs.to_epsg() == 32631
        assert file.tags()["TIFFTAG_COPYRIGHT"] == "Contains modified Copernicus Sentinel data 2019"
        values = file.read(1)
        colours = file.colormap(1)
    assert set(np.unique(values)) <= {1, 2, 3, 4, 5, 6, 255}
    assert (values != 255).sum() >= 4000, "the square has 4,096 pixels; those seen too rarely are left out"
    assert colours[1][:3] == (0xD9, 0xB8, 0x4A)
    for file_name in ("report.html", "areas.csv"):
        assert "Not masked to cropland" in (folder / "map" / file_name).read_text()
    assert all(0.5 <= item["clear_fraction"] <= item["valid_fraction"] <= 1 for item in told["acquisitions"])


def test_parcels_of_the_square_burnt_back_are_its_map(told: dict[str, Any], folder: Path) -> None:
    parcels = geopandas.read_parquet(folder / "map" / "parcels.parquet")
    fields = parcels[parcels["note"].isna()].reset_index(drop=True)
    assert (fields["hectares"] >= 0.5).all()
    with rasterio.open(folder / "map" / "crop_map.tif") as file:
        values = file.read(1)
        numbers = rasterize(
            zip(fields.geometry, range(1, len(fields) + 1), strict=True),
            out_shape=values.shape, transform=file.transform, dtype="int32",
        )  # fmt: skip
    burnt = np.append(0, fields["value"])[numbers]
    assert (burnt == values)[numbers > 0].mean() >= 0.98
    assert (numbers > 0).sum() == pytest.approx(fields["pixels"].sum(), rel=0.01)
    for value, pixels in parcels.groupby("value")["pixels"].sum().items():
        assert pixels == (values == value).sum(), "with what is smaller"
        assert fields["pixels"][fields["value"] == value].sum() == pytest.approx((burnt == value).sum(), rel=0.01)
    assert fields["ndvi_peak"].between(0.2, 1).all()
    assert fields["ndvi_peak_date"].notna().all()


def test_the_square_is_evaluated_against_its_fields(
    told: dict[str, Any],
    folder: Path,
    real_data: Path,
    run_command: Any,
    environment_of: Callable[..., dict[str, str]],
) -> None:
    """The labels' connected pixels as parcels, called by the farmers' codes: the model learnt from most of them."""
    with rasterio.open(real_data / "flanders-2019" / "labels" / "crop_type.tif") as file:
        codes = file.read(1).astype(np.int32)
        fields = [
            (shape(outline), int(code)) for outline, code in shapes(codes, mask=codes > 0, transform=file.transform)
        ]
        frame = geopandas.GeoDataFrame(
            {"crop_code": [code for _, code in fields]}, geometry=[one for one, _ in fields], crs=file.crs
        )
    frame.to_crs(31370).to_file(folder / "fields.gpkg")
    done = run_command(
        "cropline", "evaluate", "map", "fields.gpkg", "--json", cwd=folder, env=environment_of(folder / "store")
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout.splitlines()[-1])["evaluation"]
    assert (made["read_as"], made["unit"], made["no_intervals"]) == ("codes", "parcel", "parcels")
    compared = sum(map(sum, made["matrix"]))
    assert compared + sum(made["unused"].values()) == len(fields) == 19
    assert compared >= 14
    assert set(made["unused"]) <= {"too_narrow", "no_data", "undecided"}
    assert f"{compared} parcels compared" in (folder / "map" / "report.html").read_text()
    assert told["delivery"] == str(folder / "map")


def test_so_few_fields_verify_no_verdict(
    told: dict[str, Any],
    request_of: dict[str, Any],
    folder: Path,
    run_command: Any,
    environment_of: Callable[..., dict[str, str]],
) -> None:
    """The same fields, declared as they are: thresholds from the model's own fields, by folds, with their exact intervals."""
    without = {
        name: value for name, value in request_of.items() if name not in ("labels", "legend", "training", "classifier")
    }
    request = {**without, "processor": "conformity", "parcels": "fields.gpkg", "output": "checked"}
    (folder / "checked.json").write_text(json.dumps({**request, "parameters": {"column": "crop_code"}}))
    done = run_command(
        "cropline", "run", "checked.json", "--json", cwd=folder, env=environment_of(folder / "store"), timeout=300
    )
    assert done.returncode == 0, done.stderr
    frame = geopandas.read_parquet(folder / "checked" / "conformity.parquet")
    assert len(frame) == 19
    assert not frame["verified"].any()
    assert (frame["verdict"] == "conform").any()
    item = json.loads((folder / "checked" / "item.json").read_text())["properties"]["cropline:conformity"]
    limits = item["thresholds"]
    assert (limits["score"], limits["kind"]) == ("probability", "grouped k-fold")
    assert limits["fields"] <= 19
    assert limits["false_alarms"]["of"] == limits["fields"]
    assert 0 <= limits["false_alarms"]["low"] <= limits["false_alarms"]["high"] <= 1
    assert any("Not verified: that takes 60 fields." in note for note in item["notes"])
    assert "Not verified: that takes 60 fields." in (folder / "checked" / "report.html").read_text()


def test_ndvi_of_the_square_is_what_it_was(
    request_of: dict[str, Any],
    told: dict[str, Any],
    folder: Path,
    run_command: Any,
    environment_of: Callable[..., dict[str, str]],
) -> None:
    """Golden statistics of the whole path, on the cube that the crop map filled: no training, so nothing that varies."""
    request = {**request_of, "processor": "vegetation", "labels": None, "legend": None, "output": "ndvi"}
    (folder / "ndvi.json").write_text(json.dumps(request))
    env = environment_of(folder / "store", CROPLINE_DASK="local")
    done = run_command("cropline", "run", "ndvi.json", "--json", cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    with rasterio.open(folder / "ndvi" / "ndvi.tif") as file:
        ndvi = file.read()
    found = [
        {"min": float(np.nanmin(month)), "mean": float(np.nanmean(month)), "max": float(np.nanmax(month)),
         "pixels": int((~np.isnan(month)).sum())}
        for month in ndvi
        if not np.isnan(month).all()
    ]  # fmt: skip
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
        pytest.fail(f"{GOLDEN} was written anew; look at it and run again")
    for month, golden in zip(found, json.loads(GOLDEN.read_text()), strict=True):
        assert month == pytest.approx(golden, abs=1e-5)


@pytest.fixture(scope="module")
def without_labels(
    told: dict[str, Any],
    request_of: dict[str, Any],
    folder: Path,
    run_command: Any,
    environment_of: Callable[..., dict[str, str]],
) -> dict[str, Any]:
    """The same square, as if nobody knew what grows on its fields; its pixels are there."""
    known = ("labels", "legend", "training", "classifier")
    request = {name: value for name, value in request_of.items() if name not in known}
    crops = ["soft winter wheat", "corn", "winter barley", "potatoes", "beet", "meadow"]
    request |= {"model": "simulated-here", "crops": crops, "output": "simulated"}
    (folder / "simulated.json").write_text(json.dumps(request))
    answers = []
    for _ in range(2):
        done = run_command(
            "cropline", "run", "simulated.json", "--json", cwd=folder, env=environment_of(folder / "store"), timeout=540
        )
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    assert answers[0]["model"] == answers[1]["model"], "made once"
    return dict(answers[1])


def test_without_labels_a_model_is_simulated_for_the_place(
    without_labels: dict[str, Any], folder: Path, request_of: dict[str, Any]
) -> None:
    made, codes = _on_the_labels(folder / "simulated", request_of)
    meant = {"winter wheat": 2, "maize": 3, "barley": 4, "potato": 13, "sugar beet": 9, "grassland": 1}
    wanted = np.zeros(codes.shape, np.uint8)
    for entry in read_legend(Path(request_of["legend"])).classes:
        wanted[np.isin(codes, entry.source_codes)] = meant[entry.name.lower()]
    known = (wanted > 0) & (made != 255)
    assert known.sum() > 3000
    assert (made == wanted)[known].mean() > 1387 / 3725 + 0.15, "far more than all of it as grassland"


def test_what_no_real_field_is_behind_says_so_first(without_labels: dict[str, Any], folder: Path) -> None:
    item = json.loads((folder / "simulated" / "item.json").read_text())
    for text in (item["properties"]["cropline:notes"][0], (folder / "simulated" / "areas.csv").read_text()):
        assert (
            "The model learnt from simulated land alone and saw no real field. Models made so for other places" in text
        )
    lines = (folder / "store" / "models" / "promotions.jsonl").read_text().splitlines()
    decisions = {entry["model"]: entry["decision"] for entry in map(json.loads, lines)}
    assert sorted(decisions.values()) == ["first", "named only"]
    assert decisions[without_labels["model"]] == "named only"
