"""The check of processors: those that are shipped and the one in the docs pass, and each way to break the contract is told."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from catalog.registry import Registry
from catalog.storage.store import Store
from flows.commands.main import app
from processors.thematic.check import BANDS, Check, Sample, check_processor, days
from processors.thematic.registry import find_processors

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "processor.md"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a module as a distribution that offers a processor, as pip would lay it down."""
    folder = tmp_path / "site"

    def installed(module: str, text: str, name: str, target: str) -> None:
        described = folder / f"{module}-1.0.dist-info"
        described.mkdir(parents=True)
        (folder / f"{module}.py").write_text(text)
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (described / "entry_points.txt").write_text(f"[cropline.processors]\n{name} = {module}:{target}\n")
        monkeypatch.syspath_prepend(folder)

    return installed


def _document(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_the_skeleton_in_the_docs_passes(install: Install) -> None:
    (code,) = _document("python")
    (toml,) = _document("toml")
    assert 'greenest = "greenest:Greenest"' in toml
    install("greenest", code, "greenest", "Greenest")
    done = CliRunner().invoke(app, ["processors", "check", "greenest", "--json"])
    told = json.loads(done.stdout)
    assert [found for found in told["checks"] if found["problem"]] == []
    assert (told["passed"], len(told["checks"])) == (True, 9)
    shown = CliRunner().invoke(app, ["processors", "greenest"]).stdout
    assert "least = 0.0  NDVI below which a pixel is no vegetation (at least -1, at most 1)" in shown


def test_those_that_are_shipped_pass(tmp_path: Path) -> None:
    model = Registry(Store(tmp_path)).shipped_models()[0].folder
    for name in ("vegetation", "crop-map"):
        needed = model if find_processors()[name].needs_model else None
        assert [found for found in check_processor(name, needed) if found.problem] == []


class _Loose(BaseModel):
    pass


def _greenest() -> type[Any]:
    made: dict[str, Any] = {}
    (code,) = _document("python")
    exec(compile(code, "greenest.py", "exec"), made)
    return made["Greenest"]  # type: ignore[no-any-return]


def _run(change: Callable[[int, np.ndarray], tuple[int, np.ndarray]]) -> Callable[..., Any]:
    def run(self: Any, patches: Any, indices: Any) -> Any:
        for index, fields in _greenest().run(self, patches, indices):
            yield change(index, fields)

    return run


def _finish(change: Callable[[dict[str, np.ndarray]], Any]) -> Callable[..., Any]:
    return lambda self, fields, summary: change(_greenest().finish(self, fields, summary))


def _spoils(self: Any, fields: np.ndarray, summary: Any) -> Any:
    fields[:] = 0
    return {"greatest_ndvi": fields[0]}


WAYS = {
    "takes any parameter": ({"Parameters": _Loose}, "a user's slip would go unnoticed"),
    "float64": ({"run": _run(lambda index, fields: (index, fields.astype(float)))}, "float64 .*: fields are float32"),
    "another shape": (
        {"run": _run(lambda index, fields: (index, fields[0]))},
        r"float32 \(128, 128\): fields are float32",
    ),
    "another order": ({"run": _run(lambda index, fields: (2 - index, fields))}, "patches come in the order asked for"),
    "zero for nothing": ({"run": _run(lambda index, fields: (index, np.nan_to_num(fields)))}, "they must be NaN"),
    "infinite": ({"run": _run(lambda index, fields: (index, np.full_like(fields, np.inf)))}, "infinite"),
    "all NaN": ({"run": _run(lambda index, fields: (index, np.full_like(fields, np.nan)))}, "nothing but NaN"),
    "a summary with NaN": ({"summarise": lambda _self, _blocks: {"mean": float("nan")}}, "JSON"),
    "a variable less": ({"finish": _finish(lambda _made: {})}, "made no greatest_ndvi"),
    "a variable more": ({"finish": _finish(lambda made: {**made, "x": made["greatest_ndvi"]})}, "made x, which are no"),
    "a variable of another kind": (
        {"finish": _finish(lambda made: {name: values.astype(np.float64) for name, values in made.items()})},
        "declared float32",
    ),
    "its input changed": ({"finish": _spoils}, "changed its input"),
    "values of nothing": (
        {"finish": _finish(lambda made: {name: np.nan_to_num(values) for name, values in made.items()})},
        "where all fields are NaN",
    ),
    "an error of its own": ({"summarise": lambda _self, _blocks: 1 / 0}, "ZeroDivisionError"),
    "an end of its own": ({"summarise": lambda _self, _blocks: sys.exit(3)}, "SystemExit: 3"),
    "no patch": ({"run": lambda _self, _patches, _indices: iter(())}, "gave 0 of the 3 patches"),
    "patches without end": (
        {"run": lambda self, patches, _indices: _greenest().run(self, patches, itertools.cycle((2, 0, 1)))},
        "gave more patches than the 3",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_break_the_contract_is_told(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, said = WAYS[way]
    broken = type("Broken", (_greenest(),), changed)
    monkeypatch.setattr("processors.thematic.check.load_processor", lambda _name: broken)
    monkeypatch.setattr(
        "processors.thematic.check.make_processor", lambda _name, job: broken(job.model_copy(update={"parameters": {}}))
    )
    problems = [found.problem for found in check_processor("greenest") if found.problem]
    assert len(problems) == 1, problems
    assert re.search(said, problems[0])


def test_the_command_fails_where_a_check_does(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [Check(name="a"), Check(name="b", problem="it does nothing")]
    monkeypatch.setattr("processors.thematic.check.check_processor", lambda _name, _model: wrong)
    done = CliRunner().invoke(app, ["processors", "check", "vegetation"])
    assert done.exit_code == 1
    assert "right  a\nwrong  b: it does nothing\n" in done.output


def test_the_sample_has_clouds_and_fields_whatever_size_is_asked_for() -> None:
    for size in (16, 32, 100):
        patch = Sample(("B04", "B08"), size).read(0)
        assert patch.values.shape == (len(days()), 2, size, size)
        assert patch.clear.shape == (len(days()), size, size)
        assert 0.3 < patch.clear.mean() < 0.99
    assert list(days()) == sorted(days())
    assert len(BANDS) == Sample(BANDS, 32).read(0).values.shape[1]
