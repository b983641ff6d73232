"""The programs of the control plane: where they are, or how to build them from their Go modules.

They are looked for in the folder that the environment variable FORESTALL_PROGRAMS names, else in the user's cache and
on the PATH, and what is missing is built once, into the cache. The folder ``modules`` beside this file pins each module
and everything it needs.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forestall.devcluster.estimate import Estimate, left
from forestall.devcluster.on_path import on_path
from forestall.devcluster.processes import last_lines, run
from forestall.devcluster.progress import ProgressStep, Steps
from forestall.devcluster.toolchain import find_go
from forestall.errors import CommandFailed, MissingTool

FOLDER_VARIABLE = "FORESTALL_PROGRAMS"

_PINS = Path(__file__).parent / "modules"
_TOOLCHAIN_PINS = _PINS / "toolchain.txt"
_FREE_BYTES_NEEDED = 10 * 2**30
"""What the sources and Go's cache of compiled packages take, roughly, when nothing is there yet."""


@dataclass(frozen=True)
class Module:
    """A Go module, and the programs that are built from it."""

    name: str
    path: str
    programs: Mapping[str, str]
    """The name of each program, and the package that it is built from."""
    costs: Mapping[str, float]
    """About how many seconds of CPU time each takes to build, after those before it."""
    stamps: tuple[str, ...] = ()
    """Variables that take the module's version when a program is linked, with ``{version}`` and ``{minor}``."""
    tags: str = ""

    @property
    def pins(self) -> tuple[Path, Path]:
        """The files that pin this module and what it needs."""
        return _PINS / self.name / "go.mod", _PINS / self.name / "go.sum"

    @property
    def code(self) -> Path:
        """The folder with the source of programs that are the project's own; it is hardly ever there."""
        return _PINS / self.name / "cmd"

    @property
    def version(self) -> str:
        """The pinned version, such as ``v1.36.3``."""
        required = (line.split() for line in self.pins[0].read_text().splitlines())
        return next(fields[1] for fields in required if fields[:1] == [self.path])

    @property
    def flags(self) -> tuple[str, ...]:
        """What `go build` is told."""
        minor = self.version.split(".")[1]
        stamps = [f"-X {stamp.format(version=self.version, minor=minor)}" for stamp in self.stamps]
        return ("-trimpath", "-tags", self.tags, "-ldflags", " ".join(["-s", "-w", *stamps]))

    def folder(self, cache: Path) -> Path:
        """Return where the programs of exactly these pins, for this kind of machine, are kept."""
        key = hashlib.sha256(f"{self.flags} {platform.system()} {platform.machine()}".encode())
        for file in (*self.pins, *sorted(self.code.rglob("*.go"))):
            key.update(file.read_bytes())
        return cache / "programs" / f"{self.name}-{self.version}-{key.hexdigest()[:12]}"


_GO = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
_KUBERNETES_VERSION = "k8s.io/component-base/version"
_KUBERNETES_STAMPS = (
    _KUBERNETES_VERSION + ".gitVersion={version}",
    _KUBERNETES_VERSION + ".gitMajor=1",
    _KUBERNETES_VERSION + ".gitMinor={minor}",
)

MODULES = (
    Module(
        "kubernetes",
        "k8s.io/kubernetes",
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        },
        {"kube-apiserver": 540, "kube-controller-manager": 270, "kube-scheduler": 70, "kubectl": 80},
        stamps=_KUBERNETES_STAMPS,
    ),
    Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}, {"etcd": 90}),
    Module(
        "kwok",
        "sigs.k8s.io/kwok",
        {"kwok": "sigs.k8s.io/kwok/cmd/kwok", "kwokctl": "sigs.k8s.io/kwok/cmd/kwokctl"},
        {"kwok": 190, "kwokctl": 50},
    ),
    Module(
        "prometheus",
        "github.com/prometheus/prometheus",
        {"prometheus": "github.com/prometheus/prometheus/cmd/prometheus"},
        {"prometheus": 300},
        tags="remove_all_sd,enable_kubernetes_sd",  # without the clients of every cloud it builds in half the time
    ),
    Module("helm", "helm.sh/helm/v4", {"helm": "helm.sh/helm/v4/cmd/helm"}, {"helm": 360}),
)

