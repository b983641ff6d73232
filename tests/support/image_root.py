"""The files of an image as a root file system, in which a program runs as the kubelet would start it."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

_ENTER = """
set -e
root=$1; user=$2; shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
if [ -n "$SHARED" ]; then mkdir "$root/tmp/shared"; mount --bind "$SHARED" "$root/tmp/shared"; fi
exec env -i PATH=/usr/local/bin:/usr/bin HOME=/tmp "$CHROOT" --userspec="$user" "$root" "$@"
"""


class ImageRoot:
    """An image's files in a folder. `shared`: a folder of this machine that the image sees as /tmp/shared."""

    def __init__(self, archive: Path, folder: Path) -> None:
        """Unpack the only image of an OCI archive, layer by layer."""
        self.folder = folder
        folder.chmod(0o755)
        with tarfile.open(archive) as tar:
            self.manifest = _blob(tar, _json(tar, "index.json")["manifests"][0]["digest"])
            if "manifests" in self.manifest:  # an index in the index, as container runtimes write them
                self.manifest = _blob(tar, self.manifest["manifests"][0]["digest"])
            self.config = _blob(tar, self.manifest["config"]["digest"])
            self.layers = [(layer["digest"], layer["size"]) for layer in self.manifest["layers"]]
            for digest, _ in self.layers:
                with tarfile.open(fileobj=_opened(tar, f"blobs/{digest.replace(':', '/')}"), mode="r|*") as layer:
                    layer.extractall(folder, filter="fully_trusted")

    def command(
        self, *words: str, user: str = "65532:65532", shared: Path | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """Return what runs `words` in the image, read-only but for /tmp, as `user`: the command and its environment."""
        apart = ["unshare", "--mount", "--propagation", "private"]
        environment = {"PATH": os.environ["PATH"], "SHARED": str(shared or ""), "CHROOT": shutil.which("chroot") or ""}
        return [*apart, "sh", "-c", _ENTER, "sh", str(self.folder), user, *words], environment

    def run(
        self, *words: str, user: str = "65532:65532", shared: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command `words` in the image, and return its result."""
        command, environment = self.command(*words, user=user, shared=shared)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def why_not(archive: Path) -> str:
    """Return why programs of an archived image can't run here, or an empty text."""
    if not archive.exists():
        return f"{archive.name} is not there: `make image` makes it"
    tools: Sequence[str] = ("unshare", "chroot", "sh")
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in tools):
        return "entering an image takes root, unshare and chroot"
    apart = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    return "" if apart.returncode == 0 else "this machine gives no mount namespace"


def _json(tar: tarfile.TarFile, name: str) -> Any:
    return json.load(_opened(tar, name))


def _blob(tar: tarfile.TarFile, digest: str) -> Any:
    return _json(tar, f"blobs/{digest.replace(':', '/')}")


def _opened(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is no file"
    return file
