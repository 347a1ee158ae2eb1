"""The help of every command: it ends with an example, and the example is one that the command takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from flows.commands.main import app


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its words; a group that does something by itself counts as one."""
    if hasattr(command, "commands"):
        if path and command.invoke_without_command:
            yield " ".join(path), command
        for name, inner in command.commands.items():
            yield from _commands(inner, (*path, name))
    else:
        yield " ".join(path), command


CLICK = typer.main.get_command(app)
COMMANDS = dict(_commands(CLICK))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_gives_an_example_that_it_takes(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert re.match(r"[A-Z].*\.", text)
    (example,) = re.findall(r"^Example: cropline (.*)$", text, re.MULTILINE)
    words = shlex.split(example)
    context = CLICK.make_context("cropline", words)
    while hasattr(context.command, "commands") and (rest := [*context._protected_args, *context.args]):
        _, inner, rest = context.command.resolve_command(context, rest)
        assert inner is not None
        context = inner.make_context(inner.name, rest, parent=context)
    assert context.command is COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)
