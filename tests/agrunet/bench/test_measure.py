"""The order of a run, what a failing network leaves, and figures from given times."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from agrunet.bench import measure as module
from agrunet.bench.failures import MeasureError
from agrunet.bench.measure import measure
from agrunet.bench.plan import Plan
from agrunet.bench.problems import Case, Problem
from agrunet.bench.steps import Size
from agrunet.errors import AgrunetError

SECONDS = {"agrunet": 2.0, "utae": 1.0, "unet3d": 4.0}


class _Machine:
    """Stands for the clock and the networks: a step takes the time that is written down for it, and is remembered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.steps, self.broken, self.apart = 0.0, [], "", []  # type: ignore[var-annotated]
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(module, "make_step", self.make_step)
        monkeypatch.setattr(module, "isolated", self.isolated)
        monkeypatch.setattr(module, "compiler", nullcontext)

    def make_step(self, case: Case) -> Callable[[], None]:
        if case.network == self.broken:
            raise RuntimeError("no C++ compiler")

        def step() -> None:
            self.now += (
                SECONDS[case.network] * (0.5 if case.precision == "bf16" else 1) * (0.25 if case.compiled else 1)
            )
            self.steps.append((case.network, case.precision, case.mode))

        return step

    def isolated(self, function: Callable[..., Any], case: Case, *_: int) -> Any:
        self.apart.append((function.__name__, case.network))
        return Size(parameters=1000, flop=3_000_000_000) if function is module.measure_size else 123_456


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> _Machine:
    return _Machine(monkeypatch)


def _plan(tiny: Problem, **fields: Any) -> Plan:
    plain: dict[str, Any] = {"networks": ("agrunet", "unet3d", "utae"), "problems": (tiny,), "compiled": False}
    return Plan(**{**plain, "rounds": 2, "round_seconds": 0.0, **fields})


def test_rounds_take_the_networks_in_turn(tiny: Problem, machine: _Machine) -> None:
    measure(_plan(tiny))
    one_round = [
        (network, precision, "inference") for precision in ("fp32", "bf16") for network in ("agrunet", "unet3d", "utae")
    ]
    # Once to warm up, then two rounds; training after all of inference.
    assert machine.steps[:18] == one_round * 3
    assert {mode for _, _, mode in machine.steps[18:]} == {"training"}


def test_figures_follow_from_the_times(tiny: Problem, machine: _Machine) -> None:
    rows = measure(_plan(tiny, batch=6))
    found = {(row.network, row.precision, row.mode): row for row in rows}
    assert len(rows) == len(found) == 12
    row = found["agrunet", "bf16", "inference"]
    assert (row.images_per_second, row.slowest, row.fastest, row.rounds) == (6.0, 6.0, 6.0, 2)
    assert (row.ratio_to_utae, row.ratio_to_unet3d) == (1.0, 0.25)
    assert (row.parameters, row.gflop, row.peak_bytes, row.batch, row.dates) == (1000, 3.0, 123_456, 6, 3)
    assert found["agrunet", "fp32", "training"].ratio_to_utae == 2.0
    assert row.dates_assumed
    assert row.talk is None  # the talk has no figure for a CPU


def test_short_steps_are_repeated_within_a_round(tiny: Problem, machine: _Machine) -> None:
    rows = measure(_plan(tiny, networks=("utae",), precisions=("fp32",), rounds=1, round_seconds=4.5))
    assert len(machine.steps) == 2 * (1 + 5)
    assert [row.images_per_second for row in rows] == [1.0, 1.0]


def test_compiled_cases_have_rows_of_their_own(tiny: Problem, machine: _Machine) -> None:
    rows = measure(_plan(tiny, precisions=("fp32",), compiled=True))
    modes = {(row.mode, row.ratio_to_utae) for row in rows if row.network == "agrunet"}
    assert modes == {
        (f"{purpose}{end}", ratio)
        for purpose in ("inference", "training")
        for end, ratio in (("", 2.0), ("-compiled", 0.5))
    }


def test_a_network_that_fails_gives_rows_with_the_reason(tiny: Problem, machine: _Machine) -> None:
    machine.broken = "unet3d"
    rows = measure(_plan(tiny))
    failed = [row for row in rows if row.network == "unet3d"]
    assert [(row.images_per_second, row.reason) for row in failed] == [(None, "no C++ compiler")] * 4
    others = [row for row in rows if row.network != "unet3d"]
    assert all(row.images_per_second and row.reason is None for row in others)
    assert {row.ratio_to_unet3d for row in rows} == {None}


