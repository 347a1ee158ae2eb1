"""`cropline processors`: the thematic processors that are installed, and whether one keeps to its contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from flows.commands.options import AsJson

if TYPE_CHECKING:
    from processors.thematic.registry import ProcessorDescription


class _NameOrCommand(TyperGroup):
    """A group of commands in which any other word is the name of a processor to be shown."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


processors = typer.Typer(cls=_NameOrCommand)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a processor.")]


@processors.callback(invoke_without_command=True)
def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the thematic processors that are installed; `cropline processors NAME` shows one.

    Example: cropline processors
    """
    if ctx.invoked_subcommand is not None:
        return
    from processors.thematic.registry import describe_processors

    descriptions = describe_processors()
    if as_json:
        typer.echo(json.dumps([description.model_dump(mode="json") for description in descriptions]))
        return
    for description in descriptions:
        _show(description)


@processors.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a processor: what it makes, what it needs, its parameters with their bounds.

    Example: cropline processors vegetation
    """
    from catalog.errors import RequestError
    from processors.thematic.registry import describe_processors

    descriptions = {description.name: description for description in describe_processors()}
    if name not in descriptions:
        raise RequestError(f"processor: there is no {name!r}. Installed are {', '.join(descriptions)}.")
    if as_json:
        typer.echo(descriptions[name].model_dump_json())
    else:
        _show(descriptions[name])


@processors.command()
def check(
    name: Name,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a checkpoint, for a processor that needs one; by default the one that is shipped."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try a processor on a sample patch: shapes, dtypes, NaN where nothing is known, unknown parameters refused.

    Exit code 1 where anything is wrong.

    Example: cropline processors check vegetation
    """
    from catalog.errors import RequestError
    from flows.commands.options import tell
    from flows.reporting.progress import counted, terminal_step
    from processors.thematic.check import check_processor
    from processors.thematic.registry import load_processor

    if model is None and load_processor(name).needs_model:
        model = _shipped_model()
    elif model is not None and not model.is_dir():
        raise RequestError(f"model: there is no folder {model}. Give that of a checkpoint.")
    with terminal_step("check", f"the processor {name}") as step:
        checks = check_processor(name, model)
        step.outcome = counted(len(checks), "check")
    wrong = [found for found in checks if found.problem]
    if as_json:
        typer.echo(
            json.dumps({"processor": name, "checks": [found.model_dump() for found in checks], "passed": not wrong})
        )
    else:
        for found in checks:
            typer.echo(
                f"{'wrong' if found.problem else 'right'}  {found.name}{f': {found.problem}' if found.problem else ''}"
            )
    if wrong:
        tell(
            f"{name}: {len(wrong)} of {len(checks)} checks fail; what comes after the first that fails may not have been tried."
        )
        raise typer.Exit(1)


def _shipped_model() -> Path:
    from catalog.registry import Registry
    from flows.settings import load_settings

    return Registry(load_settings().open_store(create=False)).shipped_models()[0].folder


def _show(description: ProcessorDescription) -> None:
    typer.echo(f"{description.name}  {description.error or description.title}  ({description.package})")
    if description.needs_model:
        typer.echo("    needs a model: one that fits, or labels to train it from")
    if description.declares is not None and description.declares.product != description.name:
        typer.echo(f"    delivers: {description.declares.product}, as others may that a request chooses among")
    for parameter, field in description.parameters.get("properties", {}).items():
        bounds = _bounds(field)
        typer.echo(
            f"    {parameter} = {json.dumps(field.get('default'))}  {field.get('description', '')}{f' ({bounds})' if bounds else ''}"
        )


_BOUNDS = {
    "minimum": "at least {}", "exclusiveMinimum": "over {}", "maximum": "at most {}", "exclusiveMaximum": "below {}",
    "minItems": "at least {} entries", "maxItems": "at most {} entries", "enum": "one of {}",
}  # fmt: skip


def _bounds(field: dict[str, Any]) -> str:
    """The bounds of a parameter, as its JSON Schema has them, in words."""
    parts = [field, *field.get("anyOf", [])]
    return ", ".join(
        words.format(", ".join(map(str, part[key])) if isinstance(part[key], list) else part[key])
        for part in parts
        for key, words in _BOUNDS.items()
        if key in part
    )
