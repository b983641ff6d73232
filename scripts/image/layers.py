"""The layers of the images, each made anew only when what it is made of has changed."""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.image import debian, packages
from scripts.image.archive import Layer, read_layer, settle, write_layer
from scripts.image.debian import NoBuilder, Package

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "constraints" / "runtime.txt"
SHOP: Final = ROOT / "examples" / "shop" / "shop"
SHOP_REQUIRES: Final = ("aiohttp", "prometheus-client")
_FRESH_S: Final = 86_400.0
"""How long (s) downloaded packages of the base are taken as the newest."""

Interpreter = tuple[list[str], dict[str, str]]
"""A command that runs Python, and its environment."""


@dataclass(frozen=True, slots=True)
class Base:
    """The base for one architecture: its files, its layer, and whose packages they are."""

    root: Path
    layer: Layer
    packages: Sequence[Package]


def base(work: Path, architecture: str) -> Base:
    """Make the layer with Python and its libraries. Raises NoBuilder."""
    folder, root = work / "apt", work / "base"
    stamp = _digest(Path(debian.__file__).read_bytes())
    made = work / "base.json"
    known = json.loads(made.read_text()) if made.exists() else {}
    current = known.get("stamp") == stamp and (work / "base.tar").exists() and root.is_dir()
    if current and time.time() - known["at"] < _FRESH_S:
        return _base(work)
    debian.check()
    try:
        shutil.rmtree(folder / "packages", ignore_errors=True)
        downloaded = debian.download(architecture, folder)
    except NoBuilder as error:
        if not current:
            raise
        print(f"image: the base stays as it is: {error}", file=sys.stderr)
        return _base(work)
    listed = [[each.name, each.version, each.architecture, each.digest] for each in downloaded]
    if not current or known["packages"] != listed:
        _empty(root)
        debian.unpack(downloaded, root, architecture)
        native = debian.native()
        compiler = debian.interpreter(root if architecture == native else work.parent / native / "base", native)
        packages.compile_all(root, f"usr/lib/python{debian.PYTHON}", compiler)
        settle(root)
        write_layer(root, work / "base.tar", "")
    made.write_text(json.dumps({"stamp": stamp, "at": time.time(), "packages": listed}))
    return _base(work)


def dependencies(work: Path, architecture: str, compiler: Interpreter, only: Sequence[str] = ()) -> Layer:
    """Make the layer with the packages of the lock, or with those that `only` requires. Raises NoBuilder."""
    name = "-".join(["dependencies", *only])
    root = work / name
    made_of = [LOCK.read_bytes(), Path(packages.__file__).read_bytes(), (work / "base.json").read_bytes()[:80]]

    def make() -> None:
        packages.install(LOCK, root / packages.SITE, architecture)
        if only:
            packages.keep_only(root / packages.SITE, only)
        packages.prune(root / packages.SITE)
        packages.compile_all(root, packages.SITE, compiler)

    return _made(root, made_of, make, f"dependencies: {', '.join(only) or LOCK.relative_to(ROOT)}")


def code(work: Path, compiler: Interpreter) -> Layer:
    """Make the layer with the project's own code."""
    root = work / "code"
    sources = sorted(path for path in (ROOT / "operator").rglob("*") if path.is_file() and path.suffix != ".pyc")
    made_of = [
        f"{path}".encode() + path.read_bytes() for path in [*sources, ROOT / "pyproject.toml", ROOT / "README.md"]
    ]

    def make() -> None:
        packages.add_code(packages.build_wheel(ROOT, work / "wheel"), root)
        packages.compile_all(root, packages.SITE, compiler)

    return _made(root, [*made_of, Path(packages.__file__).read_bytes()], make, "code: forestall")


def shop_code(work: Path, compiler: Interpreter) -> Layer:
    """Make the layer with the shop of the examples."""
    root = work / "shop"
    made_of = [path.read_bytes() for path in sorted(SHOP.glob("*.py"))]

    def make() -> None:
        shutil.copytree(SHOP, root / packages.SITE / "shop", ignore=shutil.ignore_patterns("__pycache__"))
        packages.add_program(root, "shop", "shop.__main__", "main")
        packages.compile_all(root, packages.SITE, compiler)

    return _made(root, [*made_of, Path(packages.__file__).read_bytes()], make, "code: shop")


def _base(work: Path) -> Base:
    listed = json.loads((work / "base.json").read_text())["packages"]
    comment = f"base: Python {debian.PYTHON} and its libraries, of Debian {debian.SUITE}"
    return Base(work / "base", read_layer(work / "base.tar", comment), [Package(*each) for each in listed])


def _made(root: Path, made_of: Sequence[bytes], make: Callable[[], None], comment: str) -> Layer:
    """Make the layer of the folder `root` by calling `make`, unless it is there and was made of the same."""
    stamp, tar = root.with_suffix(".stamp"), root.with_suffix(".tar")
    digest = _digest(*made_of)
    if not (tar.exists() and root.is_dir() and stamp.exists() and stamp.read_text() == digest):
        stamp.unlink(missing_ok=True)
        _empty(root)
        make()
        settle(root)
        write_layer(root, tar, comment)
        stamp.write_text(digest)
    return read_layer(tar, comment)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
