"""The manifests of the demo, and the comparison of two runs."""

import io
import math
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from rich.console import Console
from tests.support.pages import HOSTILE, Page

from forestall.api import API_VERSION, KINDS, ServiceLevelObjective
from forestall.demo.comparison import ScenarioComparison
from forestall.demo.figures import Samples, run_figures
from forestall.demo.metrics import PLAYED, run_queries
from forestall.demo.page import drawing, page
from forestall.demo.scenario_run import ScenarioRun
from forestall.demo.scenarios import OBJECTIVE, REAL_SCENARIOS, SCENARIOS, Scenario, project_folder
from forestall.demo.screen import Screen
from forestall.demo.watcher import RunEvent, RunRecording, RunSnapshot

STATUS = {
    "state": "AtRisk",
    "breachProbability": "63%",
    "timeToBreach": "14s",
    "cause": {"indicator": "load-per-pod", "value": "22", "limit": "30", "forecast": "38", "probability": "63%"},
}


def objects(scenario: Scenario) -> list[dict[str, Any]]:
    text = (project_folder() / "examples" / "shop" / scenario.manifest).read_text()
    return [body for body in yaml.safe_load_all(text) if body]


def objective(scenario: Scenario, status: dict[str, Any] | None = None) -> ServiceLevelObjective:
    body = next(body for body in objects(scenario) if body["kind"] == "ServiceLevelObjective")
    return ServiceLevelObjective.read({**body, "status": status or {}})


def run(
    scenario: Scenario, *, bad_from: int | None = None, events: tuple[RunEvent, ...] = (), problem: str = ""
) -> ScenarioRun:
    """A run with ten requests a second, none of which is good from `bad_from` on."""
    times = [float(n) for n in range(int(scenario.duration) + 1)]
    good = [10 * (at if bad_from is None else min(at, bad_from)) for at in times]
    series = {name: [1.0] * len(times) for name in run_queries(PLAYED, "shop")}
    series |= {"good": good, "total": [10 * at for at in times], "arrivals": [10 * at for at in times]}
    series["pods"] = [3.0] * len(times)
    samples = Samples(times, series)
    record = RunRecording([RunSnapshot(20.0, {"load": 10.0, "good": None}, objective(scenario, STATUS), events)])
    return ScenarioRun(run_figures(samples, OBJECTIVE, scenario.minutes_per_second, problem), samples, record)


ALL = [*SCENARIOS.values(), *REAL_SCENARIOS.values()]


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.manifest)
def test_the_manifests_match_the_scenarios(scenario):
    slo = objective(scenario)
    indicator = next(indicator for indicator in slo.spec.leading_indicators if indicator.name == scenario.indicator)
    assert (slo.spec.objective, indicator.limit) == (OBJECTIVE, scenario.limit)
    kinds = {kind.KIND: kind for kind in KINDS}
    for body in objects(scenario):
        if body["apiVersion"] == API_VERSION:
            kinds[body["kind"]].read(body)
    policy = next(body for body in objects(scenario) if body["kind"] == "RemediationPolicy")
    assert policy["spec"]["mode"] == "Auto"
    assert slo.metadata.labels.items() >= policy["spec"]["objectives"]["matchLabels"].items()


def test_the_clock_shows_the_recorded_day():
    node = SCENARIOS["node"]
    assert node.release is not None
    assert node.clock(node.release.at) in node.story
    assert (node.clock(-3), node.clock(0), node.clock(node.duration)) == ("10:00", "10:00", "16:00")


@pytest.fixture
def comparison():
    scenario = SCENARIOS["surge"]
    acted = RunEvent(30.0, "act", 'replicas of "shop": 3 -> 6, because <load> & more')
    return ScenarioComparison(scenario, run(scenario, bad_from=50), run(scenario, events=(acted,)))


def test_the_lead_time_ends_at_the_breach_without_the_operator(comparison):
    assert comparison.lead_time == 20
    assert comparison.prevented
    assert comparison.as_json()["leadTimeSeconds"] == 20
    scenario = comparison.scenario
    assert ScenarioComparison(scenario, comparison.without, run(scenario)).lead_time is None
    assert ScenarioComparison(scenario, run(scenario), comparison.with_).lead_time is None


def test_a_comparison_with_an_invalid_run_is_invalid(comparison):
    scenario = comparison.scenario
    spoilt = ScenarioComparison(scenario, comparison.without, run(scenario, problem="the machine was too busy"))
    assert spoilt.problem == "with the operator: the machine was too busy"
    assert spoilt.as_json()["valid"] is False
    assert "Not valid: with the operator: the machine was too busy" in page(spoilt)


