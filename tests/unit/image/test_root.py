"""The built image, entered as the kubelet would: as 65532, with an empty environment and a read-only file system."""

import json

import pytest
from tests.support.image_root import ImageRoot, why_not

from forestall import __version__
from forestall.cli.app import COMMANDS

ALL_OF_IT = """
import contextlib, glob, importlib, io, os, pkgutil, ssl, sys, zoneinfo
for file in glob.glob(f"/usr/lib/python3.{sys.version_info[1]}/lib-dynload/*.so"):
    importlib.import_module(os.path.basename(file).split(".")[0])
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 100
zoneinfo.ZoneInfo("Europe/Paris")
import forestall, forestall.__main__
for module in pkgutil.walk_packages(forestall.__path__, "forestall."):
    importlib.import_module(module.name) if not module.name.endswith("__main__") else None
for command in sys.argv[1:]:
    sys.argv = ["forestall", command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            forestall.__main__.main()
        except SystemExit as end:
            assert not end.code, command
    assert f"Usage: forestall {command}" in said.getvalue()
print("all of it")
"""


@pytest.fixture(scope="module")
def image(root, tmp_path_factory):
    archive = root / "build" / "forestall-image.tar"
    if reason := why_not(archive):
        pytest.skip(reason)
    return ImageRoot(archive, tmp_path_factory.mktemp("image"))


def test_it_is_small_and_a_change_of_the_code_sends_little(image):
    sizes = [size / 1e6 for _, size in image.layers]
    assert len(sizes) == 3
    assert sum(sizes) <= 200
    assert sizes[-1] <= 6


def test_it_says_whose_it_is(image):
    labels = image.config["config"]["Labels"]
    names = {name.removeprefix("org.opencontainers.image.") for name in labels}
    assert {"title", "description", "licenses", "version", "created"} <= names
    assert labels["org.opencontainers.image.version"] == __version__
    assert "forestall:x:65532:65532:" in (image.folder / "etc/passwd").read_text()
    assert image.config["config"]["User"] == "65532:65532"


def test_every_module_and_every_command_is_there(image):
    """The kind: something that was taken for unused and removed. The standard library's own modules load, too."""
    done = image.run("/usr/bin/python3", "-c", ALL_OF_IT, *COMMANDS)
    assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stderr


def test_run_says_what_it_lacks_and_demo_that_it_is_elsewhere(image):
    done = image.run("forestall", "run", "--help")
    assert done.returncode == 0
    assert "Usage: forestall run" in done.stdout
    alone = image.run("forestall", "run", user="12345:12345")
    assert alone.returncode == 1
    assert alone.stderr.startswith("error: no kubeconfig at /tmp/.kube/config")
    demo = image.run("forestall", "demo")
    assert demo.returncode == 1
    assert "not part of this installation" in demo.stderr
    assert "Traceback" not in demo.stderr


def test_it_works_out_and_draws(image, tmp_path):
    """What needs NumPy, YAML and the tables: not only what imports."""
    tmp_path.chmod(0o755)
    manifest = {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "MetricSource",
        "metadata": {"name": "default"},
        "spec": {"url": "http://prometheus.monitoring:9090"},
    }
    (tmp_path / "source.yaml").write_text(json.dumps(manifest))
    (tmp_path / "traffic.csv").write_text("time,rate\n" + "".join(f"{60 * n},{20 + n % 60}\n" for n in range(200)))
    for words in (
        ("validate", "-f", "/tmp/shared/source.yaml"),
        ("simulate", "--traffic", "/tmp/shared/traffic.csv", "--capacity", "20", "--start-up", "3m"),
        ("crds",),
    ):
        done = image.run("forestall", *words, shared=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_nothing_can_be_written_but_in_tmp(image):
    code = "open('/tmp/x', 'w').close()\nfor name in ('/x', '/etc/x', '/usr/local/bin/x', '/var/x'):\n"
    code += "    try: open(name, 'w')\n    except OSError as error: print(error.strerror)\n"
    done = image.run("/usr/bin/python3", "-c", code, user="0:0")
    assert done.stdout.splitlines() == ["Read-only file system"] * 4, done.stderr


def test_the_bill_names_what_is_in_it(image, root):
    bill = json.loads((root / "build" / "forestall-image.cdx.json").read_text())
    named = {component["purl"].split("@")[0] for component in bill["components"]}
    assert {"pkg:pypi/kopf", "pkg:pypi/numpy", "pkg:deb/debian/libc6"} <= named
    records = [path.name for path in (image.folder / "usr/local/lib/python3.13/dist-packages").glob("*.dist-info")]
    # forestall itself is what the bill is about.
    assert len([name for name in named if name.startswith("pkg:pypi/")]) == len(records) - 1
