"""A docstring names what exists: after a rename, no docstring is left behind (docs/dev/style.md)."""

import ast
import keyword
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "operator" / "forestall"
QUOTED = re.compile(r"`{1,2}([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)(?:\(\))?`{1,2}")
"""A name, or names joined by dots, in backticks."""
FOREIGN = frozenset(
    {
        *("__name__", "_bucket", "unreachable", "cadvisor", "resource"),  # labels, metrics, taints, endpoints
        # PromQL:
        *(
            "absent",
            "by",
            "fill_left",
            "fill_right",
            "group_left",
            "group_right",
            "ignoring",
            "offset",
            "on",
            "without",
        ),
        *("timestamp", "errorType", "infos", "promtool"),  # Prometheus
        *("metadata", "pod", "spec.replicas", "suspend", "Status", "Always", "IntOrString"),  # Kubernetes
        *("metav1.Condition", "metav1.LabelSelector"),
        *("Date", "ca.crt", "ca.key", "page.html"),  # a header, files
        *("datetime", "time.monotonic", "numpy.interp", "Hashable"),  # Python
        *("later", "open", "foreseen", "sli"),  # values of fields
        *("policies", "remediation.forestall.dev"),  # what people write for a kind
        "Linear",  # a model of the Predictive HPA
        *("i", "n", "now"),  # a number of a row, a time
        *keyword.kwlist,
    }
)
"""What is no name of the package's own: words of other programs, of fields and of people."""
CAMEL_CASE = re.compile(r"[a-z]+[A-Z]\w*")
"""Fields of objects in YAML are written so, also those of other programs."""


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield each string that stands alone as a statement: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def spelled(tree: ast.Module) -> set[str]:
    """Return each identifier of a module, and each word of its strings other than docstrings."""
    documentation = {id(node) for node in docstrings(tree)}
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in documentation:
                names.update(re.findall(r"\w+", text))
            case ast.ImportFrom(module=module, names=aliases):
                names.update((module or "").split("."), *((alias.name, alias.asname or "") for alias in aliases))
            case ast.Import(names=aliases):
                names.update(part for alias in aliases for part in alias.name.split("."))
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.add(name)
            case ast.Constant(value=None | True | False):
                names.add(str(node.value))
    return names


def defined(body: list[ast.stmt]) -> set[str]:
    """Return the functions, classes and variables that a module or a class defines."""
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    return names.union(target.id for target in targets if isinstance(target, ast.Name))


def members(tree: ast.Module) -> set[str]:
    """Return what the classes of a module define, and the attributes that they set."""
    stored = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return stored.union(*(defined(node.body) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)))


@cache
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def package_names() -> frozenset[str]:
    """Return what an undotted name may be: what any module defines, a module, a folder, or a reason of the API."""
    paths = {part.removesuffix(".py") for path in modules() for part in path.relative_to(PACKAGE.parent).parts}
    texts = [spelled(tree) for path, tree in modules().items() if path.parent.name == "reasons"]
    reasons = [word for words in texts for word in words if word[:1].isupper()]
    return frozenset(paths.union(reasons, *(defined(tree.body) for tree in modules().values())))


@cache
def package_members() -> frozenset[str]:
    """Return the members of all classes: what may follow a dot."""
    return frozenset[str]().union(*map(members, modules().values()))


def exists(quoted: str, names: AbstractSet[str], attributes: AbstractSet[str]) -> bool:
    first, *rest = quoted.removesuffix(".py").split(".")
    return first in names and all(name in names or name in attributes for name in rest)


def left_behind(tree: ast.Module, package: AbstractSet[str], attributes: AbstractSet[str]) -> list[str]:
    """Return the line and the name of whatever a docstring names that neither the module nor the package has."""
    names = spelled(tree) | package
    return [
        f"{node.lineno} {quoted}"
        for node in docstrings(tree)
        for quoted in QUOTED.findall(str(node.value))
        if quoted not in FOREIGN and not CAMEL_CASE.fullmatch(quoted) and not exists(quoted, names, attributes)
    ]


def test_a_name_left_behind_is_found():
    text = 'def read(text):\n    """Read `text` of `words` by `other.gone`, ``Reader.kept`` and `kept`."""\n'
    assert left_behind(ast.parse(text), {"other", "Reader"}, {"kept"}) == ["2 words", "2 other.gone", "2 kept"]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_docstring_names_what_exists(path):
    assert left_behind(modules()[path], package_names(), package_members()) == []
