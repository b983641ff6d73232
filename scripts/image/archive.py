"""OCI archives: files become layers, layers become images. The same files give the same digest."""

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

EPOCH: Final = 0
"""The time of every file, in seconds since the epoch: when something was unpacked is nobody's business."""
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as a tar file, not compressed: what compresses differs from machine to machine, a digest must not."""

    path: Path
    digest: str
    """Such as `sha256:…`."""
    comment: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image for one architecture. `config` is how it is run: Entrypoint, User, Env, …"""

    architecture: str
    layers: Sequence[Layer]
    config: Mapping[str, Any]
    created: str
    """RFC 3339."""


def write_layer(folder: Path, target: Path, comment: str) -> Layer:
    """Write the files of `folder` as a layer: in order, all of root and of one time.

    No file keeps a setuid bit or an extended attribute.
    """
    with target.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in _ordered(folder):
            info = tar.gettarinfo(path, path.relative_to(folder).as_posix())
            if not (info.isfile() or info.isdir() or info.issym() or info.islnk()):
                raise ValueError(f"{path} is neither a file nor a folder nor a link")
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = EPOCH
            info.mode = 0o777 if info.issym() else _mode(info.mode, folder=info.isdir())
            if (
                info.islnk()
            ):  # a second name of a file that is in the layer already: keep it simple, and the bytes twice
                info.type, info.size = tarfile.REGTYPE, path.stat().st_size
            if info.isfile():
                with path.open("rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)
    return Layer(target, digest_of(target), comment)


def settle(folder: Path) -> None:
    """Give all files in `folder` the time and the rights that they have in a layer, for who copies them from there."""
    for path in [*_ordered(folder), folder]:
        if not path.is_symlink():
            path.chmod(_mode(path.stat().st_mode, folder=path.is_dir()))
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def read_layer(target: Path, comment: str) -> Layer:
    """Return a layer that was written before."""
    return Layer(target, digest_of(target), comment)


def digest_of(path: Path) -> str:
    """Return the digest of a file as OCI writes it."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def write_archive(target: Path, name: str, images: Sequence[Image]) -> str:
    """Write images of one name, one for each architecture, as an OCI archive, and return the digest to pull them by.

    `docker load`, `ctr images import`, `skopeo copy oci-archive:…` and `kind load image-archive` take it.
    """
    blobs: dict[str, bytes | Path] = {}
    manifests = [_manifest(image, blobs) for image in images]
    if len(manifests) == 1:
        top = manifests[0]
    else:
        top = _add(blobs, _as_json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}), _INDEX)
    names = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [{**top, "annotations": names}]}
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        _put(tar, "oci-layout", _as_json({"imageLayoutVersion": "1.0.0"}))
        _put(tar, "index.json", _as_json(index))
        if len(images) == 1:  # what Docker before version 25 looks for; it knows no index
            _put(tar, "manifest.json", _as_json([_for_docker(name, images[0], blobs[manifests[0]["digest"]])]))
        for digest in sorted(blobs):
            _put(tar, _blob(digest), blobs[digest])
    return str(top["digest"])


def _manifest(image: Image, blobs: dict[str, bytes | Path]) -> dict[str, Any]:
    config = {
        "created": image.created,
        "architecture": image.architecture,
        "os": "linux",
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in image.layers]},
        "history": [{"created": image.created, "created_by": layer.comment} for layer in image.layers],
    }
    layers = []
    for layer in image.layers:
        blobs[layer.digest] = layer.path
        layers.append({"mediaType": _LAYER, "digest": layer.digest, "size": layer.path.stat().st_size})
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _add(blobs, _as_json(config), _CONFIG),
        "layers": layers,
        "annotations": dict(image.config.get("Labels", {})),
    }
    described = _add(blobs, _as_json(manifest), _MANIFEST)
    return {**described, "platform": {"architecture": image.architecture, "os": "linux"}}


def _for_docker(name: str, image: Image, manifest: bytes | Path) -> dict[str, Any]:
    assert isinstance(manifest, bytes)  # noqa: S101 - only layers are files
    config = json.loads(manifest)["config"]["digest"]
    return {"Config": _blob(config), "RepoTags": [name], "Layers": [_blob(layer.digest) for layer in image.layers]}


def _add(blobs: dict[str, bytes | Path], content: bytes, media_type: str) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blobs[digest] = content
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _as_json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _put(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mtime, info.mode = EPOCH, 0o644
    opened: IO[bytes] = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
    with opened as file:
        info.size = len(content) if isinstance(content, bytes) else content.stat().st_size
        tar.addfile(info, file)


def _ordered(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder, each folder before what is in it."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _ordered(path)


def _mode(mode: int, *, folder: bool) -> int:
    """Return rights that do not depend on who unpacked the file: all may read, programs may be run, root may write."""
    if folder:
        return 0o1777 if mode & stat.S_ISVTX else 0o755
    return 0o755 if mode & 0o111 else 0o644
