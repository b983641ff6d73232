"""`forestall demo`: a scenario without the operator, then with it, then both side by side."""

import json
import sys
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table

from forestall.demo.comparison import Comparison
from forestall.demo.picture import page
from forestall.demo.play import Run, play
from forestall.demo.scenarios import SCENARIOS, Scenario
from forestall.demo.screen import Screen
from forestall.demo.stage import OPERATOR_NAMESPACE, RELEASE, Stage
from forestall.demo.watching import Record
from forestall.devcluster.progress import Steps
from forestall.devcluster.provider import local_programs
from forestall.errors import InvalidInput


def run_demo(
    scenario: str = "surge",
    *,
    keep: bool = False,
    picture: Path | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Show a scenario and return the exit code: 0 when the SLO broke without the operator and not with it.

    What is going on is shown on the terminal; with `as_json` it goes to standard error, and the figures go to `out`
    (standard output by default) as JSON. The comparison is drawn into the HTML file `picture`, by default
    `forestall-demo-SCENARIO.html` in the present folder. With `keep`, the cluster outlives the demo.

    Raises:
        InvalidInput: there is no such scenario, or no such cluster as FORESTALL_CLUSTER asks for.
        MissingTool: a program, or the project's checkout, is not there.
        CommandFailed: a program failed; the message carries its last words.
        MetricsError: Prometheus did not answer.
    """
    if scenario not in SCENARIOS:
        raise InvalidInput(f"there is no scenario {scenario!r}: choose one of {', '.join(SCENARIOS)}")
    out = out or sys.stdout
    console = Console(file=sys.stderr if as_json else out, highlight=False)
    comparison = compare(SCENARIOS[scenario], console, keep=keep)
    file = picture or Path(f"forestall-demo-{scenario}.html")
    file.write_text(page(comparison), encoding="utf-8")
    _sum_up(comparison, file, console)
    if as_json:
        json.dump(comparison.as_json(), out, indent=2)
        out.write("\n")
    return 0 if comparison.prevented and not comparison.problem else 1


def compare(scenario: Scenario, console: Console, *, keep: bool = False) -> Comparison:
    """Play a scenario without the operator and with it, on a stage of its own. Raises what `run_demo` raises.

    Where the machine was too busy for the figures to mean anything, both runs are played once more, at half the size.
    """
    steps, screen = Steps(console), Screen(console, scenario)
    screen.say(f"{scenario.title}. {scenario.story}", "bold")
    with Stage(scenario, local_programs(steps), steps) as stage:
        while (comparison := _both_runs(stage, screen, keep=keep)) is None:
            smaller = stage.scenario.halved()
            screen.say(
                f"This machine is busy, so both runs are played at half the size: up to {smaller.peak:.0f} requests a "
                "second, on pods that carry half as many."
            )
            stage.resize(smaller)
        if keep:
            _explain_kept(stage, screen)
    return comparison


def _both_runs(stage: Stage, screen: Screen, *, keep: bool) -> Comparison | None:
    """Play the stage's scenario without and with the operator; None where that is not valid and can be made smaller."""
    screen.scenario = stage.scenario
    without = _run(stage, screen, operator=False, title="1 of 2: without forestall")
    if without.outcome.problem and stage.scenario.divisible:
        return None
    screen.say(
        "Now with forestall. KWOK plays the chart's pods, and nothing runs in them. So the operator runs as a "
        f"process on this machine, with the token of the chart's ServiceAccount {OPERATOR_NAMESPACE}/{RELEASE}: it "
        "may do what the chart allows, and it knows what Prometheus and the API server tell it."
    )
    with_ = _run(stage, screen, operator=True, title="2 of 2: with forestall", keep=keep)
    comparison = Comparison(stage.scenario, without, with_)
    return None if comparison.problem and stage.scenario.divisible else comparison


def _run(stage: Stage, screen: Screen, *, operator: bool, title: str, keep: bool = False) -> Run:
    record = Record()
    with screen.run(title, record) as show:
        run = play(stage, operator=operator, record=record, show=show, keep=keep)
    if run.outcome.problem:
        screen.say(f"This run is not valid: {run.outcome.problem}.", "bold red")
    return run


def _sum_up(comparison: Comparison, file: Path, console: Console) -> None:
    table = Table(title=comparison.scenario.title, title_justify="left", caption=comparison.footnote)
    table.caption_justify = "left"
    table.add_column()
    table.add_column("without forestall", justify="right")
    table.add_column("with forestall", justify="right")
    for row in comparison.rows:
        table.add_row(*row)
    console.print(table)
    if comparison.problem:
        console.print(f"[bold red]These figures are not valid:[/] {comparison.problem}.")
        console.print("End other programs, or take a machine with more processors, and try again.")
    elif comparison.prevented:
        console.print("[bold green]The SLO broke without forestall, and did not with it.[/]")
    else:
        console.print("[bold red]This is not what the demo promises: see the figures above.[/]")
    console.print(f"The two runs as a picture: {file.resolve()}", soft_wrap=True)


def _explain_kept(stage: Stage, screen: Screen) -> None:
    screen.say("The cluster, Prometheus, the shop and the operator go on running (KEEP). To reach them:", "bold")
    screen.say(f"  export KUBECONFIG={stage.cluster.kubeconfig}")
    screen.say("  forestall status -A; kubectl get fslo,rempol,remed -n shop")
    screen.say(f"  {stage.prometheus.url} is Prometheus, {stage.shop_url} the shop")
    screen.say(f"To remove all of it:  {sys.executable} -m forestall.devcluster end {stage.cluster.workspace.path}")
