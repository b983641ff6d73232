"""Programs that the machine has already: taken where the version fits, and told either way. The kinds of fault to be
kept out: building for minutes what is there, and taking in silence what is another version.
"""

import io
import re
import shutil

import pytest
from rich.console import Console

from forestall.devcluster.on_path import on_path
from forestall.devcluster.programs import MODULES, find_programs
from forestall.devcluster.progress import Steps
from forestall.devcluster.provider import NEEDED, local_programs

PINNED = {name: module.version for module in MODULES for name in module.programs}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A machine whose PATH has nothing, and an empty cache; return how to put a program there."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "sh").symlink_to(shutil.which("sh"))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("FORESTALL_PROGRAMS", "FORESTALL_USE_PATH", "FORESTALL_CLUSTER"):
        monkeypatch.delenv(name, raising=False)

    def put(name, printed, status=0):
        (folder / name).write_text(f"#!/bin/sh\necho '{printed}'\nexit {status}\n")
        (folder / name).chmod(0o755)
        return folder / name

    return put


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("etcd", "etcd Version: 3.6.1\nGit SHA: a1b2c3d4\nGo Version: go1.24.3"),
        ("kube-apiserver", "Kubernetes v1.36.0"),
        ("kubectl", "Client Version: v1.35.9\nKustomize Version: v5.7.1"),
        ("kubectl", "Client Version: v1.37.0-rc.1"),
        ("kwok", "kwok version v0.8.1 go1.25.1 (linux/amd64)"),
        ("prometheus", "prometheus, version 2.53.4 (branch: HEAD, revision: 1234567)"),
        ("prometheus", "prometheus, version 3.5.0 (branch: HEAD)"),
        ("helm", "v3.14.4+g81c902a"),
        ("helm", "v4.0.1+gabcdef0"),
        ("helm", "v4.3"),
    ],
)
def test_a_version_that_fits_is_taken_and_told(tools, name, printed):
    there = tools(name, printed)
    found, words = on_path(name, PINNED[name])
    assert found == there
    assert "from the PATH" in words
    assert str(there) in words


@pytest.mark.parametrize(
    ("name", "printed", "why"),
    [
        ("etcd", "etcd Version: 3.5.21\nGo Version: go1.23.8", r"is 3\.5, and 3\.6 is needed"),
        ("kube-apiserver", "Kubernetes v1.35.3", r"is 1\.35, and 1\.36 is needed"),
        ("kubectl", "Client Version: v1.34.2", r"is 1\.34, and 1\.35 to 1\.37 is needed"),
        ("prometheus", "prometheus, version 2.45.0+ds (branch: debian/sid)", r"is 2\.45, and 2\.53 or later"),
        ("helm", "v3.9.0", r"is 3\.9, and 3\.14 or later, below 5\.0 is needed"),
        ("helm", "v5.0.0", r"is 5\.0, and"),
        (
            "prometheus",
            "prometheus, version  (branch: , revision: 1)\n  go version:  go1.26.8",
            r"does not say its version",
        ),
        ("kwok", "who knows", r"does not say its version, so it is not used"),
    ],
)
def test_another_version_is_left_and_told(tools, name, printed, why):
    tools(name, printed)
    found, words = on_path(name, PINNED[name])
    assert found is None
    assert re.search(why, words)


def test_a_program_that_fails_is_left(tools):
    tools("helm", "v4.3.1", status=1)
    assert on_path("helm", PINNED["helm"])[0] is None


def test_tests_take_only_the_pinned_major_version(tools):
    tools("prometheus", "prometheus, version 2.53.4")
    tools("helm", "v3.18.0")
    assert on_path("prometheus", PINNED["prometheus"], closely=True)[0] is None
    assert "4.0 or later, below 5.0" in on_path("helm", PINNED["helm"], closely=True)[1]
    tools("prometheus", "prometheus, version 3.2.0")
    assert on_path("prometheus", PINNED["prometheus"], closely=True)[0] is not None


@pytest.mark.parametrize("word", ["0", "no", "False"])
def test_the_path_may_be_forbidden(tools, monkeypatch, word):
    tools("helm", "v4.3.1")
    monkeypatch.setenv("FORESTALL_USE_PATH", word)
    assert on_path("helm", PINNED["helm"]) == (None, "")


def test_what_is_there_is_not_built(tools):
    there = tools("prometheus", "prometheus, version 3.13.0")
    out = io.StringIO()
    assert find_programs(["prometheus"], Steps(Console(file=out, width=200)))["prometheus"] == there
    assert out.getvalue() == f"prometheus 3.13 from the PATH: {there}\n"


def test_what_was_built_comes_before_the_path(tools, tmp_path):
    tools("etcd", "etcd Version: 3.6.1")
    module = next(each for each in MODULES if each.name == "etcd")
    built = module.folder(tmp_path / "cache" / "forestall") / "etcd"
    built.parent.mkdir(parents=True)
    built.touch(mode=0o755)
    assert find_programs(["etcd"])["etcd"] == built


def test_each_purpose_takes_its_own_programs_alone(tools):
    tools("prometheus", "prometheus, version 3.13.0")
    assert list(local_programs(purpose="adapters")) == ["prometheus"]  # no control plane is built for it
    assert set(NEEDED["demo"]) == set(NEEDED["tests"]) == set(PINNED)
    assert "helm" not in NEEDED["cluster"]
    assert "prometheus" not in NEEDED["cluster"]
