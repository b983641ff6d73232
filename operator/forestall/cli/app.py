"""The program: its commands, its exit codes, and how it fails.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 an objective is at risk (`status --exit-code`), 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from forestall import __version__
from forestall.core.wording import closest, printable
from forestall.errors import Denied, Forbidden, ForestallError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forestall.cli.wiring import Wiring

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "status": ("status", "Show all objectives, those at risk first."),
    "explain": ("explain", "Explain the state of an objective, a policy or a workload."),
    "history": ("history", "Show remediations, or the whole lifecycle of one."),
    "approve": ("approval", "Approve a remediation that waits for approval."),
    "reject": ("approval", "Reject a remediation that waits for approval."),
    "feedback": ("feedback", "Give feedback on a remediation: whether it helped."),
    "unlock": ("feedback", "Unlock a policy whose last remediation did not help."),
    "undo": ("undo", "Revert a remediation now."),
    "pause": ("pauses", "Pause forestall, in the cluster or a part of it."),
    "resume": ("pauses", "End a pause."),
    "validate": ("validate", "Validate objects in files before they are applied."),
    "backtest": ("backtest", "Replay recorded history: whether forestall would have helped."),
    "simulate": ("simulate", "Simulate what forestall would have saved on a modeled service."),
    "crds": ("crds", "Print the CustomResourceDefinitions."),
    "demo": ("demo", "Demonstrate forestall on a local control plane."),
    "run": ("run", "Run the operator."),
    "completion": ("completion", "Print the completion script of a shell."),
    "version": ("version", "Print the version."),
}
"""Name → module and what it is for. A command's module is imported only when that command is used."""
_KUBECTL: Final = {
    "get": "status",
    "list": "status",
    "describe": "explain",
    "why": "explain",
    "log": "history",
    "logs": "history",
    "lint": "validate",
    "check": "validate",
    "deny": "reject",
    "rollback": "undo",
    "revert": "undo",
    "stop": "pause",
    "start": "resume",
}
"""What people try by the words of other programs."""


@dataclass(slots=True)
class State:
    """What every command gets as `ctx.obj`."""

    wiring: Wiring
    debug: bool = False
    text: tuple[str, ...] = ()
    """What the program was called with."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"forestall.cli.{COMMANDS[cmd_name][0]}")
        return cast("click.Command", getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments begin with; of another word say what it is like."""
        word = args[0]
        if word not in COMMANDS and not word.startswith("-"):
            close = _KUBECTL.get(word) or closest(word, COMMANDS)
            ctx.fail(f"There is no command {word!r}.{f' Did you mean {close}?' if close else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 an objective is at risk (status --exit-code).",
)
@click.version_option(__version__, prog_name="forestall", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def program(state: State, *, debug: bool) -> None:
    """Keep Kubernetes workloads inside their service level objectives, by acting before the breach."""
    state.debug = state.debug or debug


def main(wiring: Wiring, arguments: Sequence[str] | None = None, name: str | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        wiring: what the commands call.
        arguments: the words after the program's name; those of the process by default.
        name: the program's name in help and hints; from the process by default.
    """
    state = State(wiring, text=tuple(sys.argv[1:] if arguments is None else arguments))
    name = name or _name(sys.argv[0])
    try:
        code = program.main(
            args=None if arguments is None else list(arguments), prog_name=name, standalone_mode=False, obj=state
        )
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`| head`): nothing is left to say, and Python's last flush must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except click.UsageError as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
            return USAGE
        command_path = error.ctx.command_path if error.ctx else name
        _complain(f"{_sentence(error.format_message())} See `{command_path} --help`.")
        return USAGE
    except (click.ClickException, ForestallError, OSError) as error:
        if state.debug:
            traceback.print_exc()
        _complain(_explain(error))
        return FAILED
    except Exception as error:  # noqa: BLE001 -- the outermost edge: people get a sentence, not a traceback
        if state.debug:
            traceback.print_exc()
        _complain(f"Unexpected {type(error).__name__}: {error}. This is a bug: please report what --debug shows.")
        return FAILED
    return code if isinstance(code, int) else 0


def _name(path: str) -> str:
    return "kubectl forestall" if Path(path).name == "kubectl-forestall" else "forestall"


def _complain(message: str) -> None:
    click.echo(f"error: {' '.join(printable(message).split())}", err=True)


def _sentence(message: str) -> str:
    return message if message.endswith((".", "?", "!")) else f"{message}."


def _explain(error: Exception) -> str:
    match error:
        case click.ClickException():
            return error.format_message()
        case Unavailable():
            return f"{_sentence(str(error))} Is the cluster up, and is this the right --context?"
        case Denied():
            return str(error)
        case Forbidden():
            return f"{_sentence(str(error))} Ask a cluster admin for that right, or use another --context."
        case OSError() if error.filename is not None and error.strerror is not None:
            return f"{error.filename}: {error.strerror}"
        case _:
            return str(error)
