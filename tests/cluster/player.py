"""Plays a part of one of the demo's scenarios, and prints its result; `test_scenarios.py` starts it.

python player.py SCENARIO FIRST_HOUR LAST_HOUR
"""

import json
import sys
from dataclasses import replace

from rich.console import Console

from forestall.demo.runner import compare_runs
from forestall.demo.scenarios import SCENARIOS, Scenario


def part_of(name: str, first: float, last: float) -> Scenario:
    """The scenario between these hours, at the same speed and half the size, as it is played beside other tests."""
    scenario = SCENARIOS[name]
    seconds_per_hour = scenario.duration / (scenario.hours[1] - scenario.hours[0])
    part = replace(scenario, hours=(first, last), duration=round((last - first) * seconds_per_hour))
    # On a busy machine the pods that a full disk breaks may come when it would be cleaned up already.
    part = replace(part, shop=(*part.shop, "--cleaned-at", "1e9")) if name == "node" else part
    return part.halved() if part.divisible else part


def main(name: str, first: str, last: str) -> None:
    """Play the scenario; again at a smaller size where the machine is too busy for meaningful figures."""
    comparison = compare_runs(part_of(name, float(first), float(last)), Console(stderr=True, width=200))
    actions = [event.text for event in comparison.with_.record.events if event.kind == "act"]
    print(json.dumps({**comparison.as_json(), "done": actions}))  # noqa: T201 -- it is what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
