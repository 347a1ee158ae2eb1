"""Steps of a network, as they run in training and in inference, on synthetic data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from agrunet.bench.problems import Case, Precision
from agrunet.data.inputs import Batch, Normalisation, prepare
from agrunet.networks.registry import fresh_network
from agrunet.settings import Frozen
from agrunet.training.losses import supervised_loss

_SUPERVISION = 0.5
"""Weight of a level's loss, relative to the next finer one."""

_MEAN, _STD, _HIGHEST = 1500.0, 1000.0, 4000

_RECOMPILES = 64
"""Variants of one function that the compiler may keep: several networks and precisions share some."""


class Size(Frozen):
    """Size of a network at a problem."""

    parameters: int
    flop: int
    """Operations of one image's forward pass in inference; a multiplication with its addition counts as 2."""


def make_step(case: Case) -> Callable[[], None]:
    """Make a step of ``case`` that can be called again and again; its result stays on the device.

    Both kinds start from int16 values that lie on the device already and normalise them there. Inference ends with the logits;
    training goes on with the loss of every level, the gradients and the optimiser's step. No date is padding, and the networks are told
    so: none has to look at the device for it, and a compiled one is one graph.
    """
    device = torch.device(case.device)
    batch, normalisation = synthetic_batch(case, device), _normalisation(case)
    network = fresh_network(case.network_config(), seed=0)

    def logits(run: Callable[..., Tensor | list[Tensor]]) -> Tensor | list[Tensor]:
        values = prepare(batch, normalisation, "raw")
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=case.precision == "bf16"):
            return run(values, None, batch.days)

    if case.purpose == "inference":
        ready = _arranged(network.for_inference().to(device), case)

        def infer() -> None:
            with torch.inference_mode():
                logits(ready)

        return infer

    trained = _arranged(network.to(device).train(), case)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    label = _synthetic_label(case, device)

    def learn() -> None:
        found = logits(trained)
        levels = found if isinstance(found, list) else [found]
        loss = supervised_loss(levels, label, [_SUPERVISION**level for level in range(len(levels))])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return learn


def synthetic_batch(case: Case, device: torch.device) -> Batch:
    """Draw random int16 values as they are stored, every date real and clear, spread evenly over the season."""
    shape = (case.batch, case.dates, case.problem.bands, case.problem.size, case.problem.size)
    draw = torch.Generator().manual_seed(0)
    values = torch.randint(0, _HIGHEST, shape, dtype=torch.int16, generator=draw)
    B, T, _, H, W = shape
    days = torch.linspace(0, 364 if case.season == "year" else 211, T).round().to(torch.int32).expand(B, T)
    clear, valid = torch.ones((B, T, H, W), dtype=torch.bool), torch.ones((B, T), dtype=torch.bool)
    return Batch(values, clear, days.contiguous(), valid).to(device)


def measure_size(case: Case) -> Size:
    """Count parameters, and operations while one image passes."""
    device = torch.device(case.device)
    single = case.model_copy(update={"batch": 1})
    batch = synthetic_batch(single, device)
    network = fresh_network(case.network_config(), seed=0)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    ready = network.for_inference().to(device)
    # torch has no formula for the CPU's attention kernel and counts nothing for it.
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one call that hides its operations from the counter
    try:
        # Not in inference mode, in which AgrUNet goes by bands of rows on a CPU and counts those around them twice.
        with FlopCounterMode(display=False, custom_mapping=attention) as counter:
            ready(prepare(batch, _normalisation(case), "raw"), None, batch.days)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return Size(parameters=parameters, flop=counter.get_total_flops())


@contextmanager
def arithmetic(precision: Precision, device: str) -> Iterator[None]:
    """Set a GPU to TF32 where it is asked for and nowhere else, and to the fastest kernels for these fixed shapes; set back at the end."""
    if device != "cuda":
        yield
        return
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.benchmark
    try:
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        cudnn.allow_tf32, cudnn.benchmark = precision == "tf32", True
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        cudnn.allow_tf32, cudnn.benchmark = before


@contextmanager
def compiler() -> Iterator[None]:
    """Give the compiler room for the variants of a run, with an error where it is used up; they are forgotten at the end."""
    import torch._dynamo  # slow to import, and most steps run without

    with torch._dynamo.config.patch(recompile_limit=_RECOMPILES, fail_on_recompile_limit_hit=True):
        try:
            yield
        finally:
            torch.compiler.reset()


def _arranged(network: nn.Module, case: Case) -> Callable[..., Tensor | list[Tensor]]:
    return torch.compile(network, dynamic=False) if case.compiled else network


def _attention_flop(
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    *_: object,
    **__: object,
) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _normalisation(case: Case) -> Normalisation:
    bands = case.problem.bands
    return Normalisation(mean=(_MEAN,) * bands, std=(_STD,) * bands)


def _synthetic_label(case: Case, device: torch.device) -> Tensor:
    shape = (case.batch, case.problem.size, case.problem.size)
    return torch.randint(0, case.problem.classes, shape, generator=torch.Generator().manual_seed(1)).to(device)
