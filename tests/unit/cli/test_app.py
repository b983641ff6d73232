"""The program as a whole: help, usage, exit codes, and how it fails."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from forestall import __version__
from forestall.cli import app
from forestall.errors import Forbidden, InvalidInput, Unavailable

COMMANDS = list(app.COMMANDS)


def run_apart(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(program, command):
    code, out, err = program(command, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: forestall {command}" in out


def test_the_help_lists_every_command_with_its_purpose(program):
    code, out, _ = program("--help")
    assert code == 0
    for command, (_, purpose) in app.COMMANDS.items():
        assert f"{command} " in out
        assert purpose in out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_and_the_page_of_a_command_begin_alike(program, command):
    page = program(command, "--help")[1].split("\n\n")[1]
    assert page.split()[0] == app.COMMANDS[command][1].split()[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_takes_a_duration_says_so(program, command):
    page = program(command, "--help")[1]
    names = "for|interval|last|lead-time|learn|since|start-up|step|warm-up"
    assert re.findall(rf"^  (?:-\w, )?--(?:{names}) (?!DURATION\b)\w+", page, re.MULTILINE) == []


def test_help_imports_no_command_and_no_client():
    """Whoever presses TAB waits for these imports."""
    loaded = run_apart(
        "-c",
        "import sys, forestall.__main__; sys.argv = ['forestall', '--help']\n"
        "try: forestall.__main__.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'kubernetes', 'kopf', 'numpy', 'rich', 'yaml'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)",
    )
    assert "Commands:" in loaded.stdout
    assert loaded.stderr.strip() == ""


def test_each_command_is_held_to_be_independent_of_the_others():
    """The list in `pyproject.toml`: what a new command is missing from, import-linter does not look at."""
    contracts = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (modules,) = [contract["modules"] for contract in contracts if contract["name"] == "Commands are independent"]
    assert modules == sorted({f"forestall.cli.{module}" for module, _ in app.COMMANDS.values()})


def test_as_a_kubectl_plugin_it_calls_itself_so(program):
    code, _, err = program("explain", name="kubectl forestall")
    assert code == app.USAGE
    assert err == "error: Missing argument '[KIND/]NAME'. See `kubectl forestall explain --help`.\n"


def test_the_scripts_name_decides_how_it_calls_itself(monkeypatch, capsys, program):
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/kubectl-forestall", "status", "--colour"])
    assert app.main(program.wiring) == app.USAGE
    assert "`kubectl forestall status --help`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["staus"],
        ["status", "--colour"],
        ["status", "-o", "xml"],
        ["status", "-n", ""],
        ["status", "-n", "Not_A_Namespace"],
        ["explain"],
        ["explain", ""],
        ["explain", "../secrets"],
        ["approve", "policy/checkout"],
        ["approve"],
        ["status", "--watch", "-o", "json"],
        ["run", "--interval", "soon"],
        ["run", "--interval", "0s"],
        ["run", "--listen", "8080"],
        ["run", "--listen", "0.0.0.0:99999"],
        ["demo", "--scenario", "flood"],
        ["completion", "tcsh"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(program, words):
    code, out, err = program(*words)
    assert (code, out) == (app.USAGE, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "--help`" in err


@pytest.mark.parametrize(
    ("word", "meant"),
    [("staus", "status"), ("explan", "explain"), ("get", "status"), ("describe", "explain"), ("Pause", "pause")],
)
def test_an_unknown_command_gets_a_suggestion(program, word, meant):
    """Kind: a typing error that is refused without the word that was meant."""
    code, _, err = program(word)
    assert code == app.USAGE
    assert f"There is no command {word!r}. Did you mean {meant}?" in err


def test_a_command_like_no_other_gets_none(program):
    assert program("qqqqqqqq")[2] == "error: There is no command 'qqqqqqqq'. See `forestall --help`.\n"


def test_no_command_shows_the_help(program):
    code, out, err = program()
    assert code == app.USAGE
    assert "Commands:" in out + err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidInput("no kubeconfig at /nowhere: name one by --kubeconfig"), "no kubeconfig at /nowhere"),
        (Unavailable("GET /api: connection refused"), "Is the cluster up"),
        (Forbidden("may not list servicelevelobjectives"), "Ask a cluster admin"),
        (RuntimeError("a bug"), "please report"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(program, error, said):
    program.connecting = error
    code, out, err = program("status")
    assert (code, out) == (app.FAILED, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize("words", [("--debug", "status"), ("status", "--debug")])
@pytest.mark.parametrize("error", [Unavailable("refused"), RuntimeError("a bug")])
def test_debug_shows_the_traceback_too(program, words, error):
    program.connecting = error
    code, _, err = program(*words)
    assert code == app.FAILED
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: ")


def test_an_interrupt_is_quiet(program):
    program.connecting = KeyboardInterrupt()
    code, out, err = program("status")
    assert (code, out, err.strip()) == (app.INTERRUPTED, "", "")


def test_a_message_with_control_characters_does_not_reach_the_terminal(program):
    program.connecting = Unavailable("gone\x1b[2J\nline two")
    _, _, err = program("status")
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path):
    """`forestall crds | head -1` ends without a word."""
    pipe = subprocess.run(
        [
            "bash",
            "-c",
            f"'{sys.executable}' -m forestall crds 2>{tmp_path}/err | head -1; echo ${{PIPESTATUS[0]}}",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert pipe.stdout.splitlines()[0].startswith("#")
    assert (tmp_path / "err").read_text() == ""


def test_the_kubeconfig_and_the_context_are_handed_on(program):
    program("status", "--kubeconfig", "/tmp/other", "--context", "prod")
    assert str(program.access[0].kubeconfig) == "/tmp/other"
    assert program.access[0].context == "prod"


@pytest.mark.parametrize(
    ("shell", "sign"), [("bash", "complete "), ("zsh", "#compdef forestall"), ("fish", "complete ")]
)
def test_completion_scripts(program, shell, sign):
    code, out, _ = program("completion", shell)
    assert code == 0
    assert sign in out
    assert "_FORESTALL_COMPLETE" in out


def test_the_shell_completes_commands_and_options():
    """The script asks the program itself; this is what it asks."""
    done = run_apart("-m", "forestall", _FORESTALL_COMPLETE="bash_complete", COMP_WORDS="forestall st", COMP_CWORD="1")
    assert done.stdout.strip() == "plain,status"
    done = run_apart(
        "-m", "forestall", _FORESTALL_COMPLETE="bash_complete", COMP_WORDS="forestall status --all", COMP_CWORD="2"
    )
    assert done.stdout.strip() == "plain,--all-namespaces"


def test_version(program):
    code, out, _ = program("version")
    assert code == 0
    assert out.startswith(f"forestall {__version__} (forestall.dev/v1alpha1")
    assert program("--version")[1] == f"forestall {__version__}\n"


def test_colour_is_for_terminals_and_never_with_no_color(program, cluster, monkeypatch):
    cluster.put_objective("checkout", "AtRisk")
    assert "\x1b" not in program("status")[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b" in program("status")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in program("status")[1]


@pytest.mark.parametrize("absent", ["forestall.demo.runner", "psutil"])
def test_an_installation_without_the_demo_says_so(absent):
    """Kind: a command whose parts were not installed, as in the image, answers in words and with no traceback."""
    code = (
        f"import sys; sys.modules['{absent}'] = None\n"
        "import forestall.__main__; sys.argv = ['forestall', 'demo']; forestall.__main__.main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode not in (0, 70)
    assert f"not part of this installation ({absent} is not there)" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
