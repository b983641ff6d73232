"""Programs of the machine's own PATH, where their version fits: what is there need not be built."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from forestall.devcluster.processes import run
from forestall.errors import CommandFailed, MissingTool

PATH_VARIABLE: Final = "FORESTALL_USE_PATH"
"""The environment variable that forbids it, as ``0`` or ``no``."""
_FORBIDDEN: Final = ("0", "no", "off", "false")
_ASK_S: Final = 20.0
_VERSION: Final = re.compile(r"^(?:.*?\bversion:? |Kubernetes )?v?(\d+)\.(\d+)\b", re.IGNORECASE | re.MULTILINE)
"""Only where a program says its own version: it may tell that of Go, too."""
_ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "kubectl": ("version", "--client"),
    "helm": ("version", "--short"),
}
"""How a program is asked for its version; all others are asked by ``--version``."""

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fit:
    """Which versions of a program do as well as the one that is pinned."""

    max_minor_skew: int = 0
    """So many minor versions lower or higher than the pinned one."""
    least: Version | None = None
    """Where it is given: any from this one on, below `below`."""
    below: Version | None = None

    def allows(self, version: Version, pinned: Version) -> bool:
        """Say whether a version does."""
        if self.least is not None:
            return self.least <= version and (self.below is None or version < self.below)
        return version[0] == pinned[0] and abs(version[1] - pinned[1]) <= self.max_minor_skew

    def within(self, major: int) -> "Fit":
        """Return the part of it that has this major version."""
        if self.least is None:
            return self
        return replace(self, least=max(self.least, (major, 0)), below=min(self.below or (major + 1, 0), (major + 1, 0)))

    def describe(self, pinned: Version) -> str:
        """Return which versions do, for people."""
        if self.least is not None:
            end = f", below {_dotted(self.below)}" if self.below else ""
            return f"{_dotted(self.least)} or later{end}"
        if self.max_minor_skew:
            return f"{pinned[0]}.{pinned[1] - self.max_minor_skew} to {pinned[0]}.{pinned[1] + self.max_minor_skew}"
        return _dotted(pinned)


_EXACT: Final = Fit()
_FITS: Final[Mapping[str, Fit]] = {
    "kubectl": Fit(max_minor_skew=1),  # as Kubernetes promises it
    "helm": Fit(least=(3, 14), below=(5, 0)),
    "prometheus": Fit(least=(2, 53)),
}
"""By program; of the others the minor version has to be just the pinned one."""


def on_path(name: str, pinned: str, *, closely: bool = False) -> tuple[Path | None, str]:
    """Return the program called `name` from the PATH where its version fits, and a sentence about it.

    `pinned` is the version that would be built, such as ``v1.36.3``; `closely`: the major version has to be just that.
    The sentence is empty where there is none, or
    where the PATH may not be used.
    """
    path = shutil.which(name)
    if path is None or os.environ.get(PATH_VARIABLE, "").strip().lower() in _FORBIDDEN:
        return None, ""
    version, wanted = _version(Path(path), name), _pinned(name, pinned)
    fit = _FITS.get(name, _EXACT).within(wanted[0]) if closely else _FITS.get(name, _EXACT)
    if version is None:
        return None, f"{name}: {path} does not say its version, so it is not used"
    if not fit.allows(version, wanted):
        return None, f"{name}: {path} is {_dotted(version)}, and {fit.describe(wanted)} is needed"
    return Path(path), f"{name} {_dotted(version)} from the PATH: {path}"


def _version(program: Path, name: str) -> Version | None:
    try:
        completed = run([program, *_ASKED.get(name, ("--version",))], timeout_s=_ASK_S)
    except (CommandFailed, MissingTool):
        return None
    match = _VERSION.search(completed.stdout) or _VERSION.search(completed.stderr)
    return (int(match[1]), int(match[2])) if match else None


def _pinned(name: str, version: str) -> Version:
    """Return a module's version as the program says it: Prometheus's module v0.313.0 is Prometheus 3.13."""
    major, minor = (int(part) for part in version.removeprefix("v").split(".")[:2])
    return (minor // 100, minor % 100) if name == "prometheus" and major == 0 else (major, minor)


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
