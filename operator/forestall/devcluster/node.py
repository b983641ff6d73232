"""One real node: kubelet, kube-proxy and containerd in control groups, namespaces and on a disk of their own."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import psutil

from forestall.devcluster import node_cgroups
from forestall.devcluster.containerd import SOCKET, containerd_files
from forestall.devcluster.kubelet import kubelet_command, kubelet_files, proxy_command
from forestall.devcluster.node_cgroups import Hierarchy
from forestall.devcluster.node_init import PROGRAMS, UP, Specification
from forestall.devcluster.node_network import NodeNetwork, node_address, pod_range, wait_for_network
from forestall.devcluster.processes import end_groups, last_lines
from forestall.devcluster.programs import Programs
from forestall.devcluster.workspace import Workspace
from forestall.errors import CommandFailed, InvalidInput

NODE_PROGRAMS: Final = ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "pause")
PINNED: Final = "io.cri-containerd.pinned"
"""The label of images that are never collected as garbage."""
_UP_S: Final = 120.0
_PATH: Final = f"/{PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACES: Final = ("--mount", "--pid", "--uts", "--ipc", "--net")
_ENTERED: Final = ("--cgroup", "--mount", "--pid", "--uts", "--ipc", "--net", "--root", "--wd=/")


@dataclass(frozen=True, slots=True)
class NodeSize:
    """What a node has, at most."""

    memory_bytes: int = 3 * 2**30
    disk_bytes: int = 4 * 2**30
    housekeeping: str = "10s"
    """How often cAdvisor measures; 10 s is the kubelet's default."""


