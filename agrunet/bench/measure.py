"""The measurement: every network in turn, round after round, so that a noisy moment hits all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import product

import torch

from agrunet.bench.failures import CAUGHT, reason
from agrunet.bench.isolation import isolated, peak_memory
from agrunet.bench.machine import cpu_threads, device_name, has_bf16, tidy
from agrunet.bench.plan import Plan
from agrunet.bench.problems import PURPOSES, Case, Problem, Season
from agrunet.bench.rows import Row, with_ratios
from agrunet.bench.steps import Size, arithmetic, compiler, make_step, measure_size
from agrunet.bench.talk import MACHINES, talk_figure
from agrunet.errors import AgrunetError
from agrunet.networks.registry import TITLES

Watch = Callable[[int, int, str], None]
"""Function that is called before each piece of work with how many are done, how many there are, and what it waits for now."""

_MOST_REPEATS = 200


@dataclass
class _Runner:
    """A case on its way: its step, how often that is repeated in a round, and what the rounds gave."""

    case: Case
    step: Callable[[], None] | None = None
    repeats: int = 1
    peak: int | None = None
    rates: list[float] = field(default_factory=list)
    failure: str | None = None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn an error inside into this case's failure, which ends its part in the run."""
        try:
            with arithmetic(self.case.precision, self.case.device):
                yield
        except CAUGHT as error:
            self.failure, self.step = reason(error), None
        if self.failure is not None:
            tidy(self.case.device)


class _Progress:
    def __init__(self, plan: Plan, watch: Watch | None) -> None:
        variants = len(list(plan.variants()))
        in_group = variants * (plan.rounds + (2 if plan.device == "cpu" else 1))
        self._total = len(plan.problems) * len(plan.seasons) * (len(plan.networks) + len(PURPOSES) * in_group)
        self._done, self._watch = 0, watch

    def begins(self, what: str, case: Case) -> None:
        if self._watch is not None:
            how = f"{case.purpose} {case.precision}{' compiled' if case.compiled else ''}"
            self._watch(
                self._done, self._total, f"{TITLES[case.network]} {how}, {case.problem.name} {case.season}: {what}"
            )
        self._done += 1


def measure(plan: Plan, watch: Watch | None = None) -> list[Row]:
    """Measure the rows of the benchmark: by configuration, season and kind of step, every network in every arithmetic.

    Rounds take the networks in turn; a figure is the median of its rounds. A network that can't be measured gives a row with the
    reason. On a CPU, each case first runs in a process of its own, for its peak of memory. Raises `AgrunetError` where the plan
    asks for a device that isn't there.
    """
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise AgrunetError("there is no CUDA device here, or this torch knows none. Take the device cpu.")
    progress = _Progress(plan, watch)
    rows: list[Row] = []
    with cpu_threads(plan.threads) as threads:
        for problem, season in product(plan.problems, plan.seasons):
            sizes = {name: _size(plan, name, problem, season, progress) for name in plan.networks}
            for purpose in PURPOSES:
                runners = _run_group(plan, plan.cases(problem, season, purpose), progress)
                rows += [_row(plan, runner, sizes[runner.case.network], threads) for runner in runners]
                tidy(plan.device)
    return with_ratios(rows)


def _size(plan: Plan, network: str, problem: Problem, season: Season, progress: _Progress) -> Size | None:
    case = Case(network=network, problem=problem, season=season, purpose="inference", device=plan.device)
    progress.begins("counting operations", case)
    runner = _Runner(case)
    with runner.guarded():
        # On a CPU apart: running out of memory there ends a process.
        return isolated(measure_size, case) if plan.device == "cpu" else measure_size(case)
    return None  # the network's rows give the reason


def _run_group(plan: Plan, cases: list[Case], progress: _Progress) -> list[_Runner]:
    runners = [_Runner(case) for case in cases]
    with compiler() if plan.compiled else nullcontext():
        for runner in runners:
            if plan.device == "cpu":
                progress.begins("memory, in a process of its own", runner.case)
                with runner.guarded():
                    # The optimiser's state is there from the second step on.
                    steps = 2 if runner.case.purpose == "training" and not plan.quick else 1
                    runner.peak = isolated(_peak_of_process, runner.case, steps)
            progress.begins("compiling" if runner.case.compiled else "warming up", runner.case)
            if runner.failure is None:
                with runner.guarded():
                    _prepare(plan, runner)
        for number in range(1, plan.rounds + 1):
            for runner in runners:
                progress.begins(f"round {number} of {plan.rounds}", runner.case)
                if runner.step is not None:
                    with runner.guarded():
                        runner.rates.append(_rate(runner, runner.step))
    for runner in runners:
        runner.step = None  # with it go the network and its data
    return runners


def _prepare(plan: Plan, runner: _Runner) -> None:
    """Make the step, warm it up, and see how often it fits into a round; on a GPU, take its peak of memory."""
    on_gpu = runner.case.device == "cuda"
    held = torch.cuda.memory_allocated() if on_gpu else 0
    step = make_step(runner.case)
    for _ in range(2 if on_gpu or runner.case.compiled else 0):
        step()
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    seconds = _seconds(step, 1, on_gpu)
    if on_gpu:
        runner.peak = torch.cuda.max_memory_allocated() - held
    runner.repeats = min(_MOST_REPEATS, max(1, math.ceil(plan.round_seconds / seconds)))
    runner.step = step


def _rate(runner: _Runner, step: Callable[[], None]) -> float:
    """Images per second of one round."""
    on_gpu = runner.case.device == "cuda"
    if on_gpu:
        # What the others left in the allocator's cache would have to be freed within the time measured.
        torch.cuda.empty_cache()
        step()
    return runner.case.batch * runner.repeats / _seconds(step, runner.repeats, on_gpu)


def _seconds(step: Callable[[], None], repeats: int, on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak_of_process(case: Case, steps: int) -> int:
    with compiler() if case.compiled else nullcontext():
        step = make_step(case)
        for _ in range(steps):
            step()
    return peak_memory()


def _row(plan: Plan, runner: _Runner, size: Size | None, threads: int) -> Row:
    case, name = runner.case, device_name(plan.device)
    figure = talk_figure(case.network, case.problem.name, case.season, case.purpose, case.precision, name)
    if plan.quick:
        figure = None  # other images, other lengths: nothing to compare
    row = Row(
        network=case.network,
        config=case.problem.name,
        season=case.season,
        dates=case.dates,
        dates_assumed=not plan.quick,
        size=case.problem.size,
        batch=case.batch,
        precision=case.precision,
        mode=case.mode,
        parameters=size.parameters if size else None,
        gflop=size.flop / 1e9 if size else None,
        peak_bytes=runner.peak,
        talk=figure.images_per_second if figure else None,
        talk_source=f"{MACHINES[figure.machine]}, one GPU: {figure.page}" if figure else None,
        device=plan.device,
        device_name=name,
        threads=threads,
        torch=torch.__version__,
        quick=plan.quick,
        emulated=case.precision == "bf16" and not has_bf16(plan.device),
        reason=runner.failure,
    )
    return row if runner.failure is not None else row.with_rates(runner.rates)
