"""An image that is written without a builder is one that OCI's layout describes, and always the same."""

import hashlib
import io
import json
import tarfile

from forestall.devcluster.image_archive import write_image


def content(archive, entry):
    file = archive.extractfile(entry)
    assert file
    return file.read()


def test_everything_that_is_named_is_there_under_its_digest(tmp_path):
    program = tmp_path / "pause"
    program.write_bytes(b"a program")
    path = write_image(tmp_path / "image.tar", "forestall.test/pause:1", {"/bin/pause": program}, ["/bin/pause"])
    with tarfile.open(path) as archive:
        files = {entry.name: content(archive, entry) for entry in archive}
    (listed,) = json.loads(files["index.json"])["manifests"]
    assert listed["annotations"] == {"io.containerd.image.name": "forestall.test/pause:1"}

    def blob(descriptor):
        body = files[f"blobs/{descriptor['digest'].replace(':', '/')}"]
        assert f"sha256:{hashlib.sha256(body).hexdigest()}" == descriptor["digest"]
        assert len(body) == descriptor["size"]
        return body

    manifest = json.loads(blob(listed))
    config = json.loads(blob(manifest["config"]))
    assert config["config"]["Entrypoint"] == ["/bin/pause"]
    (layer,) = manifest["layers"]
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    with tarfile.open(fileobj=io.BytesIO(blob(layer))) as tar:
        (entry,) = tar.getmembers()
        assert (entry.name, entry.mode, content(tar, entry)) == ("bin/pause", 0o755, b"a program")
    again = write_image(tmp_path / "again.tar", "forestall.test/pause:1", {"/bin/pause": program}, ["/bin/pause"])
    assert again.read_bytes() == path.read_bytes()
