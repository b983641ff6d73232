"""What a machine must have for real nodes, and what this one lacks of it, in words."""

import ctypes
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Final

from forestall.devcluster import node_cgroups
from forestall.errors import MissingTool

_PROGRAMS: Final = (
    *("sh", "unshare", "nsenter", "mount", "umount", "pivot_root", "mkfs.ext4", "losetup"),
    *("ip", "openssl"),
)
_CAPABILITIES: Final = {
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_CHROOT": 18,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_MKNOD": 27,
}
"""By name, the number of the bit in the kernel's set."""
_FREE_BYTES: Final = 2 * 2**30
_INOTIFY_NODE: Final = 8
_INOTIFY_CONTROL_PLANE: Final = 6
_UID_MAP: Final = Path("/proc/self/uid_map")


def lacking(folder: Path, nodes: int) -> list[str]:
    """Return what keeps this machine from running so many nodes in `folder`: a phrase for each, none when it can."""
    if platform.system() != "Linux":
        return ["a Linux kernel"]
    if os.geteuid() != 0:
        return ["root, as by sudo: a node makes mounts, namespaces and control groups"]
    if not _owns_machine():
        return ["root of the machine itself: this is root in a user namespace, as in a rootless container"]
    return [
        *(f"the program {name}" for name in _PROGRAMS if not shutil.which(name)),
        *_capabilities(),
        *_control_groups(),
        *_kernel(),
        *_watches(nodes),
        *_disk(folder, nodes),
    ]


def check_machine(folder: Path, nodes: int) -> None:
    """Raise MissingTool with all that keeps this machine from running so many nodes in `folder`."""
    if missing := lacking(folder, nodes):
        raise MissingTool(f"real nodes cannot run on this machine: it lacks {'; '.join(missing)}")


def _owns_machine(uid_map: Path = _UID_MAP) -> bool:
    """Say whether root is that of the first user namespace: no other may mount a disk."""
    return not uid_map.exists() or uid_map.read_text().split() == ["0", "0", str(2**32 - 1)]


def _capabilities() -> list[str]:
    capabilities = int(_status("CapEff") or "0", 16)
    return [f"the capability {name}" for name, bit in _CAPABILITIES.items() if not capabilities >> bit & 1]


def _status(field: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{field}:")), "")


def _control_groups() -> list[str]:
    trees = node_cgroups.hierarchies()
    if not trees:
        return ["mounted control groups, of version 1 or 2"]
    missing = [f"control groups for {name}" for name in node_cgroups.missing_controllers(trees)]
    read_only = [f"a writable {tree.mount}" for tree in trees if not os.access(tree.mount, os.W_OK)]
    occupied = [
        f"an empty control group at {tree.mount}: it has processes of its own, and so can't control groups inside it. "
        "Move them into a group of theirs, or start the container with the control groups of the machine"
        for tree in trees
        if node_cgroups.is_occupied(tree)
    ]
    return [*missing, *(read_only or occupied)]


def _kernel() -> list[str]:
    """Say what the kernel lacks: found out by trying, since what is a module may be loaded by its first use."""
    missing = []
    if "overlay" not in Path("/proc/filesystems").read_text():
        missing.append("the filesystem overlay in the kernel")
    if not _works("losetup", "--find"):
        missing.append(
            "a free loop device: load the module loop, or give the container /dev/loop-control and /dev/loop*"
        )
    if not _works("unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "true"):
        missing.append("namespaces that may be made")
    elif not _works("unshare", "--net", "ip", "link", "add", "pair0", "type", "veth", "peer", "name", "pair1"):
        missing.append("virtual network devices (veth) in the kernel")
    elif not _works("unshare", "--net", "ip", "link", "add", "bridge0", "type", "bridge"):
        missing.append("network bridges in the kernel")
    return missing


def _watches(nodes: int) -> list[str]:
    """Say whether too few inotify instances are left, as beside other clusters, where a kubelet was seen to end."""
    needed = _INOTIFY_CONTROL_PLANE + nodes * _INOTIFY_NODE
    available = _free_inotify(needed)
    if available >= needed:
        return []
    return [f"{needed} inotify instances, of which {available} are free: sysctl fs.inotify.max_user_instances=1024"]


def _free_inotify(needed: int) -> int:
    """Return how many inotify instances can be had, at most as many as are needed."""
    library = ctypes.CDLL(None)
    handles: list[int] = []
    try:
        while len(handles) < needed and (handle := library.inotify_init1(os.O_CLOEXEC)) >= 0:
            handles.append(handle)
        return len(handles)
    finally:
        for handle in handles:
            os.close(handle)


def _disk(folder: Path, nodes: int) -> list[str]:
    needed, free = nodes * _FREE_BYTES, shutil.disk_usage(folder).free
    if free >= needed:
        return []
    left = f"{free / 2**30:.1f} GiB left: free some, or set TMPDIR to a folder on a larger disk"
    return [f"{needed / 2**30:.0f} GiB of disk for {folder}, which has {left}"]


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
