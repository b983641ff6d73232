"""A temporary folder and the processes that work in it: both end together, however this process ends."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from forestall.devcluster.processes import AT_END, GRACE_S, KEEP, MARK, REGISTER, last_lines, runnable
from forestall.errors import CommandFailed, MissingTool

_POLL_S: Final = 0.02


class Workspace:
    """A temporary folder with programs, logs and data, whose processes end with it.

    Two kinds of process belong to it: those that `start` started, with whatever they start themselves, and any
    program that was run through a path in the folder, whoever started it (kwokctl starts servers and leaves them
    to themselves).

    Whoever starts servers has to end them, also after Ctrl-C, SIGTERM or SIGKILL. So a second, small process waits
    at the other end of a pipe and ends them when the pipe closes. It has a session of its own, which Ctrl-C in a
    terminal does not reach.
    """

    def __init__(self, name: str) -> None:
        """Make the folder; raises MissingTool, saying what to do, where there is no room for it."""
        self.path = _made_folder(name)
        self._children: list[subprocess.Popen[bytes]] = []
        self._reaper: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-m", "forestall.devcluster.processes", "reap", str(self.path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def link(self, program: Path) -> Path:
        """Return a path in the workspace that runs `program`: what runs through it ends with the workspace."""
        link = self.path / "bin" / program.name
        if not link.exists():
            link.symlink_to(program.resolve())
        return link

    def log(self, name: str) -> Path:
        """Return the file that takes what the process called `name` prints."""
        return self.path / "logs" / f"{name}.log"

    def start(
        self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in the background; what it prints goes to `log(name)`.

        `env` adds to this process's environment. Raises MissingTool when the program cannot be run.
        """
        argv = [str(part) for part in command]
        with self.log(name).open("ab") as log, runnable(argv[0]):
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self._children.append(process)
        with (self.path / REGISTER).open("a") as register:
            register.write(json.dumps([process.pid, psutil.Process(process.pid).create_time()]) + "\n")
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End one process that `start` returned, before the workspace ends."""
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def at_end(self, command: Sequence[str | Path]) -> None:
        """Have a command run when the workspace ends, for what is no process of this machine: a container, say."""
        with (self.path / AT_END).open("a") as register:
            register.write(json.dumps([str(part) for part in command]) + "\n")

    def last_words(self, name: str) -> str:
        """Return the end of what the process called `name` printed, for a message."""
        log = self.log(name)
        return last_lines(log.read_text(errors="replace") if log.exists() else "")

    def wait_for(
        self,
        process: "subprocess.Popen[bytes]",
        name: str,
        reached: Callable[[], object],
        complaint: str,
        seconds: float,
    ) -> None:
        """Return when `reached` says so; raises CommandFailed with `complaint` when the process, called `name`, ends
        before, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while not reached():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandFailed(f"{complaint}:\n{self.last_words(name)}")
            time.sleep(_POLL_S)

    def keep(self) -> None:
        """Leave folder and processes as they are when the workspace is closed or its owner ends."""
        (self.path / KEEP).touch()

    def close(self) -> None:
        """End the workspace's processes and remove its folder, unless it is kept. May be called again."""
        if self._reaper is None:
            return
        reaper, self._reaper = self._reaper, None
        reaper.communicate()
        for child in self._children:
            child.poll()


def _made_folder(name: str) -> Path:
    """Return a new workspace's folder, with what each has."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"forestall-{name}-")).resolve()
    except OSError as error:
        raise MissingTool(
            f"no folder can be made for temporary files: {error.strerror}; set TMPDIR to one with room that you may "
            "write to"
        ) from error
    try:
        (folder / MARK).touch()
        (folder / "bin").mkdir()
        (folder / "logs").mkdir()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise MissingTool(f"{folder} cannot be filled: {error.strerror}; set TMPDIR to a folder with room") from error
    return folder