def test_prevention_needs_a_breach_without_the_operator_and_none_with_it(comparison):
    scenario = comparison.scenario
    assert not ScenarioComparison(scenario, run(scenario), run(scenario)).prevented
    assert not ScenarioComparison(scenario, comparison.without, run(scenario, bad_from=80)).prevented


def test_on_real_nodes_the_comparison_counts_the_pods_that_were_killed():
    """The kernel's kills are part of what happened, as the missed objective is."""
    scenario = REAL_SCENARIOS["leak"]
    killed = (RunEvent(30.0, "loss", "the kernel kills a: OOMKilled"), RunEvent(31.0, "loss", "the kubelet evicts b"))
    real = ScenarioComparison(scenario, run(scenario, bad_from=30, events=killed), run(scenario))
    assert ("pods killed or evicted", "2", "0") in real.rows
    assert real.as_json()["losses"] == {"without": 2, "with": 0}
    assert "<code>forestall demo --scenario leak --cluster nodes</code>" in page(real)
    titles = [element.text for element in ET.fromstring(drawing(real)).iter() if element.tag.endswith("title")]
    assert titles.count("the kernel kills a: OOMKilled") == 4


def test_the_demo_report_is_well_formed_and_self_contained(comparison):
    tree = ET.fromstring(drawing(comparison))
    red = [element for element in tree.iter() if element.get("class") == "event"]
    slots = comparison.without.figures.bad_minutes / comparison.scenario.minutes_per_second / 2
    assert len(red) == 4 * round(slots)  # in each of the four diagrams of the run without the operator
    titles = [element.text for element in tree.iter() if element.tag.endswith("title")]
    assert titles.count(comparison.with_.record.events[0].text) == 4
    start = comparison.scenario.clock(0)
    assert titles.count(f"{start}: 100") == 2  # percent good at the beginning, in both runs
    html = page(comparison)
    assert "<load>" not in html
    assert "://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<code>forestall demo --scenario surge</code>" in html
    assert 'data-of="with forestall"' in html  # a narrow page names each figure


def test_foreign_text_is_escaped_in_the_page(comparison):
    """The kind: a message from a cluster becomes markup in a file that people open."""
    scenario = comparison.scenario
    acted = RunEvent(30.0, "act", HOSTILE)
    spoilt = Page(
        page(ScenarioComparison(scenario, comparison.without, run(scenario, events=(acted,), problem=HOSTILE)))
    )
    expected = Page(page(ScenarioComparison(scenario, comparison.without, run(scenario, events=(acted,), problem="x"))))
    assert (spoilt.elements, spoilt.attributes) == (expected.elements, expected.attributes)
    assert spoilt.says(HOSTILE) == 5  # the problem, and the action in each of four diagrams
    assert not spoilt.elements.keys() & {"script", "img"}


def test_plain_output_has_a_line_for_each_event():
    out = io.StringIO()
    scenario = SCENARIOS["surge"]
    screen = Screen(Console(file=out, width=40), scenario)
    with screen.run("with forestall", RunRecording()) as show:
        shop = {"load": 84.2, "good": 0.995, "p95": 0.18, "ready": 3.0, "starting": 2.0}
        show(RunSnapshot(40.0, shop, objective(scenario, STATUS), (RunEvent(39.0, "act", "replicas: 3 -> 6"),)))
        show(RunSnapshot(41.0, {}, None))
        show(RunSnapshot(46.0, dict.fromkeys(shop), None))
    risk = "AtRisk, breach 63% in 14s"
    lines = [line.split("] ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == [
        "with forestall",
        f"{scenario.clock(39)} ▶ replicas: 3 -> 6",
        f"{scenario.clock(40)} 84 requests/s, 99 % good, 95 % within 180 ms, 3 pods ready + 2 starting; {risk}",
        f"{scenario.clock(46)} - requests/s, - good, 95 % within -, - pods ready",
    ]


def test_the_terminal_shows_a_run_with_gaps():
    out = io.StringIO()
    scenario = SCENARIOS["surge"]
    record = RunRecording()
    with Screen(Console(file=out, width=100, force_terminal=True), scenario).run("with", record) as show:
        for at, load in ((-2.0, None), (0.0, 30.0), (50.0, math.nan), (110.0, 190.0)):
            record.snapshots.append(RunSnapshot(at, {"load": load, "good": 0.9}, objective(scenario, STATUS)))
            show(record.snapshots[-1])
    assert "63%" in out.getvalue()
    assert "forecast up to 38, limit 30" in out.getvalue()