class Node:
    """A node of a cluster, whose processes belong to `workspace`."""

    def __init__(self, workspace: Workspace, network: NodeNetwork, number: int, size: NodeSize) -> None:
        self.name = f"node-{number}"
        self.number = number
        self.address = node_address(number)
        self._workspace = workspace
        self._network = network
        self._size = size
        self._group = f"{workspace.path.name}-{self.name}"
        self._trees: list[Hierarchy] = node_cgroups.hierarchies()
        self._folder = workspace.path / "nodes" / self.name
        self._pid = 0
        self._services: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def root(self) -> Path:
        """The node's root, as this machine's root may see it."""
        return Path(f"/proc/{self._pid}/root")

    def begin(self, programs: Programs, packages: Path | None) -> None:
        """Start the node's first process; raises CommandFailed when the kernel refuses what it needs."""
        node_cgroups.create(self._group, self._size.memory_bytes, self._trees)
        self._folder.mkdir(parents=True)
        specification = self._folder / "specification.json"
        self._specification(programs, packages).write(specification)
        init = [sys.executable, "-m", "forestall.devcluster.node_init", str(specification)]
        unshare = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--propagation", "private", "--", *init]
        inner = self._joining(node_cgroups.entrances(self._group, self._trees), unshare)
        outer = self._joining(node_cgroups.roots(self._group, self._trees), ["unshare", "--cgroup", "--", *inner])
        self._process = self._workspace.start(self.name, outer)

    def connect(self, nodes: int) -> None:
        """Wait until the node is there, and connect it to the others; raises CommandFailed with its last words."""
        process = self._process
        self._until(lambda: bool(process.poll() is None and psutil.Process(process.pid).children()))
        self._pid = psutil.Process(process.pid).children()[0].pid
        wait_for_network(process, self._pid, self._workspace, self.name)
        self._network.attach(self._pid, self.number, nodes)
        self._until((self.root / UP).exists)

    def start_containerd(self) -> None:
        """Start containerd, and return when it answers."""
        self.start("containerd", ["containerd", "--config", "/etc/containerd/config.toml"])
        self._until((self.root / SOCKET.lstrip("/")).exists, "containerd")

    def start_kubelet(self, housekeeping: str = "") -> None:
        """Start the kubelet, as whoever its kubeconfig names; `housekeeping` instead of that of the node's size."""
        self.start("kubelet", kubelet_command(self.name, self.address, housekeeping or self._size.housekeeping))

    def start_proxy(self) -> None:
        """Start kube-proxy."""
        self.start("kube-proxy", proxy_command(self.name))

    def start(self, service: str, command: Sequence[str]) -> None:
        """Start a process on the node, in the background; `log` has what it prints."""
        self._services[service] = self._workspace.start(f"{self.name}-{service}", self.inside(command))

    def stop(self, service: str) -> None:
        """End what was started under that name: kubelet, kube-proxy or containerd; pods go on."""
        process = self._services.pop(service, None)
        if process is None:
            raise InvalidInput(f"{service} is not running on {self.name}")
        # What entered the node's process numbers is a child of what was started, and ends after it.
        end_groups([process.pid])
        process.wait()

    def ended_service(self) -> str | None:
        """Return which service of the node has ended by itself, and its last words; None while all of them run."""
        for service, process in self._services.items():
            if (status := process.poll()) is not None:
                output = self._workspace.last_words(f"{self.name}-{service}")
                return f"{service} of {self.name} ended with status {status}. Its last words:\n{output}"
        return None

    def log(self, service: str) -> str:
        """Return what a service of the node has printed."""
        return self._workspace.log(f"{self.name}-{service}").read_text(errors="replace")

    def write(self, path: str, text: str) -> None:
        """Write a file on the node, by its path in the node's root."""
        (self.root / path).write_text(text)

    def install(self, program: Path, packages: Path) -> None:
        """Put a program where the node's own are, and lay the files of unpacked packages over the node's root."""
        shutil.copytree(packages, self.root, symlinks=True, dirs_exist_ok=True)
        shutil.copy(program, self.root / PROGRAMS)

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` on the node."""
        enter = ["nsenter", f"--target={self._pid}", *_ENTERED, "--"]
        environment = ["env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8"]
        return self._joining(node_cgroups.entrances(self._group, self._trees), [*enter, *environment, *command])

    def run(self, *command: str, stdin: IO[bytes] | None = None, timeout_s: float = 120) -> str:
        """Run a program on the node to its end and return what it printed; raises CommandFailed when it fails."""
        try:
            done = subprocess.run(
                self.inside(command),
                stdin=stdin or subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"`{' '.join(command)}` on {self.name} was not done after {timeout_s:g} s") from error
        printed, complaint = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        if done.returncode != 0:
            output = last_lines(complaint.strip() or printed.strip())
            raise CommandFailed(f"`{' '.join(command)}` failed on {self.name} with {done.returncode}:\n{output}")
        return printed

    def import_image(self, archive: Path, name: str = "") -> None:
        """Bring the images of an archive (OCI's layout or Docker's) onto the node, `name` for one that has none.

        The kubelet removes none of them when the disk is full, as nothing could bring it back. Raises InvalidInput when
        the archive can't be read, and CommandFailed when containerd can't use it.
        """
        named = [f"--index-name={name}"] if name else []
        images = ["ctr", "--namespace=k8s.io", "images"]
        try:
            file = archive.open("rb")
        except OSError as error:
            raise InvalidInput(f"the image archive {archive} cannot be read: {error.strerror}") from error
        with file:
            try:
                self.run(*images, "import", *named, "-", stdin=file, timeout_s=300)
            except CommandFailed as error:
                why = self.ended_service() or str(error).splitlines()[-1]
                message = f"the image archive {archive} cannot be imported on {self.name}: {why}"
                raise CommandFailed(message) from error
        for image in self.run(*images, "list", "--quiet").split():
            self.run(*images, "label", image, f"{PINNED}=pinned")

    def _specification(self, programs: Programs, packages: Path | None) -> Specification:
        unified = [tree for tree in self._trees if tree.unified]
        return Specification(
            name=self.name,
            address=self.address,
            folder=str(self._folder),
            disk_bytes=self._size.disk_bytes,
            programs={name: str(programs[name].resolve()) for name in NODE_PROGRAMS},
            files={**containerd_files(pod_range(self.number)), **kubelet_files()},
            packages=str(packages) if packages else None,
            trees=tuple((tree.mount.name, tree.options) for tree in self._trees if not tree.unified),
            delegation=tuple(
                (str(tree.mount / self._group / "cgroup.subtree_control"), tree.delegation) for tree in unified
            ),
        )

    @staticmethod
    def _joining(files: Sequence[Path], command: Sequence[str]) -> list[str]:
        """Return the command that joins control groups and becomes `command`."""
        joins = [f"echo $$ > {shlex.quote(str(file))}" for file in files]
        return ["sh", "-ec", "; ".join([*joins, 'exec "$@"']), "sh", *command]

    def _until(self, reached: Callable[[], bool], service: str = "") -> None:
        name = f"{self.name}-{service}" if service else self.name
        process = self._services[service] if service else self._process
        self._workspace.wait_for(process, name, reached, f"{name} did not start", _UP_S)
