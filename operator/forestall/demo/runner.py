"""`forestall demo`: run a scenario without the operator, then with it, and compare both."""

import json
import os
import sys
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table

from forestall.demo.comparison import ScenarioComparison
from forestall.demo.environment import OPERATOR_NAMESPACE, RELEASE, DemoEnvironment
from forestall.demo.page import page
from forestall.demo.real_environment import RealDemoEnvironment, check_machine
from forestall.demo.scenario_run import ScenarioRun, run_scenario
from forestall.demo.scenarios import REAL_SCENARIOS, SCENARIOS, Scenario
from forestall.demo.screen import Screen
from forestall.demo.watcher import RunRecording
from forestall.devcluster.progress import Steps
from forestall.devcluster.provider import VARIABLE, chosen_cluster, local_programs
from forestall.errors import InvalidInput


def run_demo(
    scenario: str = "surge",
    *,
    cluster: str = "",
    keep: bool = False,
    picture: Path | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
) -> int:
    """Run the demo and return the exit code: 0 when the SLO is missed without the operator and not with it.

    Progress goes to `out` (standard output by default). With `as_json` it goes to standard error, and the figures go to
    `out` as JSON. The report is the HTML file `picture`, by default `forestall-demo-SCENARIO.html` in the current
    folder. With `keep`, the cluster keeps running. `cluster` is kwok, nodes or kind; FORESTALL_CLUSTER by default.

    Raises:
        InvalidInput: there is no such scenario on such a cluster, or FORESTALL_CLUSTER is invalid.
        MissingTool: a program, or the project's checkout, is missing.
        CommandFailed: a program failed; the message has the end of its output.
        MetricsError: Prometheus did not answer.
    """
    kind = chosen_cluster(cluster)
    chosen = choose_scenario(scenario, kind)
    os.environ[VARIABLE] = kind  # for everything that is started from here on
    out = out or sys.stdout
    console = Console(file=sys.stderr if as_json else out, highlight=False)
    comparison = compare_runs(chosen, console, keep=keep)
    file = picture or Path(f"forestall-demo-{scenario}.html")
    file.write_text(page(comparison), encoding="utf-8")
    _print_summary(comparison, file, console)
    if as_json:
        json.dump(comparison.as_json(), out, indent=2)
        out.write("\n")
    return 0 if comparison.prevented and not comparison.problem else 1


def choose_scenario(name: str, cluster: str) -> Scenario:
    """Return the scenario for such a cluster: kwok, nodes or kind. Raises InvalidInput where it has none."""
    scenarios = REAL_SCENARIOS if cluster == "nodes" else SCENARIOS
    if name in scenarios:
        return scenarios[name]
    if name in SCENARIOS:
        raise InvalidInput(f"the scenario {name!r} does not run on real nodes: choose one of {', '.join(scenarios)}")
    raise InvalidInput(f"there is no scenario {name!r}: choose one of {', '.join(scenarios)}")


def compare_runs(scenario: Scenario, console: Console, *, keep: bool = False) -> ScenarioComparison:
    """Run a scenario without the operator and with it, in a new environment. Raises what `run_demo` raises.

    When the machine is too busy for valid figures, both runs are repeated at half the size.
    """
    steps, screen = Steps(console), Screen(console, scenario)
    screen.print_line(f"{scenario.title}. {scenario.story}", "bold")
    with _environment(scenario, steps) as environment:
        while (comparison := _both_runs(environment, screen, keep=keep)) is None:
            smaller = environment.scenario.halved()
            screen.print_line(
                f"This machine is busy, so both runs are repeated at half the size: up to {smaller.peak:.0f} requests "
                "a second, on pods with half the capacity."
            )
            environment.resize(smaller)
        if keep:
            _explain_kept(environment, screen)
    return comparison


def _environment(scenario: Scenario, steps: Steps) -> DemoEnvironment:
    if not scenario.real:
        return DemoEnvironment(scenario, local_programs(steps), steps)
    check_machine(scenario.nodes)
    return RealDemoEnvironment(scenario, local_programs(steps, "nodes"), steps)


def _both_runs(environment: DemoEnvironment, screen: Screen, *, keep: bool) -> ScenarioComparison | None:
    """Run the scenario without and with the operator; None where that is invalid and a smaller scenario is possible."""
    screen.scenario = environment.scenario
    without = _run(environment, screen, operator=False, title="1 of 2: without forestall")
    if without.figures.problem and environment.scenario.divisible:
        return None
    screen.print_line(
        f"Now with forestall. {environment.OPERATOR_NOTE}, with the token of the chart's ServiceAccount "
        f"{OPERATOR_NAMESPACE}/{RELEASE}: it has the permissions of the chart, and reads only Prometheus and the API "
        "server."
    )
    with_ = _run(environment, screen, operator=True, title="2 of 2: with forestall", keep=keep)
    comparison = ScenarioComparison(environment.scenario, without, with_)
    return None if comparison.problem and environment.scenario.divisible else comparison


def _run(
    environment: DemoEnvironment, screen: Screen, *, operator: bool, title: str, keep: bool = False
) -> ScenarioRun:
    record = RunRecording()
    with screen.run(title, record) as show:
        run = run_scenario(environment, operator=operator, record=record, show=show, keep=keep)
    if run.figures.problem:
        screen.print_line(f"This run is invalid: {run.figures.problem}.", "bold red")
    return run


def _print_summary(comparison: ScenarioComparison, file: Path, console: Console) -> None:
    table = Table(title=comparison.scenario.title, title_justify="left", caption=comparison.footnote)
    table.caption_justify = "left"
    table.add_column()
    table.add_column("without forestall", justify="right")
    table.add_column("with forestall", justify="right")
    for row in comparison.rows:
        table.add_row(*row)
    console.print(table)
    if comparison.problem:
        console.print(f"[bold red]These figures are invalid:[/] {comparison.problem}.")
        console.print("Stop other programs, or use a machine with more processors, and try again.")
    elif comparison.prevented:
        console.print("[bold green]The SLO is missed without forestall, and met with it.[/]")
    else:
        console.print("[bold red]This is not the expected result: see the figures above.[/]")
    console.print(f"Report: {file.resolve()}", soft_wrap=True)


def _explain_kept(environment: DemoEnvironment, screen: Screen) -> None:
    screen.print_line("The cluster, Prometheus, the shop and the operator keep running (KEEP). To reach them:", "bold")
    screen.print_line(f"  export KUBECONFIG={environment.cluster.kubeconfig}")
    screen.print_line("  forestall status -A; kubectl get fslo,rempol,remed -n shop")
    screen.print_line(f"  {environment.prometheus.url} is Prometheus, {environment.shop_url} the shop")
    screen.print_line(
        f"To remove them:  {sys.executable} -m forestall.devcluster end {environment.cluster.workspace.path}"
    )
