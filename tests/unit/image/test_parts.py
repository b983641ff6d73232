"""What goes into the image and what does not, and that its two ways of being made agree."""

import re
import sys

import pytest
import yaml
from scripts.image import packages, scan
from scripts.image.__main__ import _ABOUT, _ENVIRONMENT, _RUN, SHOP
from scripts.image.debian import PYTHON, USER


def make(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_scan_names_what_should_not_be_there(tmp_path):
    """The kind: what lets somebody in a container become more than it is, or bring in more."""
    make(tmp_path, dict.fromkeys(["usr/bin/su", "usr/bin/python3", "bin/sh", "etc/passwd", "tmp/x", "cache/x"], ""))
    for name in ("usr/bin/su", "usr/bin/python3", "bin/sh"):
        (tmp_path / name).chmod(0o755)
    assert list(scan.findings(tmp_path)) == [
        "/bin/sh is a shell or installs packages",
        "/usr/bin/su is a shell or installs packages",
    ]
    (tmp_path / "bin/sh").unlink()
    (tmp_path / "usr/bin/su").unlink()
    (tmp_path / "usr/bin/python3").chmod(0o4755)
    (tmp_path / "tmp").chmod(0o1777)
    (tmp_path / "cache").chmod(0o777)
    (tmp_path / "etc/passwd").chmod(0o666)
    assert list(scan.findings(tmp_path)) == [
        "/cache can be written by everybody",
        "/etc/passwd can be written by everybody",
        "/usr/bin/python3 runs with the rights of its owner",
    ]


def installed(site, name, requires=(), module=None):
    """A package as an installer leaves it."""
    module = module or name.lower().replace("-", "_")
    record = f"{name}-1.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    metadata += "".join(f"Requires-Dist: {text}\n" for text in requires)
    files = {f"{module}/__init__.py": "", f"{record}/METADATA": metadata}
    make(site, {**files, f"{record}/RECORD": "".join(f"{path},,\n" for path in [*files, f"{record}/RECORD"])})


def test_only_what_a_program_requires_is_kept(tmp_path):
    installed(tmp_path, "web", ["Multi.Dict>=4 ; python_version > '3'", "speed ; extra == 'fast'"])
    installed(tmp_path, "multi-dict")
    installed(tmp_path, "speed")
    installed(tmp_path, "other")
    packages.keep_only(tmp_path, ["web"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "multi-dict-1.dist-info", "multi_dict", "web", "web-1.dist-info",
    ]  # fmt: skip


def test_the_client_s_generated_classes_go_and_what_kopf_imports_stays(tmp_path):
    models = "kubernetes/client/models"
    make(tmp_path, dict.fromkeys([f"{models}/{name}.py" for name in ("__init__", "v1_pod", "v1_object_meta")], ""))
    make(tmp_path, dict.fromkeys(["kubernetes/aio/client/api/core_v1_api.py", "numpy/ma/tests/test_core.py"], ""))
    packages.prune(tmp_path)
    kept = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {f"{models}/__init__.py", f"{models}/v1_object_meta.py"}


def test_a_package_s_record_names_what_is_left(tmp_path):
    """The kind: what depends on the folder that something was built in, such as the first line of a program."""
    installed(tmp_path, "web")
    record = tmp_path / "web-1.dist-info" / "RECORD"
    record.write_text(record.read_text() + 'bin/web,sha256=of-a-folder,1\nweb/tests/test_web.py,,\n"odd,name.py",,\n')
    make(tmp_path, dict.fromkeys(["bin/web", "web/tests/test_web.py", "odd,name.py"], ""))
    before = record.read_text().splitlines()
    packages.prune(tmp_path)
    assert record.read_text().splitlines() == [*before[:3], before[-1]]


def test_a_package_that_nobody_imports_is_named(tmp_path, monkeypatch):
    installed(tmp_path, "used")
    installed(tmp_path, "dead")
    make(tmp_path, {"program/__init__.py": "", "program/part.py": "import used"})
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    files = scan.imported("program", [sys.executable], {"PYTHONPATH": str(tmp_path)})
    assert scan.never_imported(tmp_path, files) == ["dead"]
    make(tmp_path, {"program/broken.py": "import absent"})
    with pytest.raises(ValueError, match="No module named 'absent'"):
        scan.imported("program", [sys.executable], {"PYTHONPATH": str(tmp_path)})


def test_the_dockerfile_says_how_the_image_is_run_as_the_archive_does(root):
    """Two ways to make an image must not make two images."""
    text = (root / "Dockerfile").read_text()
    final = text[text.rindex("FROM scratch") :].replace("\\\n", " ")
    assert dict(re.findall(r"(\w+)=(\S+)", re.findall(r"^ENV (.*)$", final, re.MULTILINE)[0])) == _ENVIRONMENT
    assert f"USER {USER}:{USER}\n" in final
    assert yaml.safe_load(re.findall(r"^ENTRYPOINT (.*)$", final, re.MULTILINE)[0]) == _RUN["forestall"]["Entrypoint"]
    assert yaml.safe_load(re.findall(r"^CMD (.*)$", final, re.MULTILINE)[0]) == _RUN["forestall"]["Cmd"]
    assert f'description="{_ABOUT["forestall"]}"' in final
    assert re.findall(r"COPY --from=build /layers/(\w+)/ /", final) == ["base", "dependencies", "code"]
    # The first stage compiles what the image's Python reads.
    assert re.search(rf"^ARG PYTHON=python:{re.escape(PYTHON)}-slim@sha256:[0-9a-f]{{64}}$", text, re.MULTILINE)


def test_everything_is_built_from_one_image_by_its_digest(root):
    files = ["Dockerfile", "examples/shop/Dockerfile", ".github/workflows/release.yml"]
    named = [re.findall(r"python:\S+", (root / file).read_text()) for file in files]
    assert [len(names) for names in named] == [1, 1, 1]
    assert named[0] == named[1] == named[2]


def test_the_dockerfile_has_the_version(root):
    from forestall import __version__  # noqa: PLC0415 - as a release writes it

    assert f'image.version="{__version__}"' in (root / "Dockerfile").read_text()


def test_the_shop_s_dockerfile_has_the_packages_of_the_lock(root):
    wanted = re.findall(r"([\w-]+==[\w.]+)", (root / "examples/shop/Dockerfile").read_text())
    pinned = (root / "constraints/runtime.txt").read_text()
    assert len(wanted) == 2
    assert [name for name in wanted if f"{name} \\\n" not in pinned] == []
    command = re.findall(r"^CMD (.*)$", (root / "examples/shop/Dockerfile").read_text(), re.MULTILINE)
    assert yaml.safe_load(command[0]) == _RUN["shop"]["Cmd"]


def test_chart_and_manifests_run_the_images_as_the_user_that_they_name(root):
    values = yaml.safe_load((root / "charts/forestall/values.yaml").read_text())
    assert values["podSecurityContext"]["runAsUser"] == values["podSecurityContext"]["runAsGroup"] == USER
    workload = [*yaml.safe_load_all((root / "examples/shop/workload.yaml").read_text())]
    (pod,) = [each["spec"]["template"]["spec"] for each in workload if each["kind"] == "Deployment"]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == USER
    assert pod["containers"][0]["image"] == SHOP
    assert pod["terminationGracePeriodSeconds"] > 5 + 10
