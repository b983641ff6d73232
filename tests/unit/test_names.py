"""Names say what they name, a class name stands once, and the glossary agrees with the code (docs/dev/style.md)."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "forestall"
GLOSSARY = ROOT / "docs" / "dev" / "glossary.md"
VAGUE = frozenset(
    {
        *(
            "one",
            "ones",
            "each",
            "found",
            "told",
            "known",
            "some",
            "place",
            "places",
            "words",
            "others",
            "thing",
            "things",
        ),
        *(
            "it",
            "this",
            "that",
            "these",
            "those",
            "what",
            "who",
            "whom",
            "whose",
            "which",
            "where",
            "there",
            "here",
            "so",
        ),
        *("said", "asked", "seen", "held", "kept", "made", "taken", "gone", "rest", "given", "about", "more", "most"),
        *("many", "few", "both", "every", "same", "way", "ways", "whole", "apart", "together", "everything", "nothing"),
        *("something", "anything", "somebody", "nobody", "everybody", "another", "neither", "either"),
    }
)
"""Pronouns and the like: a name of these says nothing about what it names."""


def bound(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each parameter, variable, attribute and function that is bound."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def test_a_vague_name_is_found_wherever_it_is_bound():
    text = "def told(each):\n    found = [some for some in each]\n    each.known = lambda place: place\n"
    assert {name for _, name in bound(ast.parse(text))} & VAGUE == {"told", "each", "found", "some", "known", "place"}


def test_names_say_what_they_name():
    files = [*PACKAGE.rglob("*.py")]
    assert files
    vague = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in files
        for line, name in bound(ast.parse(path.read_text(encoding="utf-8")))
        if name.strip("_") in VAGUE
    ]
    assert vague == []


def test_a_public_class_name_stands_once():
    """A search for a class finds one meaning."""
    files: dict[str, list[str]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                files[node.name].append(str(path.relative_to(PACKAGE)))
    assert files
    assert {name: paths for name, paths in files.items() if len(paths) > 1} == {}


def rows() -> list[list[str]]:
    """Return the cells of each line of the glossary."""
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_glossary_names_code_that_exists(row):
    word, meaning, code, *_ = row
    assert word
    assert meaning
    names = re.findall(r"`([^`]+)`", code)
    paths = [PACKAGE / name for name in names if "/" in name]
    assert [str(path) for path in paths if not path.exists()] == []
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    text = "\n".join(f"{file.name} {file.read_text(encoding='utf-8')}" for file in files)
    assert [name for name in names if "/" not in name and paths and name.split(".")[0] not in text] == []


def test_the_glossary_is_in_alphabetical_order():
    terms = [row[0].lower() for row in rows()]
    assert len(terms) > 40
    assert terms == sorted(terms)
