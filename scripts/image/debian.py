"""The base: Python and the libraries that it needs, from Debian's packages; no shell, no package manager."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.image.archive import digest_of

SUITE: Final = "trixie"
PYTHON: Final = "3.13"
"""The Python of that suite."""
PACKAGES: Final = (
    "base-files",  # /etc/os-release, by which scanners know whose packages these are
    "ca-certificates",
    "libc6",
    "libgcc-s1",
    "libstdc++6",  # NumPy
    "libbz2-1.0",
    "libexpat1",
    "libffi8",
    "liblzma5",
    "libssl3t64",
    "libuuid1",
    "libzstd1",  # libcrypto
    "zlib1g",
    f"libpython{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    f"python{PYTHON}-minimal",
)
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
USER: Final = 65532
_PASSWD: Final = (
    "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    f"forestall:x:{USER}:{USER}:forestall:/tmp:/usr/sbin/nologin\n"
)  # fmt: skip
_GROUP: Final = f"root:x:0:\nforestall:x:{USER}:\n"
_UNUSED: Final = (
    "boot", "home", "srv", "media", "mnt", "opt", "root", "var/backups", "var/spool", "var/mail", "var/opt",
    "var/tmp", "var/lock", "var/run", "var/local", "etc/profile.d", "etc/skel", "etc/update-motd.d", "etc/default",
    "etc/dpkg", "etc/issue", "etc/issue.net", "etc/rpc", "etc/ca-certificates", f"etc/python{PYTHON}",
    f"usr/lib/python{PYTHON}/sitecustomize.py", "usr/lib/valgrind", "usr/share/man", "usr/share/info",
    "usr/share/lintian", "usr/share/gdb", "usr/share/base-files", "usr/share/common-licenses", "usr/share/binfmts",
    "usr/share/apport", "usr/share/ca-certificates", "usr/share/bug", "usr/share/menu", "usr/share/dict",
    "usr/share/misc", "usr/games", "usr/include", "usr/local", "usr/src",
)  # fmt: skip
_UNUSED_GLOBS: Final = (
    "usr/lib/*/gconv",  # conversions of the C library; Python has its own
    "usr/lib/*/audit",
    f"usr/lib/python{PYTHON}/config-*",
    # Modules whose libraries are not here, and what only the interpreter's own tests use.
    *(
        f"usr/lib/python{PYTHON}/lib-dynload/{name}*.so"
        for name in (
            "readline",
            "_curses",
            "_dbm",
            "_gdbm",
            "_sqlite3",
            "_tkinter",
            "_test",
            "_xx",
            "xx",
            "_ctypes_test",
        )
    ),
    *(
        f"usr/lib/python{PYTHON}/{name}"
        for name in ("sqlite3", "curses", "idlelib", "tkinter", "turtledemo", "turtle.py")
    ),
    *(f"usr/lib/python{PYTHON}/{name}" for name in ("ensurepip", "test", "venv")),
)
TRIPLETS: Final = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


class NoBuilder(Exception):
    """Nothing on this machine can make the image; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package that was downloaded."""

    name: str
    version: str
    architecture: str
    digest: str
    path: Path = Path()


def native() -> str:
    """Return the architecture of this machine, as Debian names it. Raises NoBuilder where it is none of the images'."""
    machine = platform.machine()
    name = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(machine)
    if name is None:
        raise NoBuilder(f"no image is made for {machine}")
    return name


def check() -> None:
    """Raise NoBuilder where Debian's packages cannot be had."""
    missing = [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]
    if missing:
        raise NoBuilder(f"{' and '.join(missing)} is not on this machine: it is no Debian")
    if not KEYRING.exists():
        raise NoBuilder(f"{KEYRING} is not on this machine: the package debian-archive-keyring brings it")
    if not _archives():
        raise NoBuilder("the machine's package sources name no archive of Debian")


def download(architecture: str, folder: Path) -> Sequence[Package]:
    """Bring the newest packages of the suite into `folder`, checked against the archive's signature.

    Nothing of the machine's own package management is changed; no rights are needed.
    """
    environment = _configured(architecture, folder)
    _run(["apt-get", "-qq", "update"], environment, folder)
    files = folder / "packages"
    files.mkdir(exist_ok=True)
    _run(["apt-get", "-qq", "download", *PACKAGES], environment, files)
    return sorted((_described(path) for path in files.glob("*.deb")), key=lambda package: package.name)


