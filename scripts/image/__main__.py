"""`python -m scripts.image` makes the images of the operator and of the shop, with a bill of materials for each.

It needs neither a registry nor a container runtime: the base is made of Debian's packages, the rest of the lock and the
code. Where Debian's packages cannot be had, a container runtime builds the Dockerfiles.
"""

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from scripts.image import container, debian, layers, scan
from scripts.image.archive import Image, Layer, write_archive
from scripts.image.debian import USER, NoBuilder
from scripts.image.layers import ROOT, Base, Interpreter
from scripts.image.packages import SITE

SHOP: Final = "example.com/shop:1.0"
"""As its manifest names it."""
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin",
    "HOME": "/tmp",  # noqa: S108 - the only folder that can be written
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",  # one thread, not one for each of the node's cores
}
_RUN: Final[dict[str, dict[str, Any]]] = {
    "forestall": {"Entrypoint": ["/usr/local/bin/forestall"], "Cmd": ["run"]},
    "shop": {
        "Entrypoint": ["/usr/local/bin/shop"],
        "Cmd": ["serve", "--own-pod", "--address=0.0.0.0", "--port=8080"],
    },
}
_ABOUT: Final = {
    "forestall": "Keeps Kubernetes workloads inside their service level objectives by acting before the breach.",
    "shop": "The workload of forestall's examples.",
}
NOT_MADE: Final = 3
"""The exit code where nothing on this machine can make images."""


def main() -> int:
    """Make the images and return the exit code: 1 where one has what it should not have, 3 where none can be made."""
    parser = argparse.ArgumentParser(prog="python -m scripts.image", description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "build", help="the folder of the archives")
    parser.add_argument("--arch", action="append", choices=sorted(debian.TRIPLETS), help="the machine's when not given")
    parser.add_argument("--name", help="the operator's image, such as localhost/forestall:0.1.0")
    parser.add_argument("--source", default=os.environ.get("IMAGE_SOURCE", ""), help="the address of the code")
    parser.add_argument(
        "--layers", choices=["dependencies", "code"], help="make the operator's layers up to this one, and no archive"
    )
    options = parser.parse_args()
    if not options.layers:  # which are made before the code is there
        options.name = options.name or f"localhost/forestall:{_version()}"
    try:
        options.arch = list(dict.fromkeys(options.arch or [debian.native()]))
        return _make(options)
    except NoBuilder as error:
        if options.layers:
            sys.exit(f"image: not made: {error}")
        print(f"image: not of packages: {error}", file=sys.stderr)
    return _by_runtime(options)


def _by_runtime(options: argparse.Namespace) -> int:
    """Build the images from their Dockerfiles, where a container runtime and a registry are at hand."""
    arguments = [f"REVISION={_revision()}", f"CREATED={_as_text(_created())}", f"SOURCE={options.source}"]
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        if options.arch and options.arch != [debian.native()]:
            print("image: not made: a container runtime makes it for its own architecture alone", file=sys.stderr)
            return NOT_MADE
        container.build(options.name, ROOT, options.output / "forestall-image.tar", arguments)
        container.copy("bill", ROOT, options.output, arguments)
        container.build(SHOP, ROOT / "examples" / "shop", options.output / "shop-image.tar", ())
    except NoBuilder as error:
        print(f"image: not made: {error}", file=sys.stderr)
        return NOT_MADE
    return 0


