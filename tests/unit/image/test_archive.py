"""The OCI archives: the same files give the same digest, whoever unpacked them; what is referred to is there."""

import hashlib
import json
import os
import tarfile

import pytest
from scripts.image.archive import Image, settle, write_archive, write_layer


def tree(folder, *, reverse=False, umask=0o022, mtime=1):
    """The same files, made in one order or the other, at some time, by somebody with some mask."""
    files = {"usr/bin/program": 0o755, "etc/passwd": 0o644, "tmp/.keep": 0o600}
    before = os.umask(umask)
    try:
        for name in sorted(files, reverse=reverse):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            path.chmod(files[name] & ~umask)
            os.utime(path, (mtime, mtime))
    finally:
        os.umask(before)
    (folder / "tmp").chmod(0o1777)
    (folder / "bin").symlink_to("usr/bin")
    return folder


def test_a_layer_depends_on_its_files_alone(tmp_path):
    first = write_layer(tree(tmp_path / "a"), tmp_path / "a.tar", "")
    second = write_layer(tree(tmp_path / "b", reverse=True, umask=0o077, mtime=10**9), tmp_path / "b.tar", "")
    assert first.digest == second.digest
    (tmp_path / "b" / "etc" / "passwd").write_text("other")
    assert write_layer(tmp_path / "b", tmp_path / "b.tar", "").digest != first.digest


def test_files_are_of_root_and_run_with_nobody_s_rights(tmp_path):
    folder = tree(tmp_path / "a")
    (folder / "usr/bin/program").chmod(0o6777)
    os.link(folder / "usr/bin/program", folder / "usr/bin/same")
    layer = write_layer(folder, tmp_path / "a.tar", "")
    with tarfile.open(layer.path) as tar:
        members = {member.name: member for member in tar}
        assert content(tar, "usr/bin/same") == b"usr/bin/program"
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members.values()} == {(0, 0, "", 0)}
    modes = {name: oct(members[name].mode) for name in ("usr/bin/program", "etc/passwd", "tmp", "usr")}
    assert modes == {"usr/bin/program": "0o755", "etc/passwd": "0o644", "tmp": "0o1777", "usr": "0o755"}
    assert members["bin"].linkname == "usr/bin"


def test_files_that_are_copied_elsewhere_are_as_in_the_layer(tmp_path):
    """A container runtime copies the folders that the layers are made of: twice the same must be the same there too."""
    folder = tree(tmp_path / "a", umask=0o077, mtime=10**9)
    settle(folder)
    states = {path.relative_to(folder).as_posix(): path.lstat() for path in folder.rglob("*")}
    assert {state.st_mtime for state in states.values()} == {0}
    modes = {name: oct(states[name].st_mode & 0o7777) for name in ("usr/bin/program", "etc/passwd", "tmp", "usr")}
    assert modes == {"usr/bin/program": "0o755", "etc/passwd": "0o644", "tmp": "0o1777", "usr": "0o755"}


def test_what_is_neither_file_nor_folder_nor_link_is_refused(tmp_path):
    folder = tree(tmp_path / "a")
    os.mkfifo(folder / "pipe")
    with pytest.raises(ValueError, match="pipe is neither a file nor a folder nor a link"):
        write_layer(folder, tmp_path / "a.tar", "")


def content(tar, name):
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def blobs(archive):
    """What is in an archive, by digest; each blob is what its name says."""
    with tarfile.open(archive) as tar:
        files = {name: content(tar, name) for name in tar.getnames()}
    found = {}
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
            found[name.removeprefix("blobs/").replace("/", ":")] = data
    return files, found


def follow(found, descriptor):
    """The JSON that a descriptor points to."""
    data = found[descriptor["digest"]]
    assert len(data) == descriptor["size"]
    return json.loads(data)


@pytest.fixture
def layer(tmp_path):
    return write_layer(tree(tmp_path / "a"), tmp_path / "a.tar", "files")


def image(layer, architecture="amd64"):
    config = {"User": "65532:65532", "Labels": {"org.opencontainers.image.version": "1"}}
    return Image(architecture, [layer], config, "2026-01-01T00:00:00Z")


def test_an_archive_holds_the_image_and_all_that_it_refers_to(tmp_path, layer):
    digest = write_archive(tmp_path / "image.tar", "localhost/program:1", [image(layer)])
    files, found = blobs(tmp_path / "image.tar")
    (top,) = json.loads(files["index.json"])["manifests"]
    assert top["digest"] == digest
    assert top["annotations"]["io.containerd.image.name"] == "localhost/program:1"
    manifest = follow(found, top)
    config = follow(found, manifest["config"])
    assert [each["digest"] for each in manifest["layers"]] == config["rootfs"]["diff_ids"] == [layer.digest]
    assert config["config"]["User"] == "65532:65532"
    assert manifest["annotations"] == {"org.opencontainers.image.version": "1"}
    (for_docker,) = json.loads(files["manifest.json"])
    assert for_docker["RepoTags"] == ["localhost/program:1"]
    assert {for_docker["Config"], *for_docker["Layers"]} <= files.keys()


def test_an_image_for_two_architectures_is_one_index(tmp_path, layer):
    digest = write_archive(tmp_path / "image.tar", "localhost/program:1", [image(layer), image(layer, "arm64")])
    files, found = blobs(tmp_path / "image.tar")
    (top,) = json.loads(files["index.json"])["manifests"]
    assert top["digest"] == digest
    inner = follow(found, top)["manifests"]
    assert [each["platform"]["architecture"] for each in inner] == ["amd64", "arm64"]
    assert [follow(found, follow(found, each)["config"])["architecture"] for each in inner] == ["amd64", "arm64"]
    assert "manifest.json" not in files


def test_the_same_images_make_the_same_archive(tmp_path, layer):
    for name in ("a", "b"):
        write_archive(tmp_path / f"{name}.oci", "localhost/program:1", [image(layer)])
    assert (tmp_path / "a.oci").read_bytes() == (tmp_path / "b.oci").read_bytes()
