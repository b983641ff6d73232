"""Run other programs, and end those that a workspace's folder vouches for.

As a program, ``python -m forestall.devcluster.processes reap FOLDER`` waits for its standard input to close, which
happens when the workspace is closed and when its owner dies, however it dies, and then ends the workspace unless it is
kept.
``… end FOLDER`` ends one that was kept.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from forestall.errors import CommandFailed, InvalidInput, MissingTool

MARK = "forestall-workspace"
"""The file that says that a folder is a workspace, and so may be ended."""
REGISTER = "processes"
"""The file with a line of JSON, [pid, time of creation], for each process that was started in the workspace."""
AT_END = "at-end"
"""The file with a line of JSON, the words of a command, for each that is run when the workspace ends."""
KEEP = "keep"
"""The file that says that the workspace outlives its owner."""
GRACE_S = 3.0
"""How long a process may take to end when it is asked to."""

_LAST_LINES = 15


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 120,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it printed.

    `env` adds to this process's environment. Raises MissingTool when the program cannot be run, and CommandFailed
    with its last words when it takes longer than `timeout_s` or, with `check`, when it fails.
    """
    argv = [str(part) for part in command]
    command_text = " ".join([Path(argv[0]).name, *argv[1:]])
    with runnable(argv[0]):
        try:
            completed = subprocess.run(
                argv,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                env={**os.environ, **(env or {})},
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"`{command_text}` was not done after {timeout_s:g} s") from error
    if check and completed.returncode != 0:
        output = last_lines(completed.stderr.strip() or completed.stdout.strip())
        raise CommandFailed(f"`{command_text}` failed with status {completed.returncode}:\n{output}")
    return completed


def last_lines(text: str) -> str:
    """Return the end of what a program printed, short enough for a message."""
    return "\n".join(text.splitlines()[-_LAST_LINES:]) or "(it printed nothing)"


@contextmanager
def runnable(program: str) -> Iterator[None]:
    """Raise MissingTool instead of the OSError that says why `program` cannot be run."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingTool(f"{program} is not there") from error
    except OSError as error:
        raise MissingTool(
            f"{program} cannot be run here ({error.strerror}): was it built for another kind of machine?"
        ) from error


def end(folder: Path) -> None:
    """End every process of the workspace at `folder`, and remove the folder.

    First the commands are run that were left for the end. Then processes that were started in the workspace are asked
    to end. Programs that were run through its links are servers whose data goes with the folder, so they are not
    asked. Raises InvalidInput when `folder` is no workspace.
    """
    if not (folder / MARK).is_file():
        raise InvalidInput(f"{folder} is not the folder of a forestall workspace")
    at_end = folder / AT_END
    for line in at_end.read_text().splitlines() if at_end.exists() else ():
        with suppress(CommandFailed, MissingTool):
            run(json.loads(line))
    end_groups(list(_registered(folder)))
    # A program that is killed may have been starting another: look until there is none.
    while linked := list(_linked(folder)):
        for process in linked:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(linked, timeout=0.1)
    shutil.rmtree(folder, ignore_errors=True)


def end_groups(groups: Sequence[int]) -> None:
    """Ask all processes of these groups to end, kill those that do not, and return when none is left.

    One that only its parent has ended before, as a shell, leaves the others for a moment with their sockets.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(groups, number)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and any(_alive_in(group) for group in groups):
            time.sleep(0.02)


def _registered(folder: Path) -> Iterator[int]:
    """Yield the process groups that `Workspace.start` opened and that nobody else has taken the number of since."""
    register = folder / REGISTER
    for line in register.read_text().splitlines() if register.exists() else ():
        pid, created = json.loads(line)
        try:
            reused = abs(psutil.Process(pid).create_time() - created) > 1
        except psutil.NoSuchProcess:
            reused = False
        if not reused:
            yield pid


def _signal(groups: Sequence[int], number: int) -> None:
    for group in groups:
        with suppress(ProcessLookupError):
            os.killpg(group, number)


def _alive_in(group: int) -> bool:
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _linked(folder: Path) -> Iterator[psutil.Process]:
    """Yield the processes whose program was named by a path in `folder`."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()  # empty for a zombie
            if command and Path(command[0]).is_relative_to(folder):
                yield process


def main() -> None:
    """Reap or end the workspace that the arguments name."""
    action, folder = sys.argv[1], Path(sys.argv[2])
    if action == "reap":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        sys.stdin.read()
        if (folder / KEEP).exists():
            return
    end(folder)


if __name__ == "__main__":
    main()