OPTIONAL = (
    Module(
        "keda",
        "github.com/kedacore/keda/v2",
        {f"keda-{name}": f"github.com/kedacore/keda/v2/cmd/{name}" for name in ("operator", "adapter")},
        {"keda-operator": 300, "keda-adapter": 60},
    ),
    Module(
        "kubernetes",
        "k8s.io/kubernetes",
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kubelet", "kube-proxy")},
        {"kubelet": 50, "kube-proxy": 20},
        stamps=_KUBERNETES_STAMPS,
    ),
    Module(
        "containerd",
        "github.com/containerd/containerd/v2",
        {
            **{
                name: f"github.com/containerd/containerd/v2/cmd/{name}"
                for name in ("containerd", "containerd-shim-runc-v2", "ctr")
            },
            "pause": "./cmd/pause",
        },
        {"containerd": 160, "containerd-shim-runc-v2": 3, "ctr": 10, "pause": 1},
        tags="no_btrfs,no_devmapper,no_zfs,no_aufs",
    ),
    Module("coredns", "github.com/coredns/coredns", {"coredns": "./cmd/coredns"}, {"coredns": 180}),
    Module(
        "metrics-server",
        "sigs.k8s.io/metrics-server",
        {"metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server"},
        {"metrics-server": 270},
    ),
    Module(
        "kube-router",
        "github.com/cloudnativelabs/kube-router/v2",
        {"network-policy": "./cmd/network-policy"},
        {"network-policy": 110},
    ),
)
"""Programs that are only there when they are asked for by name."""


class Programs:
    """Where each program is."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)

    def __getitem__(self, name: str) -> Path:
        return self._paths[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)


def find_programs(names: Iterable[str] | None = None, steps: Steps | None = None, *, closely: bool = False) -> Programs:
    """Return the programs called `names` (all, when left out), building those that are nowhere yet.

    One that is on the PATH in a version that fits is taken from there, unless it has been built already; `closely`:
    only one of the pinned major version. Building them all takes minutes and happens once; what is done is kept when it
    is interrupted. Raises MissingTool when something that is needed is not here, and CommandFailed when a build fails;
    both say what to do.
    """
    modules_by_program = {name: module for module in (*MODULES, *OPTIONAL) for name in module.programs}
    wanted = {
        name: modules_by_program[name] for name in (names or (name for module in MODULES for name in module.programs))
    }
    if folder := os.environ.get(FOLDER_VARIABLE):
        return _in_folder(Path(folder).expanduser().resolve(), wanted)
    cache = cache_folder()
    paths = {name: module.folder(cache) / name for name, module in wanted.items()}
    steps = steps or Steps()
    for name in [name for name, path in paths.items() if not path.exists()]:
        found_path, message = on_path(name, wanted[name].version, closely=closely)
        if message:
            steps.say(message)
        if found_path is not None:
            paths[name] = found_path
    if not all(path.exists() for path in paths.values()):
        with _only_one(cache, steps):
            _build(wanted, paths, cache, steps)
    return Programs(paths)


def sources(name: str, steps: Steps | None = None) -> Path:
    """Return the folder with the sources of the module called `name`; raises what `find_programs` raises."""
    module = next(candidate for candidate in (*MODULES, *OPTIONAL) if candidate.name == name)
    go = find_go(_go_version_needed([module]), _TOOLCHAIN_PINS, cache_folder(), steps or Steps())
    downloaded = run([go, "mod", "download", "-json", f"{module.path}@{module.version}"], env=_GO, timeout_s=300)
    return Path(json.loads(downloaded.stdout)["Dir"])


def cache_folder() -> Path:
    """Return the folder for what is made once and used again, as the XDG base directory specification says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forestall"


