"""A workspace leaves nothing behind, however its owner ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from forestall.devcluster import processes
from forestall.devcluster.processes import end, run
from forestall.devcluster.workspace import Workspace
from forestall.errors import CommandFailed, InvalidInput, MissingTool

# Starts a server that starts another one, and a program that goes its own way; says where, and then ends as told.
OWNER = """
import os, signal, subprocess, sys, time
from pathlib import Path
from forestall.devcluster.workspace import Workspace

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
workspace = Workspace("test")
workspace.start("server", ["sh", "-c", "sleep 600 & exec sleep 600"])
link = workspace.link(Path(sys.argv[1]))
subprocess.Popen([link, "600"], start_new_session=True)
print(workspace.path, flush=True)
time.sleep(600)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def sleepers() -> set[psutil.Process]:
    """Return the processes of this machine that OWNER's ways of starting one lead to."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.cmdline()[1:] == ["600"] and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def owner(tmp_path):
    """Start a process that owns a workspace with three servers; return it, its workspace's folder and the servers."""
    sleep = tmp_path / "sleeper"
    sleep.symlink_to("/bin/sleep")
    before = sleepers()
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(sleep)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    folder = Path(process.stdout.readline().strip())
    wait_until(lambda: len(sleepers() - before) == 3)
    yield process, folder, sleepers() - before
    process.kill()
    process.communicate()
    wait_until(lambda: not folder.exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_everything_ends_with_the_owner(owner, number):
    process, folder, servers = owner
    os.killpg(process.pid, number)  # as a terminal does with Ctrl-C: the whole group
    process.wait(10)
    wait_until(lambda: not folder.exists())
    assert not servers & sleepers()


def test_close_ends_everything_at_once():
    with Workspace("test") as workspace:
        server = workspace.start("server", ["sh", "-c", "echo hello; exec sleep 600"])
        wait_until(lambda: "hello" in workspace.last_words("server"))
    assert server.returncode == -signal.SIGTERM
    assert not workspace.path.exists()
    workspace.close()  # again: nothing


def test_server_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(processes, "GRACE_S", 0.2)
    with Workspace("test") as workspace:
        script = "trap 'echo no' TERM; echo ready; while true; do sleep 0.1; done"
        server = workspace.start("server", ["sh", "-c", script])
        wait_until(lambda: "ready" in workspace.last_words("server"))
        processes.end(workspace.path)
    assert server.returncode == -signal.SIGKILL


def test_kept_workspace_lives_until_it_is_ended():
    with Workspace("test") as workspace:
        server = workspace.start("server", ["sleep", "600"])
        workspace.keep()
    assert server.poll() is None
    end(workspace.path)
    assert server.wait(5) == -signal.SIGTERM
    assert not workspace.path.exists()


def test_stop_ends_one():
    with Workspace("test") as workspace:
        one, other = (workspace.start(name, ["sleep", "600"]) for name in ("one", "other"))
        workspace.stop(one)
        assert one.returncode == -signal.SIGTERM
        assert other.poll() is None


def test_number_that_another_process_got_since_is_left_alone(tmp_path):
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        (tmp_path / "forestall-workspace").touch()
        (tmp_path / "processes").write_text(f"[{bystander.pid}, {psutil.Process(bystander.pid).create_time() - 100}]\n")
        end(tmp_path)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_folder_that_is_no_workspace_is_left_alone(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(InvalidInput, match="is not the folder of a forestall workspace"):
        end(tmp_path)
    assert (tmp_path / "precious").exists()


def test_run_returns_what_was_printed_and_adds_to_the_environment():
    done = run(["sh", "-c", 'cat; echo "$WHO" "$HOME"'], stdin="in ", env={"WHO": "me"})
    assert done.stdout == f"in me {os.environ['HOME']}\n"


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        (["sh", "-c", "echo out; echo why >&2; exit 3"], CommandFailed, r"`sh -c .*` failed with status 3:\nwhy$"),
        (["sh", "-c", "echo out; exit 3"], CommandFailed, r"status 3:\nout$"),
        (["sleep", "600"], CommandFailed, "`sleep 600` was not done after 0.2 s"),
        (["/no/such/program"], MissingTool, "/no/such/program is not there"),
    ],
)
def test_run_says_why_it_failed(command, error, words):
    with pytest.raises(error, match=words):
        run(command, timeout_s=0.2 if command[0] == "sleep" else 10)


def test_program_of_another_machine_is_told_apart_from_a_missing_one(tmp_path):
    alien = tmp_path / "alien"
    alien.write_bytes(b"\x7fELF of another world")
    alien.chmod(0o755)
    with pytest.raises(MissingTool, match="was it built for another kind of machine"):
        run([alien])


@pytest.mark.parametrize("asked", ["exec sleep 600", "trap '' TERM; while true; do sleep 0.1; done"])
def test_a_group_has_ended_when_the_last_of_its_processes_has(monkeypatch, asked):
    """Kind: the first process of a group ends before its child, which holds a port that the next one needs."""
    monkeypatch.setattr(processes, "GRACE_S", 0.5)
    with Workspace("test") as workspace:
        script = f"trap 'exit 0' TERM; (echo ready; {asked}) & wait"
        leader = workspace.start("server", ["sh", "-c", script])
        wait_until(lambda: "ready" in workspace.last_words("server"))
        group = psutil.Process(leader.pid).children(recursive=True)
        assert group
        processes.end_groups([leader.pid])
        assert [process for process in group if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
