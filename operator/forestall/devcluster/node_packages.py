"""What a node takes from the distribution: runc, the plugins of the pods' network, iptables.

Where they are installed, the node sees them, as it sees all of the machine's files. Elsewhere Debian's packages are
fetched by apt-get and unpacked into the cache; nothing is installed.
"""

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from forestall.devcluster.processes import run
from forestall.devcluster.programs import cache_folder
from forestall.devcluster.progress import Steps
from forestall.errors import CommandFailed, MissingTool

NODE_PACKAGES: Final = ("runc", "containernetworking-plugins", "iptables")
PLUGIN_FOLDERS: Final = ("/usr/lib/cni", "/opt/cni/bin")
_PLUGINS: Final = ("bridge", "host-local", "loopback", "portmap")
_PROGRAMS: Final = ("runc", "iptables", "iptables-save", "iptables-restore")
_FETCH_S: Final = 300.0


def find_packages() -> Path | None:
    """Return the folder to lay over the machine's root, None where all is installed; raises what `unpacked` raises."""
    plugins = any(all((Path(folder) / name).exists() for name in _PLUGINS) for folder in PLUGIN_FOLDERS)
    if plugins and all(shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") for name in _PROGRAMS):
        return None
    return unpacked(NODE_PACKAGES)


def unpacked(packages: Sequence[str]) -> Path:
    """Return the folder with the files of these packages, and of those they need and the machine does not have.

    Raises MissingTool, saying what to install, where they cannot be fetched.
    """
    release = Path("/etc/os-release")
    description = f"{release.read_text() if release.exists() else ''} {platform.machine()} {sorted(packages)}"
    folder = cache_folder() / "packages" / hashlib.sha256(description.encode()).hexdigest()[:12]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            Steps().step(f"Fetching {', '.join(packages)}"),
            tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as unfinished,
        ):
            _fetch(packages, Path(unfinished))
            target = Path(unfinished) / "root"
            for package in Path(unfinished).glob("*.deb"):
                run(["dpkg-deb", "--extract", package, target])
            _arrange(target)
            if not folder.exists():
                target.rename(folder)
    return folder


def _fetch(packages: Sequence[str], folder: Path) -> None:
    """Put the packages into `folder`; where the machine has no lists of packages, they are fetched into it first."""
    reason = f"real nodes need {', '.join(packages)}"
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise MissingTool(f"{reason}, which are not installed; they are fetched only where apt-get and dpkg-deb are")
    (folder / "partial").mkdir()
    settings = [f"Dir::Cache::archives={folder}", "Debug::NoLocking=1", "APT::Sandbox::User=root"]
    install = ["install", "--download-only", "--no-install-recommends", "--reinstall", "--yes", "--quiet"]
    try:
        try:
            _apt(settings, [*install, *packages])
        except CommandFailed:
            (folder / "lists" / "partial").mkdir(parents=True)
            settings.append(f"Dir::State::lists={folder / 'lists'}")
            _apt(settings, ["update", "--quiet"])
            _apt(settings, [*install, *packages])
    except CommandFailed as error:
        raise MissingTool(f"{reason}, which are not installed, and apt-get cannot fetch them. {error}") from error


def _apt(settings: Sequence[str], arguments: Sequence[str]) -> None:
    options = [word for setting in settings for word in ("-o", setting)]
    run(["apt-get", *options, *arguments], env={"DEBIAN_FRONTEND": "noninteractive"}, timeout_s=_FETCH_S)


def _arrange(root: Path) -> None:
    """Make of the unpacked files what installing would have made of them, as far as a node needs it."""
    for name in ("bin", "sbin", "lib", "lib64"):  # links into usr on the machine, which a folder would hide
        if (root / name).is_dir():
            shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / name)
    shutil.rmtree(root / "usr" / "share", ignore_errors=True)
    programs = root / "usr" / "sbin"
    for name in ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"):
        behind = name.replace("tables", "tables-nft")
        if (programs / behind).exists() and not (programs / name).exists():
            (programs / name).symlink_to(behind)
