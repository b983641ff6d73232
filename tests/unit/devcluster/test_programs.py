"""Where the control plane's programs are found, and how they are built when they are nowhere."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from forestall.devcluster import programs
from forestall.devcluster.programs import MODULES, find_programs
from forestall.devcluster.progress import Steps
from forestall.errors import CommandFailed, MissingTool

ALL = {name for module in MODULES for name in module.programs}

# A `go` that builds a program out of its package's name, counts its builds, and fails as FAIL_ON and SAY tell it to.
GO = """#!/bin/sh
if [ "$1" = env ]; then echo "${GO_VERSION:-go1.99.0}"; exit; fi
while [ "$1" != -o ]; do shift; done
echo "$3" >> "$BUILDS"
case "$3" in *"${FAIL_ON:-nothing}") echo half > "$2"; echo "$SAY" >&2; exit 1;; esac
echo "built from $3" > "$2"; chmod +x "$2"
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a machine that has nothing but the `go` above."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "go").write_text(GO)
    (tools / "go").chmod(0o755)
    for tool in ("sh", "chmod"):
        (tools / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FORESTALL_PROGRAMS", raising=False)
    return tmp_path / "cache" / "forestall"


@pytest.fixture
def builds(tmp_path):
    """Return the packages that were built until now."""
    return lambda: (tmp_path / "builds").read_text().split() if (tmp_path / "builds").exists() else []


def test_named_folder_comes_first(cache, builds, tmp_path, monkeypatch):
    for name in ALL:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("FORESTALL_PROGRAMS", str(tmp_path))
    found = find_programs()
    assert {name: found[name] for name in found} == {name: tmp_path / name for name in ALL}
    assert builds() == []
    assert not cache.exists()


def test_named_folder_that_lacks_a_program_is_an_error_that_names_it(cache, tmp_path, monkeypatch):
    for name in ALL - {"etcd"}:
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "kwok").chmod(0o644)
    monkeypatch.setenv("FORESTALL_PROGRAMS", str(tmp_path))
    with pytest.raises(MissingTool, match=r"does not hold etcd, kwok\b"):
        find_programs()


def test_everything_is_built_once(cache, builds):
    first = find_programs()
    assert {name: first[name].read_text() for name in first} == {
        name: f"built from {package}\n" for module in MODULES for name, package in module.programs.items()
    }
    again = find_programs()
    assert len(builds()) == len(ALL)
    assert {name: again[name] for name in again} == {name: first[name] for name in first}


def test_only_what_is_asked_for_is_built(cache, builds):
    find_programs(["prometheus"])
    assert builds() == ["github.com/prometheus/prometheus/cmd/prometheus"]


def test_interrupted_build_goes_on_where_it_stopped(cache, builds, monkeypatch):
    monkeypatch.setenv("FAIL_ON", "cmd/kubectl")
    with pytest.raises(CommandFailed):
        find_programs()
    assert builds()[-1].endswith("cmd/kubectl")
    assert not list(cache.glob("programs/*/kubectl"))
    monkeypatch.delenv("FAIL_ON")
    find_programs()
    assert len(builds()) == len(ALL) + 1  # kubectl twice, all others once


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("write /x: no space left on device", "disk is full"),
        ("Get x: dial tcp: lookup x: no such host", "set GOPROXY"),
        ("compile: signal: killed", "ran out of memory"),
    ],
)
def test_failed_build_says_what_to_do(cache, monkeypatch, said, advice):
    monkeypatch.setenv("FAIL_ON", "server/v3")
    monkeypatch.setenv("SAY", said)
    with pytest.raises(CommandFailed) as failure:
        find_programs(["etcd"])
    message = str(failure.value)
    assert message.startswith("etcd could not be built.")
    assert advice in message
    assert said in message
    assert "FORESTALL_PROGRAMS" in message


def test_without_go_and_without_a_registry_the_message_says_what_is_missing(cache, monkeypatch):
    monkeypatch.setenv("GO_VERSION", "go1.21.3")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(MissingTool, match=r"Go 1\.\d+\.\d+ or newer is needed"):
        find_programs(["etcd"])
    assert not list(cache.glob("toolchain*"))


def test_full_disk_is_noticed_before_hours_of_work(cache, builds, monkeypatch):
    usage = shutil.disk_usage(cache.parents[1])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**30))
    with pytest.raises(MissingTool, match=r"needs about 10 GiB, .* has 1\.0 GiB left"):
        find_programs()
    assert builds() == []


def test_two_at_once_build_once(cache, builds):
    threads = [threading.Thread(target=find_programs, args=(["etcd", "helm"],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(builds()) == ["go.etcd.io/etcd/server/v3", "helm.sh/helm/v4/cmd/helm"]


def test_other_pins_are_other_programs(tmp_path, monkeypatch):
    module = MODULES[0]
    before = module.folder(tmp_path)
    copied = shutil.copytree(programs._PINS, tmp_path / "pins")
    monkeypatch.setattr(programs, "_PINS", Path(copied))
    assert module.folder(tmp_path) == before
    with (tmp_path / "pins" / module.name / "go.sum").open("a") as sums:
        sums.write("\n")
    assert module.folder(tmp_path) != before
    assert replace(module, tags="other").folder(tmp_path) != module.folder(tmp_path)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_each_module_is_pinned_to_the_version_that_it_is_stamped_with(module):
    assert f"{module.path} {module.version}" in module.pins[0].read_text()
    assert module.version in str(module.folder(Path()))
    assert all(module.version in module.flags[-1] for stamp in module.stamps if "{version}" in stamp)


def test_progress_is_plain_where_there_is_no_terminal(cache, tmp_path):
    with (tmp_path / "printed").open("w") as file:
        find_programs(["etcd", "kwok"], Steps(Console(file=file)))
    printed = (tmp_path / "printed").read_text()
    assert "Building kwok v0.8.0: 2 of 2 (" in printed
    assert "\x1b" not in printed
