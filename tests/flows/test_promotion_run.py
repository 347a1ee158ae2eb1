"""The gate with real trainings: on ground that is held out, a model of shuffled labels does not take over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from catalog.grid import Window
from catalog.legend import read_legend

pytestmark = pytest.mark.slow


@pytest.mark.timeout(3600)
def test_a_model_of_shuffled_labels_is_not_promoted_and_a_person_may_still_take_it(
    tmp_path: Path,
    run_command: Any,
    environment_of: Callable[..., dict[str, str]],
    write_mission_archive: Callable[..., Any],
) -> None:
    window = Window(32631, 58_152, 562_248, 192, 192)  # half of it is held out, with five fields of each crop or more
    archive = write_mission_archive(tmp_path / "archive", window, seed=8, farming="flanders")
    background = read_legend(archive.legend).background
    with rasterio.open(archive.labels) as file:
        codes, profile = file.read(1), file.profile
    codes[np.isin(codes, background.source_codes if background else ())] = 0
    shuffled, rng = (
        np.zeros_like(codes),
        np.random.default_rng(6),
    )  # leaves six fields of each crop or more on that ground
    for code in (crops := np.unique(codes[codes > 0])):
        parts, count = ndimage.label(codes == code)
        shuffled = np.where(parts > 0, rng.choice(crops, count + 1)[parts], shuffled)
    for name, values in (("right", codes), ("shuffled", shuffled)):
        with rasterio.open(tmp_path / f"{name}.tif", "w", **profile) as file:
            file.write(values.astype(codes.dtype), 1)
    train = {
        "area": archive.area, "year": 2019, "months": [1, 7], "source": archive.source, "legend": str(archive.legend),
        "training": "quick", "classifier": "forest",
    }  # fmt: skip
    env = environment_of(tmp_path / "store")

    def cropline(*words: str, **request: Any) -> Any:
        (tmp_path / "request.json").write_text(json.dumps(train | request))
        named = ("request.json",) if request else ()
        done = run_command("cropline", *words, *named, "--json", cwd=tmp_path, env=env, timeout=1700)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    made = cropline("run", labels=str(tmp_path / "right.tif"), output="first")
    (score,) = made["scores"]
    assert score["split"] == "hold-out"
    assert score["oa"] > 0.45
    refused = cropline("retrain", labels=str(tmp_path / "shuffled.tif"))["decision"]
    assert (refused["decision"], refused["in_use"]) == ("not better", made["model"])
    again = cropline("run", labels=str(tmp_path / "right.tif"), output="again")
    assert again["model"] == made["model"]
    listed = {model["name"]: model for model in cropline("models")["models"]}
    assert listed[made["model"]]["in_use"]
    assert listed[made["model"]]["maps"] == [str(tmp_path / "again")], (
        "a request's map is one, where it was delivered last"
    )
    assert listed[refused["model"]]["proven"]
    assert not listed[refused["model"]]["in_use"]
    cropline("models", "promote", refused["model"])
    shutil.rmtree(tmp_path / "again")
    assert cropline("run", labels=str(tmp_path / "right.tif"), output="again")["model"] == refused["model"]
    assert cropline("models", "rollback")["model"] == refused["model"]
    assert {model["name"]: model["in_use"] for model in cropline("models")["models"]}[made["model"]]
