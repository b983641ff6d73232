"""Run a scenario once, from the deployment of the shop to the figures."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from forestall.demo.environment import DemoEnvironment
from forestall.demo.figures import RunFigures, Samples, missed_cycles, run_figures, validity_problem
from forestall.demo.scenarios import OBJECTIVE
from forestall.demo.watcher import RunEvent, RunRecording, RunSnapshot, Watcher

_START_UPS_S = (5.0, 20.0, 60.0)
"""Time for the start of shop and load generator before the first request; the next one where they are late."""
_FLOWING_S = 2.0
"""Traffic before the start of the operator, so that rates over a few seconds exist."""
_LAST_SCRAPE_S = 2.0
_BEHIND_S = 1.0
"""Latest start of the operator in a valid run. Without bad minutes, a later start is accepted too."""
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """A run: its figures, samples and recording."""

    figures: RunFigures
    samples: Samples
    record: RunRecording


def run_scenario(
    environment: DemoEnvironment,
    *,
    operator: bool,
    record: RunRecording,
    show: Callable[[RunSnapshot], None],
    keep: bool = False,
) -> ScenarioRun:
    """Run the environment's scenario once, with the operator or without; fills `record` meanwhile.

    With `keep`, the environment with the shop and the operator keeps running afterwards, unless the run is invalid and
    a smaller one is possible.

    Raises:
        CommandFailed: a program could not be started, or ended too early.
        MetricsError: Prometheus did not answer at the end.
    """
    scenario = environment.scenario
    environment.redeploy()
    with ExitStack() as running:
        begins = running.enter_context(_opened(environment))
        tally = running.enter_context(environment.traffic(begins))
        _sleep_until(begins - scenario.lead_in + _FLOWING_S)
        if operator:
            running.enter_context(environment.operator())
        operator_delay = max(0.0, time.time() - begins)
        watcher = environment.watcher(begins, operator=operator)
        _watch(environment, begins, watcher, record, show)
        request_counts = tally()
        _sleep_until(begins + scenario.duration + _LAST_SCRAPE_S)
        samples = environment.metrics.samples(environment.run_queries, begins, begins + scenario.duration)
        figures = run_figures(samples, OBJECTIVE, scenario.minutes_per_second, _problem(samples, request_counts))
        if operator_delay > _BEHIND_S and figures.bad_minutes > 0 and not figures.problem:
            problem = f"the operator started {operator_delay:.0f} s late: the machine was too busy"
            figures = replace(figures, problem=problem)
        if keep and not (figures.problem and scenario.divisible):
            environment.keep()
        return ScenarioRun(figures, samples, record)


@contextmanager
def _opened(environment: DemoEnvironment) -> Iterator[float]:
    """Run the shop; yields the start of the scenario (s since the epoch), late enough for a slow machine."""
    for start_up in _START_UPS_S:
        begins = time.time() + start_up + environment.scenario.lead_in
        with environment.shop(begins):
            if time.time() < begins - environment.scenario.lead_in or start_up == _START_UPS_S[-1]:
                yield begins
                return


def _watch(
    environment: DemoEnvironment,
    begins: float,
    watcher: Watcher,
    record: RunRecording,
    show: Callable[[RunSnapshot], None],
) -> None:
    scenario, released = environment.scenario, False
    due = time.time()
    while (now := time.time()) < begins + scenario.duration:
        events = []
        if scenario.release is not None and not released and now - begins >= scenario.release.at:
            environment.release(scenario.release.image)
            released = True
            events.append(RunEvent(now - begins, "release", f"a release is rolled out: {scenario.release.image}"))
        snapshot = watcher.snapshot(tuple(events))
        record.snapshots.append(snapshot)
        show(snapshot)
        due = max(due + _LOOK_EVERY_S, time.time())
        _sleep_until(min(due, begins + scenario.duration))


def _problem(samples: Samples, request_counts: dict[str, Any] | None) -> str:
    if request_counts is None:
        return "the load generator did not end long after its last request was due: the machine was too busy"
    ticks, prompt = (samples[name][-1] - samples[name][0] for name in ("ticks", "prompt"))
    sent = request_counts["sent"] + request_counts["notSent"]
    scraped = len(set(samples["scraped"]))
    return validity_problem(
        lagging=1 - prompt / ticks if ticks > 0 else 1.0,
        late=(request_counts["late"] + request_counts["notSent"]) / sent if sent else 1.0,
        unmeasured=max(0.0, 1 - scraped / len(samples.times)),
        missed=missed_cycles(samples["cycles"]),
    )


def _sleep_until(epoch: float) -> None:
    time.sleep(max(0.0, epoch - time.time()))
