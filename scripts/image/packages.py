"""The dependencies: the packages of the lock, without what no program needs; and of the project's own, the code."""

import csv
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

from scripts.image.debian import PYTHON, NoBuilder

SITE: Final = f"usr/local/lib/python{PYTHON}/dist-packages"
"""Where Debian's Python looks for packages that are not Debian's."""
_PLATFORMS: Final = {"amd64": "x86_64-manylinux_2_40", "arm64": "aarch64-manylinux_2_40"}
_UNUSED: Final = (
    "bin",
    ".lock",
    "**/tests",
    "**/__pycache__",
    *(f"**/*.{suffix}" for suffix in ("pyi", "pyx", "pxd", "h", "hpp", "c", "a", "md", "rst")),
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_cache.json",
    "numpy/f2py",
)
_UNUSED_PACKAGES: Final = ("dateparser", "pytz", "regex", "tzlocal", "markdown-it-py", "mdurl")
"""What dependencies import only in parts of theirs that the operator does not use; a scan finds further ones.
dateparser and the three after it: times as text in prometheus-api-client. markdown-it-py: Markdown in rich."""
_GENERATED: Final = tuple(
    f"kubernetes/{client}/{folder}/*.py" for client in ("client", "aio/client") for folder in ("api", "models")
)
"""A class for each kind and each group of the API, imported when its name is first used. The operator uses none: it
sends and reads plain JSON."""
_KEPT: Final = {"__init__.py", "v1_object_meta.py", "v1_owner_reference.py"}
"""Of those, what Kopf imports."""
OUTSIDE: Final = ("forestall/demo/", "forestall/devcluster/")
"""What needs a checkout, and builds programs: it is not in the image."""


def install(lock: Path, target: Path, architecture: str) -> None:
    """Install the packages of the lock for the image's Python into the empty folder `target`, each by its hash."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise NoBuilder(f"{uv} is not there: `make image` installs it")
    platform = [f"--python-version={PYTHON}", f"--python-platform={_PLATFORMS[architecture]}"]
    exact = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile-bytecode", "--link-mode=copy"]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    command = [str(uv), "pip", "install", "--quiet", "--no-config", "--system-certs", "--target", str(target)]
    command += [*platform, *exact, "-r", str(lock)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoBuilder(f"the packages of {lock.name} could not be installed: {done.stderr.strip()[-800:]}")


def prune(site: Path) -> None:
    """Remove what no program imports."""
    _uninstall(site, _UNUSED_PACKAGES)
    for path in [path for pattern in _UNUSED for path in site.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in [path for pattern in _GENERATED for path in site.glob(pattern)]:
        if path.name not in _KEPT:
            path.unlink()
    for record in site.glob("*.dist-info/RECORD"):
        # What is not there is not named: some of it, such as programs, depends on the folder that it was installed in.
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if (site / next(csv.reader([line]))[0]).exists()))


def keep_only(site: Path, names: Collection[str]) -> None:
    """Remove all packages but those of these names and what they require."""
    installed = {_normal(each.name): each for each in distributions(path=[str(site)])}
    kept: set[str] = set()
    waiting = [_normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in installed and name not in kept:
            kept.add(name)
            waiting += _required(installed[name])
    _uninstall(site, installed.keys() - kept)


def _uninstall(site: Path, names: Collection[str]) -> None:
    for distribution in list(distributions(path=[str(site)])):
        if _normal(distribution.name) in names:
            for file in distribution.files or ():
                Path(str(distribution.locate_file(file))).unlink(missing_ok=True)
    for folder in sorted((path for path in site.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def add_code(wheel: Path, root: Path) -> None:
    """Unpack the project's own wheel, with its programs, into the empty folder `root`."""
    site = root / SITE
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site, [name for name in file.namelist() if not name.startswith(OUTSIDE)])
    (distribution,) = distributions(path=[str(site)])
    for entry in distribution.entry_points.select(group="console_scripts"):
        module, _, function = entry.value.partition(":")
        add_program(root, entry.name, module, function)


def add_program(root: Path, name: str, module: str, function: str) -> None:
    """Add a program that calls a function of a module."""
    program = root / "usr/local/bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        f"#!/usr/bin/python{PYTHON} -P\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
    )
    program.chmod(0o755)


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the project's wheel with the build backend of the developers' environment."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def compile_all(root: Path, folder: str, python: tuple[list[str], dict[str, str]]) -> None:
    """Compile the modules in `folder` of `root`: the image's file system is read-only, so that no start could keep it.

    The compiled files say that the source is not looked at, since all of an image's files are of one time.
    """
    command, environment = python
    options = ["-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"]
    done = subprocess.run(
        [*command, *options, str(root / folder)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"modules could not be compiled: {(done.stdout + done.stderr).strip()[-500:]}")


def _required(distribution: Distribution) -> Iterator[str]:
    """Yield what a package requires without extras, whatever the machine is."""
    for requirement in distribution.requires or ():
        if "extra ==" not in requirement:
            match = re.match(r"[\w.-]+", requirement)
            if match:
                yield _normal(match[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
