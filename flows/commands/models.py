"""`cropline models`: the generations of models, which of them are in use and why, and the user's word on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import AsJson

if TYPE_CHECKING:
    from catalog.generations import Generation
    from catalog.promotions import Promotion
    from catalog.registry import Registry

models = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})


@models.callback(invoke_without_command=True)
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models of this installation: their scores, what was decided about them, and the maps that they made.

    Example: cropline models --json
    """
    if context.invoked_subcommand is not None:
        return
    from catalog.generations import list_generations
    from catalog.registry import Registry
    from flows.settings import load_settings

    store = load_settings().open_store(create=False)
    listed, shipped = list_generations(store), Registry(store).shipped_models()
    if as_json:
        added = [entry.model_dump(mode="json") for entry in shipped]
        typer.echo(json.dumps({**listed.model_dump(mode="json"), "shipped": added}))
        return
    for generation in listed.models:
        for line in _lines(generation):
            typer.echo(line)
    for name, maps in listed.removed.items():
        typer.echo(f"{name}  removed")
        for folder in maps:
            typer.echo(f"    made {folder}")
    for entry in shipped:
        typer.echo(f"{entry.name}  comes with the software{', for synthetic sources only' if entry.synthetic else ''}")
    if listed.damaged_decisions:
        typer.echo(f"{listed.damaged_decisions} decisions in {store.models} can't be read.", err=True)
    if not listed.models:
        typer.echo(
            "No models of your own yet. A request with labels trains one, or `cropline retrain aoi.json`.", err=True
        )


@models.command()
def promote(
    name: Annotated[str, typer.Argument(help="Name that `cropline models` lists.")], as_json: AsJson = False
) -> None:
    """Put a model in use, whatever its scores: requests on its ground get it from now on.

    Example: cropline models promote 2026-11-28-L2A-d0edb47c
    """
    _tell(_registry().promote(name), as_json)


@models.command()
def rollback(
    name: Annotated[
        str | None, typer.Argument(help="Model whose promotion is taken back; by default the one promoted last.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take a promotion back: the model that was in use before is in use again.

    Example: cropline models rollback
    """
    _tell(_registry().roll_back(name), as_json)


def _registry() -> Registry:
    from catalog.registry import Registry
    from flows.settings import load_settings

    return Registry(load_settings().open_store(create=False))


def _tell(decision: Promotion, as_json: bool) -> None:
    typer.echo(decision.model_dump_json() if as_json else f"{decision.model}  {decision.reason}")


def _lines(generation: Generation) -> list[str]:
    """What is told of one model: a line on it, and what was decided and made below."""
    if generation.problem:
        first = f"{generation.name}  can't be used: {generation.problem}"
    else:
        score = generation.scores[0] if generation.scores else None
        figures = f"{score.split} mIoU {score.figure('miou')}, OA {score.figure('oa')}" if score else "nothing held out"
        state = "in use" if generation.in_use else "not in use"
        kind = "proven" if generation.proven else "unproven"
        first = f"{generation.name}  {state}  {kind}, {figures}{'  synthetic' if generation.synthetic else ''}"
    lines = [first]
    lines += [f"    {entry.time:%Y-%m-%d %H:%M} {_word(entry)}: {entry.reason}" for entry in generation.decisions]
    return lines + [f"    made {folder}" for folder in generation.maps]


def _word(decision: Promotion) -> str:
    if decision.promoted:
        return "promoted"
    return "rolled back" if decision.decision == "rolled back" else "not promoted"
