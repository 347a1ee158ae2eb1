"""What a command's words ask for."""

from __future__ import annotations

import pytest

from agrunet.bench.plan import Plan, make_plan
from agrunet.bench.problems import NETWORKS, PROBLEMS, Problem
from agrunet.errors import AgrunetError


def test_problems_are_the_talks() -> None:
    found = {
        name: (p.size, p.bands, p.classes, p.filters, p.year, p.jan_jul, p.training_batch)
        for name, p in PROBLEMS.items()
    }
    assert found == {
        "orthopastis": (128, 10, 19, (64, 128), 46, 27, 4),
        "munich": (48, 7, 18, (64, 128, 256), 52, 30, 32),
    }


def test_by_default_everything_is_measured() -> None:
    plan = make_plan()
    assert plan.networks == NETWORKS
    assert [problem.name for problem in plan.problems] == ["orthopastis", "munich"]
    assert (plan.seasons, plan.precisions, plan.compiled, plan.quick) == (("jan-jul",), ("fp32", "bf16"), True, False)
    assert make_plan(device="cuda").precisions == ("fp32", "tf32", "bf16")


def test_names_choose_and_keep_their_order() -> None:
    plan = make_plan(networks="utae, agrunet", configs="munich", precisions="bf16", season="both", compiled=False)
    assert plan.networks == ("agrunet", "utae")
    assert [problem.name for problem in plan.problems] == ["munich"]
    assert (plan.precisions, plan.seasons, plan.compiled) == (("bf16",), ("year", "jan-jul"), False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"networks": "agrunet,resnet"}, "no network 'resnet'"),
        ({"configs": "pastis"}, "no configuration 'pastis'"),
        ({"precisions": "fp64"}, "no precision 'fp64'"),
        ({"networks": ","}, "no network ','"),
        ({"precisions": "fp32,tf32"}, "arithmetic of CUDA devices"),
        ({"precisions": " tf32"}, "arithmetic of CUDA devices"),
    ],
)
def test_unknown_names_are_refused(words: dict[str, str], message: str) -> None:
    with pytest.raises(AgrunetError, match=message):
        make_plan(**words)  # type: ignore[arg-type]


def test_a_quick_plan_is_small_and_eager_unless_told() -> None:
    plan = make_plan(quick=True)
    assert plan.quick
    assert not plan.compiled
    assert plan.rounds == 2
    assert [(p.size, p.year, p.jan_jul) for p in plan.problems] == [(16, 4, 3), (16, 5, 3)]
    assert [p.filters for p in plan.problems] == [(64, 128), (64, 128, 256)]
    assert make_plan(quick=True, compiled=True).compiled


def test_batches_are_one_on_a_cpu_and_the_talks_on_a_gpu(tiny: Problem) -> None:
    def batches(plan: Plan) -> tuple[int, int]:
        return plan.cases(tiny, "year", "inference")[0].batch, plan.cases(tiny, "year", "training")[0].batch

    assert batches(Plan()) == (1, 1)
    assert batches(Plan(device="cuda")) == (3, 2)
    assert batches(Plan(device="cuda", batch=7)) == (7, 7)


def test_modes_tell_training_from_inference_and_eager_from_compiled(tiny: Problem) -> None:
    plan = Plan(networks=("agrunet",), precisions=("fp32",))
    modes = [case.mode for purpose in ("inference", "training") for case in plan.cases(tiny, "year", purpose)]  # type: ignore[arg-type]
    assert modes == ["inference", "inference-compiled", "training", "training-compiled"]


def test_the_talks_filters_go_into_agrunet(tiny: Problem) -> None:
    case = Plan(networks=("agrunet",)).cases(PROBLEMS["munich"], "jan-jul", "inference")[0]
    assert case.network_config().model_dump() == {
        **case.network_config().model_dump(),
        "kind": "agrunet",
        "bands": 7,
        "classes": 18,
        "filters": (64, 128, 256),
    }
    assert case.dates == 30