def _in_folder(folder: Path, wanted: Iterable[str]) -> Programs:
    paths = {name: folder / name for name in wanted}
    if missing := [name for name, path in paths.items() if not os.access(path, os.X_OK)]:
        raise MissingTool(
            f"{FOLDER_VARIABLE} names the folder {folder}, which does not hold {', '.join(missing)}. "
            f"Put them there, or unset {FOLDER_VARIABLE} to have them built."
        )
    return Programs(paths)


def _build(wanted: Mapping[str, Module], paths: Mapping[str, Path], cache: Path, steps: Steps) -> None:
    """Build what is still missing, one program after the other."""
    missing = [name for name in wanted if not paths[name].exists()]
    if not missing:
        return  # another process built them while this one waited
    free = shutil.disk_usage(cache).free
    if free < _FREE_BYTES_NEEDED and len(missing) == len(wanted):
        raise MissingTool(
            f"building the control plane's programs needs about {_FREE_BYTES_NEEDED / 2**30:.0f} GiB, and the disk of "
            f"{cache} has {free / 2**30:.1f} GiB left. Make room, or set XDG_CACHE_HOME, GOCACHE and GOMODCACHE to "
            f"folders on another disk, or {FOLDER_VARIABLE} to a folder that holds the programs."
        )
    go = find_go(_go_version_needed(wanted[name] for name in missing), _TOOLCHAIN_PINS, cache, steps)
    estimate = Estimate({name: wanted[name].costs[name] for name in missing})
    steps.say(f"{len(missing)} to build, once on this machine: {left(estimate.left())}, as busy as it is now")
    for number, name in enumerate(missing, start=1):
        module = wanted[name]
        estimate.begin(name)
        with steps.step(f"Building {name} {module.version}: {number} of {len(missing)}") as step:
            step.left = lambda: left(estimate.left())
            _build_one(go, module, name, paths[name], step)


def _build_one(go: Path, module: Module, name: str, path: Path, step: ProgressStep) -> None:
    """Build one program into `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{name}")
    for pin in module.pins:  # where the package is installed may be read-only
        shutil.copyfile(pin, path.with_name(pin.name))
    if module.code.exists():
        shutil.copytree(module.code, path.with_name(module.code.name), dirs_exist_ok=True)
    command = [str(go), "build", "-v", *module.flags, "-o", str(unfinished), module.programs[name]]
    environment = {**os.environ, **_GO}
    printed: list[str] = []
    with subprocess.Popen(
        command, cwd=path.parent, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            for line in process.stderr or ():
                printed.append(line)
                step.detail = line.strip()
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise CommandFailed(_why("".join(printed), name))
    unfinished.replace(path)


def _why(printed: str, name: str) -> str:
    """Return what a person can do about a build that failed and `printed` this."""
    advice = (
        (
            r"no space left on device",
            "The disk is full: make room, or set GOCACHE and GOMODCACHE to folders elsewhere.",
        ),
        (
            r"dial tcp|i/o timeout|no such host|connection refused|proxyconnect|TLS handshake|module lookup disabled",
            "Its Go modules cannot be fetched: check the network, or set GOPROXY to a module proxy that you can reach.",
        ),
        (r"signal: killed|cannot allocate memory", "The machine ran out of memory."),
    )
    hints = [hint for pattern, hint in advice if re.search(pattern, printed)]
    other = f"Programs that were built elsewhere can be used, too: set {FOLDER_VARIABLE} to the folder that holds them."
    return "\n".join([f"{name} could not be built. {' '.join(hints)}", last_lines(printed), other])


def _go_version_needed(modules: Iterable[Module]) -> str:
    """Return the newest version of Go that one of the modules asks for."""
    versions = [re.search(r"^go (\S+)", module.pins[0].read_text(), re.MULTILINE) for module in modules]
    return max(
        (match[1] for match in versions if match), key=lambda version: [int(part) for part in version.split(".")]
    )


@contextmanager
def _only_one(cache: Path, steps: Steps) -> Iterator[None]:
    """Keep other processes from building into `cache` while the body runs; waits while another one does."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with steps.step("Waiting for another process that is building the programs"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
