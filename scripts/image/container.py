"""Where Debian's packages cannot be had: the images by a container runtime, from the Dockerfiles and a registry."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.image.debian import NoBuilder


def runtime() -> str:
    """Return the container runtime that works on this machine. Raises NoBuilder when none does."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return "docker"
    if shutil.which("buildah"):
        return "buildah"
    raise NoBuilder("neither a Docker daemon nor buildah is here")


def build(name: str, context: Path, archive: Path, arguments: Sequence[str]) -> None:
    """Build the image `name` from the Dockerfile in `context` and write it as an archive. Raises NoBuilder."""
    program = runtime()
    given = [option for argument in arguments for option in ("--build-arg", argument)]
    archive.unlink(missing_ok=True)
    if program == "docker":
        _run([program, "build", "--tag", name, *given, str(context)])
        _run([program, "save", "--output", str(archive), name])
    else:
        _run([program, "build", "--layers", "--format", "oci", "--tag", name, *given, str(context)])
        _run([program, "push", name, f"oci-archive:{archive}:{name}"])


def copy(stage: str, context: Path, folder: Path, arguments: Sequence[str]) -> None:
    """Copy the files of a stage of the Dockerfile in `context` to `folder`. Raises NoBuilder."""
    given = [option for argument in arguments for option in ("--build-arg", argument)]
    to = ["--output", f"type=local,dest={folder}"] if runtime() == "docker" else ["--layers", "--output", str(folder)]
    _run([runtime(), "build", "--target", stage, *to, *given, str(context)])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoBuilder(f"`{' '.join(command[:2])}` failed: {done.stderr.strip()[-800:]}")
