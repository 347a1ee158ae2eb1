"""What MkDocs is helped with: the page of commands, made from their own help, and links to files that are not on the site."""

from __future__ import annotations

import re

import typer
import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click

from flows.commands.main import app

_OUTSIDE = re.compile(
    r"\[`?([^\]`]+)`?\]\((?:\.\./)+(?:README\.md|(?:agrunet|catalog|flows|infra|processors|tests)/)[^)]*\)"
)
"""A link to a file of the checkout: on the site it is a name."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of commands; MkDocs calls this when it has listed the folder."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="cropline", title="Commands")
    files.append(File.generated(config, "reference/commands.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names them
    """Leave of links that lead out of the site what they are called."""
    return _OUTSIDE.sub(r"`\1`", markdown)
