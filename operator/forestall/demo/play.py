"""One run of a scenario, from the fresh shop to the figures."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from forestall.demo.figures import Outcome, Samples, missed, outcome, problem_of
from forestall.demo.readings import RUN
from forestall.demo.scenarios import OBJECTIVE
from forestall.demo.stage import Stage
from forestall.demo.watching import Glimpse, News, Record, Watcher

_START_UPS_S = (5.0, 20.0, 60.0)
"""From the fresh pods to the first request: the shop and the generator start meanwhile. Where they were late, more."""
_FLOWING_S = 2.0
"""After so much traffic the operator is started: rates over a few seconds are rates then."""
_LAST_SCRAPE_S = 2.0
_BEHIND_S = 1.0
"""An operator that was up later is not to blame for what broke. Where nothing broke, it did with less time."""
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as it was measured and as it was seen."""

    outcome: Outcome
    samples: Samples
    record: Record


def play(stage: Stage, *, operator: bool, record: Record, show: Callable[[Glimpse], None], keep: bool = False) -> Run:
    """Play the stage's scenario once, with the operator or without; fills `record` while it goes on.

    With `keep`, the shop and the operator go on running afterwards, and the stage is kept, unless the run is not valid
    and a smaller one can be played.

    Raises:
        CommandFailed: something could not be started, or ended before its time.
        MetricsError: Prometheus did not answer at the end.
    """
    one = stage.scenario
    stage.fresh_pods()
    with ExitStack() as running:
        begins = running.enter_context(_opened(stage))
        tally = running.enter_context(stage.traffic(begins))
        _sleep_until(begins - one.lead_in + _FLOWING_S)
        if operator:
            running.enter_context(stage.operator())
        behind = max(0.0, time.time() - begins)
        watcher = Watcher(stage.readings, str(stage.cluster.kubeconfig), begins, operator=operator)
        _watch(stage, begins, watcher, record, show)
        counted = tally()
        _sleep_until(begins + one.duration + _LAST_SCRAPE_S)
        samples = stage.readings.samples(RUN, begins, begins + one.duration)
        judged = outcome(samples, OBJECTIVE, one.minutes_per_second, _problem(samples, counted))
        if behind > _BEHIND_S and judged.bad_minutes > 0 and not judged.problem:
            late = f"the operator was up {behind:.0f} s after the run began: the machine was too busy"
            judged = replace(judged, problem=late)
        if keep and not (judged.problem and one.divisible):
            stage.keep()
        return Run(judged, samples, record)


@contextmanager
def _opened(stage: Stage) -> Iterator[float]:
    """Run the shop; yields when the scenario begins (s since the epoch), which a slow machine is in time for too."""
    for start_up in _START_UPS_S:
        begins = time.time() + start_up + stage.scenario.lead_in
        with stage.shop(begins):
            if time.time() < begins - stage.scenario.lead_in or start_up == _START_UPS_S[-1]:
                yield begins
                return


def _watch(stage: Stage, begins: float, watcher: Watcher, record: Record, show: Callable[[Glimpse], None]) -> None:
    one, released = stage.scenario, False
    due = time.time()
    while (now := time.time()) < begins + one.duration:
        news = []
        if one.release is not None and not released and now - begins >= one.release.at:
            stage.release(one.release.image)
            released = True
            news.append(News(now - begins, "release", f"a release is rolled out: {one.release.image}"))
        glimpse = watcher.look(tuple(news))
        record.glimpses.append(glimpse)
        show(glimpse)
        due = max(due + _LOOK_EVERY_S, time.time())
        _sleep_until(min(due, begins + one.duration))


def _problem(samples: Samples, counted: dict[str, Any] | None) -> str:
    if counted is None:
        return "the load generator was not done long after its last request was due: the machine was too busy"
    ticks, prompt = (samples[name][-1] - samples[name][0] for name in ("ticks", "prompt"))
    sent = counted["sent"] + counted["notSent"]
    scraped = len(set(samples["scraped"]))
    return problem_of(
        lagging=1 - prompt / ticks if ticks > 0 else 1.0,
        late=(counted["late"] + counted["notSent"]) / sent if sent else 1.0,
        unmeasured=max(0.0, 1 - scraped / len(samples.times)),
        missed=missed(samples["cycles"]),
    )


def _sleep_until(epoch: float) -> None:
    time.sleep(max(0.0, epoch - time.time()))
