"""For those who work on forestall: ``python -m forestall.devcluster programs [PURPOSE] | cluster | end FOLDER``."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from forestall.devcluster.processes import end
from forestall.devcluster.progress import Steps
from forestall.devcluster.provider import NEEDED, check_machine, local_cluster, local_programs
from forestall.errors import ForestallError


def main() -> int:
    """Do what the arguments say and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m forestall.devcluster", description="Programs and clusters for work."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    programs = commands.add_parser("programs", help="find or build the programs that something runs on")
    programs.add_argument("purpose", nargs="?", choices=list(NEEDED), default="demo")
    cluster = commands.add_parser("cluster", help="start a cluster, and leave it running")
    cluster.add_argument("--nodes", type=int, default=3)
    cluster.add_argument("--start-up", type=float, default=0.0, metavar="SECONDS", help="until a pod is ready")
    commands.add_parser("end", help="end a cluster that was left running").add_argument("folder", type=Path)
    options = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    try:
        match options.command:
            case "programs":
                local_programs(Steps(console), options.purpose)
            case "cluster":
                _leave_running(Steps(console), options.nodes, options.start_up)
            case "end":
                end(options.folder)
    except ForestallError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _leave_running(steps: Steps, nodes: int, start_up_s: float) -> None:
    check_machine(nodes)
    cluster = local_cluster(local_programs(steps, "cluster"), nodes=nodes, start_up_s=start_up_s)
    with steps.step("Starting the cluster"), cluster:
        cluster.keep()
    lines = [
        f"export KUBECONFIG={cluster.kubeconfig}",
        f"export FORESTALL_TEST_KUBECONFIG={cluster.kubeconfig}  # for `make cluster`",
        f"# to end it: {sys.executable} -m forestall.devcluster end {cluster.workspace.path}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
