"""Processors are found by entry points, and one that is broken breaks no other."""

from __future__ import annotations

import tomllib
from pathlib import Path

import plug_kit
import pytest

from catalog.errors import RequestError
from processors.thematic.declaration import Declaration
from processors.thematic.protocol import Job
from processors.thematic.registry import (
    check_parameters,
    declaration_of,
    describe_processors,
    find_processors,
    load_processor,
    make_processor,
    stand_ins,
)

JOB = Job(level="L2A", year=2019, months=(4, 5), days=(0, 40), bands=("B04", "B08"), synthetic=True)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages; install into it with `plug_kit.install`."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_processor_of_another_package_is_found_and_made(packages: Path) -> None:
    plug_kit.install(packages, "one", sum="plug_kit:Sum")
    assert find_processors()["sum"] is plug_kit.Sum
    assert load_processor("sum") is plug_kit.Sum
    processor = make_processor("sum", JOB.model_copy(update={"parameters": {"factor": 2}}))
    assert processor.factor == 2.0


def test_defaults_are_filled_in_before_the_processor_is_made(packages: Path) -> None:
    assert check_parameters(plug_kit.Sum, {}) == {"factor": 1.0}


def test_a_wrong_parameter_is_named(packages: Path) -> None:
    plug_kit.install(packages, "one", sum="plug_kit:Sum")
    job = JOB.model_copy(update={"parameters": {"factor": -1}})
    with pytest.raises(
        RequestError, match=r"parameters.factor: Input should be greater than 0 \(got -1\).* takes: factor"
    ):
        make_processor("sum", job)
    with pytest.raises(RequestError, match=r"parameters.speed: Extra inputs are not permitted"):
        make_processor("sum", job.model_copy(update={"parameters": {"speed": 1}}))


def test_an_unknown_name_lists_the_known_ones(packages: Path) -> None:
    plug_kit.install(packages, "one", sum="plug_kit:Sum", environment="plug_kit:Environment")
    with pytest.raises(RequestError, match=r"'total' is unknown. There are: .*environment, .*sum"):
        make_processor("total", JOB)


def test_broken_plug_ins_are_told_by_name_and_the_others_work(packages: Path) -> None:
    (packages / "plug_with_a_bug.py").write_text("raise RuntimeError('licence expired')\n")
    plug_kit.install(packages, "good", sum="plug_kit:Sum")
    plug_kit.install(
        packages, "bad", "2.1", absent="no_such_module:Thing", bug="plug_with_a_bug:Thing", half="plug_kit:Made",
        lost="plug_kit:Nowhere", other="plug_kit:Environment",
    )  # fmt: skip
    found = find_processors()
    assert "sum" in found
    assert not {"absent", "bug", "half", "lost", "other"} & set(found)
    described = {entry.name: entry for entry in describe_processors()}
    assert described["sum"].error is None
    reasons = {
        "absent": "ModuleNotFoundError: No module named 'no_such_module'",
        "bug": "RuntimeError: licence expired",
        "half": "is no processor: it has no name",
        "lost": "AttributeError",
        "other": "calls itself 'environment'",
    }
    for name, reason in reasons.items():
        assert reason in str(described[name].error)
        assert "bad 2.1" in str(described[name].error)
        with pytest.raises(RequestError, match=f"processor {name} of bad 2.1"):
            make_processor(name, JOB)


def test_a_processor_that_lacks_what_a_run_ends_with_is_refused_at_once(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_kit.install(packages, "one", sum="plug_kit:Sum")
    assert make_processor("sum", JOB).notes == ()
    monkeypatch.setattr(plug_kit.Sum, "__init__", lambda *_: None)
    with pytest.raises(
        RequestError, match=r"processor sum, once made, has no .*notes. See processors/thematic/protocol"
    ):
        make_processor("sum", JOB)


def test_a_name_that_two_packages_offer_is_refused(packages: Path) -> None:
    plug_kit.install(packages, "one", sum="plug_kit:Sum")
    plug_kit.install(packages, "two", sum="plug_kit:Sum")
    with pytest.raises(RequestError, match=r"one 1.0 and two 1.0 both offer it. Uninstall one"):
        make_processor("sum", JOB)


def test_a_description_tells_what_a_user_needs(packages: Path) -> None:
    plug_kit.install(packages, "one", "1.5", sum="plug_kit:Sum")
    [entry] = [entry for entry in describe_processors() if entry.name == "sum"]
    assert (entry.package, entry.title, entry.version, entry.needs_model) == (
        "one 1.5",
        "Sum over the dates",
        "1",
        False,
    )
    assert entry.parameters["properties"]["factor"]["description"] == "the sum is multiplied by it"


def test_the_entry_points_of_this_project_lead_to_processors_of_their_names(packages: Path, repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = project["entry-points"]["cropline.processors"]
    plug_kit.install(packages, project["name"], project["version"], **declared)  # whether it is installed or not
    for name, value in declared.items():
        processor = load_processor(name)
        assert f"{processor.__module__}:{processor.__qualname__}" == value
        assert processor.Parameters.model_json_schema()["type"] == "object"


def test_processors_of_one_product_stand_in_for_one_another(packages: Path) -> None:
    plug_kit.install(packages, "one", **{"stand-in": "plug_kit:StandIn", "sum": "plug_kit:Sum"})
    found = find_processors()
    assert [other.name for other in stand_ins(found["crop-map"])] == ["crop-map-fast", "stand-in"]
    assert stand_ins(found["conformity"]) == [], "what it goes on from is another product"
    assert declaration_of(plug_kit.Sum) == Declaration(product="sum"), "what declares nothing"
    assert plug_kit.StandIn.declares.unfit("L1C", frozenset({"B04"})) == "takes L2A, not L1C"
    assert plug_kit.StandIn.declares.unfit("L2A", frozenset({"B04"})) == "needs B08, which the products don't have"
    assert plug_kit.StandIn.declares.unfit("L2A", frozenset({"B04", "B08"})) == ""


def test_a_declaration_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plug_kit.Sum, "declares", {"product": "crop map"}, raising=False)
    with pytest.raises(RequestError, match=r"processor sum: its `declares` is no Declaration"):
        declaration_of(plug_kit.Sum)
