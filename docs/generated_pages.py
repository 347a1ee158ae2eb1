"""Pages that are made from the program itself when the site is built, so that they can't fall behind it."""

from __future__ import annotations

import json
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click

from flows.commands.main import app
from flows.request import MapRequest
from flows.settings import PREFIX, Settings


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; MkDocs calls this when it has listed the folder."""
    for name, text in {"request": request(), "commands": commands(), "settings": settings()}.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def request() -> str:
    """The fields of a request."""
    return "\n".join(
        [
            "# Requests",
            "",
            "A request is a JSON object; only `area` and `year` are required. Each field is a parameter of the deployment "
            "`crop-map/request`, too.",
            "",
            *_table(MapRequest, "field", str),
        ]
    )


def settings() -> str:
    """The environment variables of an installation."""
    heads = ["# Settings", "", "Environment variables, read when a command or a run starts.", ""]
    return "\n".join([*heads, *_table(Settings, "variable", lambda name: PREFIX + name.upper())])


def commands() -> str:
    """The help of each command."""
    command = typer.main.get_command(app)
    return str(get_docs_for_click(obj=command, ctx=typer.Context(command), name="cropline", title="Commands"))


def _table(model: type[BaseModel], head: str, name_of: Any) -> list[str]:
    rows = [f"| {head} | meaning | default |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "" if field.default is PydanticUndefined or field.default is None else _shown(field.default)
        rows.append(f"| `{name_of(name)}` | {_cell(field.description or '')} | {default} |")
    return rows


def _shown(default: Any) -> str:
    return "" if isinstance(default, BaseModel) else f"`{json.dumps(default, default=str)}`"


def _cell(text: str) -> str:
    """A text that neither ends a cell nor is markup."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
