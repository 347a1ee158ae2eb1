"""The command line of the project, asked without running it."""

from __future__ import annotations

import typer

from flows.commands.main import app


def takes(words: list[str]) -> bool:
    """Whether `cropline` takes these words; nothing is done."""
    context = typer.main.get_command(app).make_context("cropline", words[1:])
    rest = [*context._protected_args, *context.args]  # type: ignore[attr-defined]
    name, command, more = context.command.resolve_command(context, rest)  # type: ignore[attr-defined]
    return command.make_context(name, more, parent=context) is not None
