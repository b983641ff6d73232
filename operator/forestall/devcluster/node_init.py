"""The first process of a node: ``python -m forestall.devcluster.node_init SPECIFICATION``, in namespaces of its own.

It makes the node's disk and its root, which is the machine's own with a layer over it, moves there, and becomes a
program that only collects what dies. Nothing that it mounts is seen outside, and the kernel removes it all when the
process ends.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

UP: Final = "run/forestall-node-is-up"
"""The file in the node's root that says that everything is in its place."""
PROGRAMS: Final = "usr/local/forestall"
"""The folder in the node's root with the programs that it runs."""
_ON_DISK: Final = ("var/lib/kubelet", "var/lib/containerd", "var/log")
"""Folders that must not lie on an overlay."""
_SETTINGS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
}
"""What the kubelet insists on. These settings are the whole machine's, so the node is only shown them."""


@dataclass(frozen=True)
class Specification:
    """What a node is made of."""

    name: str
    address: str
    folder: str
    """Where the disk's image is, and the empty folders that things are mounted on."""
    disk_bytes: int
    programs: Mapping[str, str]
    files: Mapping[str, str]
    """By path in the node's root, their text."""
    packages: str | None
    """A folder to lay over the machine's root."""
    trees: tuple[tuple[str, str], ...]
    """Where the control groups of version 1 are mounted, as the name of a folder, and by which options."""
    delegation: tuple[tuple[str, str], ...] = field(default=())
    """Files of control groups of version 2 on this machine, and what is written to them."""

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Specification":
        """Return what `write` kept."""
        return cls(**json.loads(path.read_text()))


def main() -> None:
    """Become the first process of the node."""
    node = Specification.read(Path(sys.argv[1]))
    for file, text in node.delegation:
        Path(file).write_text(text)
    folder = Path(node.folder)
    root, disk = folder / "root", folder / "disk"
    _make_disk(folder / "disk.img", disk, node.disk_bytes)
    _make_root(root, disk, node.packages)
    _mount_system(root, node)
    _bind(root, disk, node.programs)
    _write_files(root, node)
    socket.sethostname(node.name)
    _move_into(root)
    Path("/", UP).touch()
    holder = str(Path("/", PROGRAMS, "pause"))
    os.execve(holder, [holder], {})  # noqa: S606 -- it stays the same process


def _make_disk(image: Path, disk: Path, size: int) -> None:
    """Mount a disk of this size, bounded, that takes no more room than is written to it."""
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", image)
    disk.mkdir(parents=True)
    _run("mount", "-o", "loop", image, disk)


def _make_root(root: Path, disk: Path, packages: str | None) -> None:
    """Mount the machine's root with the packages and a writable layer over it.

    The packages are copied: layers of one overlay that lie inside each other are refused.
    """
    lower = ["/"]
    if packages:
        _run("cp", "-a", packages, disk / "packages")
        lower.insert(0, str(disk / "packages"))
    for path in (root, disk / "root" / "upper", disk / "root" / "work"):
        path.mkdir(parents=True)
    layers = f"lowerdir={':'.join(lower)},upperdir={disk}/root/upper,workdir={disk}/root/work"
    _run("mount", "-t", "overlay", "overlay", "-o", layers, root)


def _mount_system(root: Path, node: Specification) -> None:
    groups = root / "sys" / "fs" / "cgroup"
    _run("mount", "-t", "proc", "proc", root / "proc")
    _run("mount", "-t", "sysfs", "sysfs", root / "sys")
    if node.trees:
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", groups)
        for name, options in node.trees:
            (groups / name).mkdir()
            _run("mount", "-t", "cgroup", "-o", options, "cgroup", groups / name)
    else:
        _run("mount", "-t", "cgroup2", "cgroup2", groups)
    _run("mount", "--rbind", "/dev", root / "dev")
    for name in ("run", "tmp"):
        (root / name).mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "tmpfs", root / name)
    for name, value in _SETTINGS.items():
        file = root / "run" / f"sysctl-{Path(name).name}"
        file.write_text(f"{value}\n")
        _run("mount", "--bind", file, root / "proc" / "sys" / name)


def _bind(root: Path, disk: Path, programs: Mapping[str, str]) -> None:
    """Mount the folders that have to lie on the disk itself, and the programs, wherever the machine has them."""
    for name in _ON_DISK:
        for path in (disk / name, root / name):
            path.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", disk / name, root / name)
    folder = root / PROGRAMS
    folder.mkdir(parents=True)
    for name, program in programs.items():
        (folder / name).touch()
        _run("mount", "--bind", program, folder / name)


def _write_files(root: Path, node: Specification) -> None:
    own = {
        "etc/hosts": f"127.0.0.1 localhost\n{node.address} {node.name}\n",
        "etc/machine-id": os.urandom(16).hex() + "\n",
    }
    for name, text in {**own, **node.files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # it may be a link to somewhere on the machine
        path.write_text(text)


def _move_into(root: Path) -> None:
    """Make `root` the root of the node's processes, and forget the machine's mounts."""
    (root / "old").mkdir(exist_ok=True)
    os.chdir(root)
    _run("pivot_root", ".", "old")
    os.chdir("/")
    _run("umount", "--lazy", "/old")
    _run("mount", "--make-rshared", "/")  # as a kubelet expects it


def _run(*command: str | Path) -> None:
    """Run a program; what it says on failure is in the log of the node."""
    argv: Iterable[str] = [str(word) for word in command]
    done = subprocess.run(list(argv), check=False)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(argv)}` failed with status {done.returncode}")


if __name__ == "__main__":
    main()
