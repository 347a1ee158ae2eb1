"""The house as its documents describe it: every folder says what lives there, and every path that a document names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = ("catalog", "processors", "agrunet", "flows")
FOLDERS = sorted(path.parent for room in ROOMS for path in (REPOSITORY / room).rglob("__init__.py"))
MODULES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))
DOCUMENTS = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def test_every_folder_of_modules_is_a_package() -> None:
    assert {path.parent for path in MODULES} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS, ids=relative)
def test_a_folder_says_in_one_to_three_sentences_what_lives_there(folder: Path) -> None:
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    assert 1 <= len(re.findall(r"\.(?=\s|$)", text)) <= 3, text
    assert len(tree.body) == 1, "names are imported from the module that holds them"


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_a_module_says_what_it_holds_and_is_short(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 400


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_the_paths_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:{'|'.join(ROOMS)}|tests|infra|docs)/[\w./-]*)`", text))
    links = {link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link}
    missing = [path for path in named if not (REPOSITORY / path).exists()]
    missing += [link for link in links if not (document.parent / link).exists()]
    assert not missing
