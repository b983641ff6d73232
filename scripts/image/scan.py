"""What should not be in an image: programs with others' rights, paths that all may write to, shells, dead packages."""

import json
import stat
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

SHELLS: Final = {
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "busybox",
    "perl",
    "apt",
    "apt-get",
    "dpkg",
    "pip",
    "pip3",
    "su",
    "sudo",
}
WRITABLE: Final = {"tmp"}
"""The only folder that all may write to; its content is of the pod's volume."""
DATA: Final = {"tzdata"}
"""Packages that are read and never imported."""
_IMPORTS: Final = """
import importlib, json, pkgutil, sys
import {package}
for module in pkgutil.walk_packages({package}.__path__, "{package}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps(sorted(getattr(module, "__file__", None) or "" for module in list(sys.modules.values()))))
"""


def findings(root: Path) -> Iterator[str]:
    """Yield what is wrong with the files in `root`, a sentence for each."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        if mode & (stat.S_ISUID | stat.S_ISGID):
            yield f"/{name} runs with the rights of its owner"
        if mode & stat.S_IWOTH and name not in WRITABLE:
            yield f"/{name} can be written by everybody"
        if path.is_file() and mode & 0o111 and path.name in SHELLS:
            yield f"/{name} is a shell or installs packages"


def imported(package: str, command: list[str], environment: Mapping[str, str]) -> set[Path]:
    """Return the files of all modules that come in when each module of `package` is imported by a Python."""
    done = subprocess.run(
        [*command, "-c", _IMPORTS.format(package=package)],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"{package} can't be imported in the image: {done.stderr.strip()[-1500:]}")
    return {Path(name) for name in json.loads(done.stdout) if name}


def never_imported(site: Path, files: set[Path]) -> list[str]:
    """Return the names of the packages in `site` of which no module is among `files`."""
    names = []
    for distribution in distributions(path=[str(site)]):
        own = {
            Path(str(distribution.locate_file(file)))
            for file in distribution.files or ()
            if file.suffix in {".py", ".so"}
        }
        if own and not own & files and distribution.name not in DATA:
            names.append(distribution.name)
    return sorted(names)
