"""`forestall run`, `demo` and `crds`: what they hand on."""

import platform
from pathlib import Path

import pytest
import yaml

from forestall.api import KINDS
from forestall.cli.wiring import DemoOptions


def test_run_has_the_defaults_of_the_chart(program):
    assert program("run")[0] == 0
    options = program.runs[0]
    assert options.interval == 30
    assert options.listen == ("0.0.0.0", 8080)
    assert options.identity == platform.node()
    assert options.namespace == "forestall-system"
    assert options.log_level == "info"
    assert options.log_json, "the log of a process without a terminal is for programs"
    assert not options.dry_run


def test_run_takes_the_pods_name_and_namespace_from_the_environment(program, monkeypatch):
    monkeypatch.setenv("POD_NAMESPACE", "ops")
    monkeypatch.setenv("POD_NAME", "forestall-7d9-x2x")
    program("run")
    assert (program.runs[0].namespace, program.runs[0].identity) == ("ops", "forestall-7d9-x2x")


@pytest.mark.parametrize(
    ("listen", "expected"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9000", ("::1", 9000)), (":81", ("0.0.0.0", 81))]
)
def test_run_listens_where_it_is_told(program, listen, expected):
    program("run", "--listen", listen)
    assert program.runs[0].listen == expected


def test_run_takes_its_options(program):
    program(
        "run", "--interval", "1m30s", "--dry-run", "--log-format", "text", "--log-level", "debug", "--identity", "a"
    )
    options = program.runs[0]
    assert (options.interval, options.dry_run, options.log_json) == (90, True, False)
    assert options.log_level == "debug"


def test_demo_hands_on_its_options(program):
    program("demo")
    program("demo", "--scenario", "leak", "--keep", "--picture", "here.html", "-o", "json")
    assert program.demos == [
        DemoOptions("surge", keep=False, picture=None, as_json=False),
        DemoOptions("leak", keep=True, picture=Path("here.html"), as_json=True),
    ]


def test_the_demo_takes_its_cluster_from_the_option_or_the_environment(program, monkeypatch):
    program("demo", "--scenario", "leak", "--cluster", "nodes")
    monkeypatch.setenv("FORESTALL_CLUSTER", "nodes")
    program("demo", "--scenario", "leak")
    program("demo", "--scenario", "leak", "--cluster", "kwok")
    assert [options.cluster for options in program.demos] == ["nodes", "nodes", "kwok"]


def test_crds_prints_one_document_a_kind(program):
    code, out, _ = program("crds")
    assert code == 0
    assert {each["spec"]["names"]["kind"] for each in yaml.safe_load_all(out)} == {kind.KIND for kind in KINDS}


def test_crds_writes_one_file_a_kind(program, tmp_path):
    code, out, _ = program("crds", "--write", tmp_path / "new")
    assert code == 0
    assert sorted(out.split()) == sorted(str(path) for path in (tmp_path / "new").iterdir())
    assert len(out.split()) == len(KINDS)


def test_crds_says_why_it_cannot_write(program, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = program("crds", "--write", tmp_path / "file")
    assert code == 2
    assert "is a file" in err