def unpack(packages: Sequence[Package], root: Path, architecture: str) -> None:
    """Make the base of an image in the empty folder `root`."""
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package.path, root], check=True)
        record = root / "var/lib/dpkg/status.d" / package.name
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_bytes(_output(["dpkg-deb", "-f", str(package.path)]))
    _certificates(root)
    _prune(root)
    for path in (root / "usr/bin").iterdir():
        if path.name != f"python{PYTHON}":
            path.unlink()
    (root / "usr/bin/python3").symlink_to(f"python{PYTHON}")
    for name, content in (("passwd", _PASSWD), ("group", _GROUP), ("nsswitch.conf", "hosts: files dns\n")):
        (root / "etc" / name).write_text(content)
    for name in ("proc", "sys", "dev", "run"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    if not (root / "usr/lib" / TRIPLETS[architecture] / "libc.so.6").exists():
        raise ValueError(f"the packages are not for {architecture}")


def interpreter(root: Path, architecture: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment that run the base's Python where it lies, without root's rights."""
    loader = next((root / "usr").glob("lib*/ld-linux-*.so.*"), None) or next(
        (root / "usr/lib").rglob("ld-linux-*.so.*")
    )
    libraries = root / "usr/lib" / TRIPLETS[architecture]
    command = [str(loader), "--library-path", str(libraries), str(root / "usr/bin" / f"python{PYTHON}")]
    # What it compiles for itself must not get into the image: it names the folders of this machine.
    clean = {"PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    return command, {"PYTHONHOME": str(root / "usr"), **clean}


def _archives() -> list[str]:
    """Return the lines of a sources.list for the suite, from the archives that the machine is set up with."""
    codename = next(
        (
            line.partition("=")[2].strip('"')
            for line in Path("/etc/os-release").read_text().splitlines()
            if line.startswith("VERSION_CODENAME=")
        ),
        "",
    )
    listed = _output(
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    ).decode()
    lines = []
    for entry in dict.fromkeys(listed.splitlines()):
        address, _, release = entry.partition(" ")
        if codename and release in {codename, f"{codename}-updates", f"{codename}-security"}:
            lines.append(f"deb [signed-by={KEYRING}] {address} {release.replace(codename, SUITE)} main")
    return lines if "ID=debian" in Path("/etc/os-release").read_text().splitlines() else []


def _configured(architecture: str, folder: Path) -> dict[str, str]:
    """Write a configuration of apt of its own, and return the environment that makes apt use it."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("\n".join(_archives()) + "\n")
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Etc::SourceList": str(folder / "sources.list"),
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": str(folder),
        "Dir::State::Lists": str(folder / "lists"),
        "Dir::State::status": "/dev/null",
        "Dir::Cache": str(folder / "cache"),
    }
    (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    return {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"}


def _described(path: Path) -> Package:
    fields = _output(["dpkg-deb", "-f", str(path), "Package", "Version", "Architecture"]).decode()
    values = dict(line.split(": ", 1) for line in fields.splitlines())
    return Package(values["Package"], values["Version"], values["Architecture"], digest_of(path), path)


def _certificates(root: Path) -> None:
    """Do what the package's own script does: one file of all certificates, where OpenSSL looks for it."""
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    sources = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle.write_text("".join(source.read_text().rstrip("\n") + "\n" for source in sources))
    defaults = root / "usr/lib/ssl"
    defaults.mkdir(exist_ok=True)
    (defaults / "certs").symlink_to("/etc/ssl/certs")
    (defaults / "cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")


def _prune(root: Path) -> None:
    for path in _unneeded(root):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _unneeded(root: Path) -> Iterator[Path]:
    yield from (root / name for name in _UNUSED if (root / name).exists() or (root / name).is_symlink())
    for pattern in _UNUSED_GLOBS:
        yield from root.glob(pattern)
    # Of the documentation, only under which terms a package is.
    yield from (path for path in root.glob("usr/share/doc/*/*") if path.name != "copyright")


def _run(command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoBuilder(f"`{' '.join(command[:3])}` failed: {done.stderr.strip()[-500:]}")


def _output(command: Sequence[str]) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout
