"""Makes small faults in the code, one at a time, and says which of them no unit test notices.

A mutant lives in a forked process only: no file is changed. Each runs the tests of its own file, then those of `TESTS`,
until one fails. Those in tests/mutants.txt, each with its reason, are left out. All together take hours: see --sample.
"""

import argparse
import ast
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module, util
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODE = ROOT / "operator" / "forestall"
TESTS = {
    "core/guards": ("core/test_guards.py", "core/test_scheduling.py", "engine"),
    "core/plan": ("core/test_plan.py", "core/test_sizing.py", "engine"),
    "remediation": ("remediation", "engine"),
    "engine": ("engine",),
}
"""Which of tests/unit are to notice what goes wrong in which folder."""
LIMIT = 600
"""A mutant that runs for longer (s) does not end, which somebody would notice."""
SHARED = ("pytest", "numpy", "aiohttp", "structlog", "forestall.api", "forestall.ports")
"""Imported once, before the processes part."""
PAIRS = "Eq NotEq, Lt LtE, Gt GtE, Is IsNot, In NotIn, And Or, Add Sub, Mult Div"
SWAPS = {a: getattr(ast, b) for pair in PAIRS.split(", ") for a, b in (pair.split(), reversed(pair.split()))}


def changes(node: Any) -> Iterator[tuple[str, object, str]]:
    """Yield the fields of a node that become another value, and in which words."""
    text = ast.unparse(node).splitlines()[0][:90] if isinstance(node, (ast.expr, ast.stmt)) else ""
    match node:
        case ast.Compare(ops=[operator]) | ast.BoolOp(op=operator) | ast.BinOp(op=operator):
            if new := SWAPS.get(type(operator).__name__):
                field = "ops" if isinstance(node, ast.Compare) else "op"
                yield field, [new()] if field == "ops" else new(), f"`{text}` with {new.__name__}"
            values = getattr(node, "values", [])
            for index, value in enumerate(values):
                if isinstance(value, ast.Constant) and value.value == isinstance(operator, ast.And):
                    continue  # as in `x or 0.0`: False is the same number
                rest = [*values[:index], ast.Constant(isinstance(operator, ast.And)), *values[index + 1 :]]
                yield "values", rest, f"`{text}` without `{ast.unparse(value)[:60]}`"
        case ast.If(test=test) | ast.IfExp(test=test):
            yield "test", ast.UnaryOp(ast.Not(), test), f"not `{ast.unparse(test)[:90]}`"
        case ast.Constant(value=bool() | int() | float() as value):
            new = not value if isinstance(value, bool) else value + 1
            yield "value", new, f"{new} for {value}"
        case ast.Return(value=value) if value is not None and text not in ("return None", "return False"):
            yield "value", ast.Constant(None), f"`{text}` gives None"
        case ast.Expr(value=ast.Call() | ast.Await()) if "_log." not in text:
            yield "value", ast.Constant(None), f"without `{text}`"


def mutants(file: Path) -> Iterator[tuple[str, CodeType]]:
    """Yield each mutant of a file: its line and what was changed, and the code."""
    tree = ast.parse(file.read_text())
    decorators = {
        id(part) for node in ast.walk(tree) for made in getattr(node, "decorator_list", ()) for part in ast.walk(made)
    }
    decorators |= {
        id(keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and (keyword := node).arg == "strict"
    }
    for node in ast.walk(tree):
        if id(node) in decorators:
            continue  # such as `frozen`, `slots` and the `strict` of zip, which forbid what nobody does
        for field, new, label in changes(node):
            old = getattr(node, field)
            setattr(node, field, new)
            yield f"{getattr(node, 'lineno', 0)}: {label}", compile(ast.fix_missing_locations(tree), file, "exec")
            setattr(node, field, old)


class Loader:
    """Loads the module of a file from other code."""

    def __init__(self, file: Path, code: CodeType) -> None:
        self.name = "forestall." + ".".join(file.relative_to(CODE).with_suffix("").parts)
        self.file, self.code = file, code

    def find_spec(self, name: str, *_: object) -> object:
        loader: Any = self
        return util.spec_from_file_location(name, self.file, loader=loader) if name == self.name else None

    def create_module(self, _: object) -> None: ...

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)  # noqa: S102  # a mutant of our own code


def survives(file: Path, code: CodeType, tests: Sequence[Sequence[str]]) -> bool:
    """Run the tests, one part after the other, with `code` in the place of `file`, in a process of its own."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT)  # pytest-timeout, which would set it anew for each test, is off
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        loader: Any = Loader(file, code)
        sys.meta_path.insert(0, loader)
        main = import_module("pytest").main
        options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=0", "--hypothesis-seed=0"]
        os._exit(any(main([*options, *part]) for part in tests if part))
    return os.waitpid(child, 0)[1] == 0


def tests_of(name: str) -> list[list[str]]:
    """Return what is to notice a fault in a file (its name within the code), its own tests alone first: to collect all
    of a folder takes longer."""
    unit = ROOT / "tests" / "unit"
    folder = next(folder for folder in TESTS if name.startswith(folder))
    return [[*map(str, unit.rglob(f"test_{Path(name).stem}.py"))], [str(unit / part) for part in TESTS[folder]]]


def _without_line(name: str, label: str) -> str:
    """Return how tests/mutants.txt names a mutant."""
    return f"{name}:{label.partition(':')[2]}"


def main() -> int:
    """Try the mutants that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, help="how many mutants are tried; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of the sample; 0 by default")
    parser.add_argument("--only", default="", help="a part of the names of the files; all by default")
    parser.add_argument("--floor", type=float, default=0.0, help="the share that must be noticed; 0 by default")
    given = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(CODE.parent)]
    listed = (ROOT / "tests" / "mutants.txt").read_text().splitlines()
    excused = {line.partition("  #")[0].strip() for line in listed if not line.startswith("#")}
    list(map(import_module, SHARED))
    files = {str(file.relative_to(CODE)): file for file in sorted(CODE.rglob("[!_]*.py"))}
    files = {name: file for name, file in files.items() if name.startswith(tuple(TESTS)) and given.only in name}
    made = [(name, *mutant) for name, file in files.items() for mutant in mutants(file)]
    if not given.only and (stale := excused - {_without_line(name, label) for name, label, _ in made}):
        sys.exit("tests/mutants.txt lists what is no mutant (any more):\n" + "\n".join(sorted(stale)))
    made = [(name, label, code) for name, label, code in made if _without_line(name, label) not in excused]
    chosen = random.Random(given.seed).sample(made, min(given.sample or len(made), len(made)))  # noqa: S311
    names = sorted({name for name, _, _ in chosen})
    tests = sorted({path for name in names for part in tests_of(name) for path in part})
    if names and not survives(files[names[0]], compile(files[names[0]].read_text(), names[0], "exec"), [tests]):
        sys.exit("the tests fail without any mutant")
    lived = 0
    for name, label, code in sorted(chosen, key=lambda mutant: mutant[0]):
        if survives(files[name], code, tests_of(name)):
            lived += 1
            print(f"{name}:{label}", flush=True)
    share = 1 - lived / max(1, len(chosen))
    print(f"{len(chosen) - lived} of {len(chosen)} mutants noticed ({share:.0%}), of {len(made)} that there are")
    return int(share < given.floor)


if __name__ == "__main__":
    sys.exit(main())
