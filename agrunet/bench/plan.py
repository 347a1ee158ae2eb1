"""The plan of a benchmark run: which networks, problems and arithmetic are measured, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Annotated, Literal

from pydantic import Field

from agrunet.bench.problems import (
    NETWORKS,
    PRECISIONS,
    PROBLEMS,
    SEASONS,
    Case,
    Device,
    Precision,
    Problem,
    Purpose,
    Season,
)
from agrunet.errors import AgrunetError
from agrunet.settings import Frozen


class Plan(Frozen):
    """Networks, problems, arithmetic, and how often."""

    networks: tuple[str, ...] = NETWORKS
    problems: tuple[Problem, ...] = tuple(PROBLEMS.values())
    seasons: tuple[Season, ...] = ("jan-jul",)
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    compiled: Annotated[bool, Field(description="measure every case through torch.compile too")] = True
    device: Device = "cpu"
    rounds: Annotated[int, Field(ge=1, description="how often every case is timed")] = 5
    round_seconds: Annotated[
        float, Field(ge=0, description="a case is repeated within its round for about so long")
    ] = 0.5
    threads: Annotated[int | None, Field(ge=1, description="of the CPU; torch's own number by default")] = None
    batch: Annotated[
        int | None, Field(ge=1, description="images a step; by default 1 on a CPU, the problem's on a GPU")
    ] = None
    quick: bool = False

    def variants(self) -> Iterator[tuple[str, Precision, bool]]:
        """List network, arithmetic and whether compiled, as a round goes through them, networks innermost."""
        for compiled, precision, network in product((False, True), self.precisions, self.networks):
            if self.compiled or not compiled:
                yield network, precision, compiled

    def cases(self, problem: Problem, season: Season, purpose: Purpose) -> list[Case]:
        return [
            Case(
                network=network,
                problem=problem,
                season=season,
                purpose=purpose,
                precision=precision,
                compiled=compiled,
                batch=self._batch(problem, purpose),
                device=self.device,
            )
            for network, precision, compiled in self.variants()
        ]

    def _batch(self, problem: Problem, purpose: Purpose) -> int:
        if self.batch is not None:
            return self.batch
        if self.device == "cpu":
            return 1
        return problem.training_batch if purpose == "training" else problem.inference_batch


def make_plan(
    device: Device = "cpu",
    season: Literal["year", "jan-jul", "both"] = "jan-jul",
    networks: str | None = None,
    configs: str | None = None,
    precisions: str | None = None,
    compiled: bool | None = None,
    rounds: int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    quick: bool = False,
) -> Plan:
    """Make the plan that a command asks for: names separated by commas, all of them where None.

    A quick one takes small images and short series, fewer rounds, and compiles nothing unless asked to. Raises `AgrunetError` for a
    name that is not known, and for TF32 on a CPU.
    """
    wanted = _chosen(precisions, PRECISIONS, "precision")
    if device == "cpu" and precisions is not None and "tf32" in wanted:
        raise AgrunetError("precision tf32 is an arithmetic of CUDA devices. Leave it out, or take the device cuda.")
    problems = [PROBLEMS[name] for name in _chosen(configs, tuple(PROBLEMS), "configuration")]
    return Plan(
        networks=_chosen(networks, NETWORKS, "network"),
        problems=tuple(problem.quick() if quick else problem for problem in problems),
        seasons=SEASONS if season == "both" else (season,),
        precisions=tuple(name for name in PRECISIONS if name in wanted and (device == "cuda" or name != "tf32")),
        compiled=not quick if compiled is None else compiled,
        device=device,
        rounds=rounds or (2 if quick else 5),
        round_seconds=0.02 if quick else 0.5,
        threads=threads,
        batch=batch,
        quick=quick,
    )


def _chosen(text: str | None, known: Sequence[str], what: str) -> tuple[str, ...]:
    if text is None:
        return tuple(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise AgrunetError(f"no {what} '{', '.join(unknown) or text}'. Choose from {', '.join(known)}.")
    return tuple(name for name in known if name in names)