def test_what_ends_the_process_apart_is_not_tried_here(
    tiny: Problem, machine: _Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(function: Callable[..., Any], case: Case, *_: int) -> Any:
        if case.network == "utae":
            raise MeasureError("killed by the system, most likely out of memory")
        return machine.isolated(function, case)

    monkeypatch.setattr(module, "isolated", killed)
    rows = measure(_plan(tiny))
    assert "utae" not in {network for network, _, _ in machine.steps}
    failed = [row for row in rows if row.network == "utae"]
    assert {(row.images_per_second, row.parameters, row.reason) for row in failed} == {
        (None, None, "killed by the system, most likely out of memory")
    }


def test_a_case_that_fails_in_a_round_has_no_figure(
    tiny: Problem, machine: _Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = machine.make_step

    def tiring(case: Case) -> Callable[[], None]:
        step, calls = made(case), []  # type: ignore[var-annotated]

        def tired() -> None:
            calls.append(1)
            if case.network == "utae" and len(calls) == 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            step()

        return tired

    monkeypatch.setattr(module, "make_step", tiring)
    rows = measure(_plan(tiny, precisions=("fp32",)))
    assert [(row.images_per_second, row.reason) for row in rows if row.network == "utae"] == [
        (None, "out of memory: CUDA out of memory")
    ] * 2
    assert all(row.rounds == 2 for row in rows if row.network != "utae")


def test_progress_says_what_it_waits_for(tiny: Problem, machine: _Machine) -> None:
    said: list[tuple[int, int, str]] = []
    measure(_plan(tiny, networks=("utae",), precisions=("fp32",)), lambda *words: said.append(words))
    assert [done for done, _, _ in said] == list(range(len(said)))
    assert {total for _, total, _ in said} == {len(said)}
    assert [what.split(": ")[1] for _, _, what in said[:5]] == [
        "counting operations",
        "memory, in a process of its own",
        "warming up",
        "round 1 of 2",
        "round 2 of 2",
    ]
    assert said[1][2].startswith("U-TAE inference fp32, orthopastis jan-jul")


def test_memory_that_cannot_be_had_is_a_row(tiny: Problem) -> None:
    vast = tiny.model_copy(update={"size": 2**20})
    rows = measure(_plan(vast, networks=("agrunet",), precisions=("fp32",), rounds=1))
    assert [row.images_per_second for row in rows] == [None, None]
    assert all("out of memory" in (row.reason or "") for row in rows)


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated")  # torch's compiler imports it
def test_without_a_compiler_eager_rows_are_whole_and_compiled_ones_say_why(
    tiny: Problem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torch._inductor import config

    monkeypatch.setattr(module, "isolated", lambda function, *words: function(*words))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # no kernel of an earlier run
    with config.patch({"cpp.cxx": (None, "/no/compiler")}):
        rows = measure(_plan(tiny, networks=("agrunet",), precisions=("fp32",), rounds=1, compiled=True))
    assert [row.mode for row in rows] == ["inference", "inference-compiled", "training", "training-compiled"]
    for row in rows:
        assert (row.images_per_second is None) == row.compiled
        assert ("compiler" in (row.reason or "")) == row.compiled


def test_a_size_that_a_network_refuses_is_a_row(tiny: Problem) -> None:
    odd = tiny.model_copy(update={"size": 15})
    rows = measure(_plan(odd, networks=("agrunet",), precisions=("fp32",), rounds=1))
    assert all("multiples of 2" in (row.reason or "") for row in rows)


def test_threads_are_set_for_the_run_only(tiny: Problem, machine: _Machine) -> None:
    before = torch.get_num_threads()
    rows = measure(_plan(tiny, networks=("utae",), threads=3))
    assert {row.threads for row in rows} == {3}
    assert torch.get_num_threads() == before


def test_on_a_gpu_memory_is_the_cases_own_and_the_talk_stands_beside(
    tiny: Problem, machine: _Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, seen = iter([100, 100, 250, 250]), set()  # type: ignore[var-annotated]
    made = machine.make_step

    def making(case: Case) -> Callable[[], None]:
        step = made(case)

        def watched() -> None:
            tf32 = torch.get_float32_matmul_precision() == "high", torch.backends.cudnn.allow_tf32
            seen.add((case.precision, *tf32))
            step()

        return watched

    for name, value in {
        "is_available": lambda: True,
        "get_device_name": lambda: "NVIDIA H100 80GB HBM3",
        "is_bf16_supported": lambda **_: True,
        "memory_allocated": lambda: next(held),
        "max_memory_allocated": lambda: 1250,
        "reset_peak_memory_stats": lambda: None,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(module, "make_step", making)
    monkeypatch.setattr(module, "measure_size", lambda _: Size(parameters=1, flop=1))
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    rows = measure(_plan(tiny, networks=("agrunet",), precisions=("tf32", "bf16"), device="cuda"))
    assert [row.peak_bytes for row in rows] == [1150, 1150, 1000, 1000]
    assert [row.talk for row in rows] == [264.41, 605.53, 37.62, 59.49]
    assert [row.batch for row in rows] == [3, 3, 2, 2]
    assert all("GH200 @ UniFE" in (row.talk_source or "") for row in rows)
    assert seen == {("tf32", True, True), ("bf16", False, False)}
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
    assert not machine.apart


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(tiny: Problem) -> None:
    with pytest.raises(AgrunetError, match="no CUDA device"):
        measure(_plan(tiny, device="cuda"))