def _make(options: argparse.Namespace) -> int:
    works = {arch: options.output / "image" / arch for arch in [debian.native(), *options.arch]}
    bases = {arch: layers.base(work, arch) for arch, work in works.items()}
    compiler = debian.interpreter(bases[debian.native()].root, debian.native())
    if options.layers == "dependencies":
        for arch in options.arch:
            layers.dependencies(works[arch], arch, compiler)
        return 0
    made: dict[str, dict[str, list[Layer]]] = {"forestall": {}}
    if not options.layers:
        made["shop"] = {}
    for arch in options.arch:
        for name, of_arch in made.items():
            only = layers.SHOP_REQUIRES if name == "shop" else ()
            code = layers.shop_code if name == "shop" else layers.code
            upper = [layers.dependencies(works[arch], arch, compiler, only), code(works[arch], compiler)]
            of_arch[arch] = [bases[arch].layer, *upper]
    wrong = [finding for arch in options.arch for finding in _scanned(works[arch], arch, compiler)]
    for finding in wrong:
        print(f"image: {finding}", file=sys.stderr)
    if options.layers:
        _write_bills(options.output / "forestall-image", ("forestall", ""), made["forestall"], bases)
        return 1 if wrong else 0
    for name, of_arch in made.items():
        _write(name, of_arch, bases, options)
    return 1 if wrong else 0


def _write(name: str, made: dict[str, list[Layer]], bases: dict[str, Base], options: argparse.Namespace) -> None:
    """Write the archive and the bill of one image, and say what it is."""
    began = time.monotonic()
    archive = options.output / f"{name}-image.tar"
    full_name = SHOP if name == "shop" else options.name
    images = [Image(arch, parts, _config(name, options.source), _as_text(_created())) for arch, parts in made.items()]
    digest = write_archive(archive, full_name, images)
    _write_bills(options.output / f"{name}-image", (full_name, digest), made, bases)
    sizes = ", ".join(
        f"{arch} " + " + ".join(f"{part.path.stat().st_size / 1e6:.1f}" for part in parts) + " MB"
        for arch, parts in made.items()
    )
    print(f"{archive}: {full_name}, {digest} ({sizes}; {time.monotonic() - began:.1f} s)")


def _write_bills(target: Path, image: tuple[str, str], made: dict[str, list[Layer]], bases: dict[str, Base]) -> None:
    """Write the bill of an image, given by its name and digest, for each of its architectures."""
    # Of a package that only `make image` installs: tests of other parts do without it.
    from scripts.image.sbom import Subject, bill  # noqa: PLC0415

    for arch, parts in made.items():
        site = parts[1].path.with_suffix("") / SITE
        suffix = "" if len(made) == 1 else f"-{arch}"
        text = bill(Subject(image[0], _version(), image[1], _created()), bases[arch].packages, site)
        target.with_name(f"{target.name}{suffix}.cdx.json").write_text(text)


def _scanned(work: Path, architecture: str, python: Interpreter) -> list[str]:
    """Return what is wrong with the operator's image. Only the machine's own architecture can be tried."""
    roots = [work / part for part in ("base", "dependencies", "code")]
    wrong = [finding for root in roots for finding in scan.findings(root)]
    if architecture == debian.native():
        command, environment = python
        path = ":".join(str(root / SITE) for root in roots[1:])
        files = scan.imported("forestall", command, {**environment, "PYTHONPATH": path})
        wrong += [
            f"no module of the package {name} is imported" for name in scan.never_imported(roots[1] / SITE, files)
        ]
    return wrong


def _config(name: str, source: str) -> dict[str, Any]:
    labels = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.description": _ABOUT[name],
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": _version(),
        "org.opencontainers.image.revision": _revision(),
        "org.opencontainers.image.created": _as_text(_created()),
        "org.opencontainers.image.source": source,
    }
    return {
        "User": f"{USER}:{USER}",
        "Env": [f"{key}={value}" for key, value in _ENVIRONMENT.items()],
        "WorkingDir": "/tmp",  # noqa: S108 - the only folder that can be written
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {key: value for key, value in labels.items() if value},
        **_RUN[name],
    }


def _version() -> str:
    line = (ROOT / "operator" / "forestall" / "__init__.py").read_text()
    return line.partition('__version__ = "')[2].partition('"')[0]


def _revision() -> str:
    return os.environ.get("IMAGE_REVISION") or _git("rev-parse", "HEAD")


def _created() -> datetime:
    """Return the time of the commit: building it again later does not make another image."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct") or "0"
    return datetime.fromtimestamp(int(seconds), UTC)


def _as_text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
