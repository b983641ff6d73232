"""What the checker of subjects asks for, and what it leaves of an objective's findings; on lists and forecasts that a
test sets. How the engine uses it is in `test_subject_checker.py`.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from forestall.api import Remediation, ServiceLevelObjective
from forestall.api.times import stamp
from forestall.core.risk import ObjectiveState, Risk
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.objective_status import Findings
from forestall.engine.readings import Reading
from forestall.engine.snapshot import Snapshot
from forestall.engine.subject_checker import SubjectChecker
from forestall.errors import ClusterError, Unavailable
from forestall.isolation import ErrorIsolation
from forestall.ports import Labels, Query, QueryFailure

NOW = 1_800_000_000.0
OLDEST = NOW - 300.0
"""From when on samples count."""
AT_RISK_FROM = 0.5
RISK, CALM = AT_RISK_FROM, AT_RISK_FROM - 0.01


@dataclass
class Lists:
    """Implements `find_metadata`: the objects by kind and name, each with what differs from the usual metadata."""

    there: dict[str, dict[str, Any]] = field(default_factory=lambda: {"Pod": {}, "Node": {}})
    error: ClusterError | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def find_metadata(self, api_version: str, kind: str, namespace: str = "", *, field_selector: str = "") -> Any:
        self.asked.append((kind, namespace))
        if self.error is not None:
            raise self.error
        usual = {"creationTimestamp": stamp(OLDEST - 3600)}
        return [{"name": name, "uid": f"uid-{name}", **usual, **more} for name, more in self.there[kind].items()]


def reading(values: dict[str, float], per: str | None = "pod", indicator: str = "memory", **changes: Any) -> Reading:
    """Return a reading with one series for each value of the label `per`; the values are breach probabilities."""
    watched = IndicatorQuery("o-1", indicator, Query(("o-1", indicator), "x"), 100.0, True, 600.0, per, False)
    series: dict[Labels, float] = {((per or "zone", name),): probability for name, probability in values.items()}
    return replace(Reading(watched, series, NOW, fresh=True), **changes)


class Checked:
    """A checker, the lists that it asks for, and its findings about one objective."""

    def __init__(self, slo: ServiceLevelObjective, make_signal: Any) -> None:
        self.slo, self.make_signal = slo, make_signal
        self.lists = Lists()
        self.checker = SubjectChecker(self.lists, 4, ErrorIsolation())

    def there(self, kind: str, *names: str, **more: dict[str, Any]) -> None:
        """Let these objects exist, and no others of the kind; `more` are such with other metadata."""
        self.lists.there[kind] = {**{name: {} for name in names}, **more}

    def findings(self, *readings: Reading) -> Findings:
        signals = [
            replace(
                self.make_signal(probability=probability, labels=labels, fresh=item.fresh),
                indicator=item.watched.indicator,
                sampled_at=item.sampled_at,
            )
            for item in readings
            for labels, probability in item.values.items()
        ]
        return Findings(self.slo, Risk(ObjectiveState.AT_RISK, 1.0, None), readings=readings, signals=signals)

    async def check(self, *readings: Reading, under_way: tuple[Remediation, ...] = ()) -> Findings:
        """Return what is left of the findings in a cycle with these readings."""
        snapshot = Snapshot({self.slo.uid: self.slo}, {}, list(under_way), [])
        by_uid = {self.slo.uid: self.findings(*readings)}
        after = await self.checker.applied(snapshot, by_uid, {self.slo.uid: AT_RISK_FROM}, lambda _: OLDEST, math.inf)
        return after[self.slo.uid]

    async def cycle_without_objectives(self) -> None:
        await self.checker.applied(Snapshot({}, {}, [], []), {}, {}, lambda _: OLDEST, math.inf)


@pytest.fixture
def checked(slo, make_signal):
    return Checked(slo, make_signal)


def of_namespace(namespace: str, label: str = "pod") -> Reading:
    """Return a reading of one series at risk with this label `namespace`."""
    return replace(reading({}, label), values={((label, "a"), ("namespace", namespace)): RISK})


PODS, NODES = [("Pod", "shop")], [("Node", "")]


@pytest.mark.parametrize(
    ("readings", "asked"),
    [
        ([reading({"a": RISK})], PODS),
        ([reading({"a": CALM})], []),
        ([reading({"a": RISK}, "node")], NODES),
        ([reading({"a": CALM}, "node")], []),
        ([reading({"a": RISK}, "zone")], []),
        ([reading({"a": RISK}, None)], []),
        ([reading({"a": RISK}, fresh=False)], []),
        ([reading({"": RISK})], []),
        ([reading({})], []),
        ([reading({"a": CALM}), reading({"a": RISK}, "zone", "disk")], []),
        ([reading({"a": RISK}), reading({"a": RISK}, "node", "disk")], PODS + NODES),
        ([reading({"a": RISK}), reading({"a": RISK}, "pod", "disk")], PODS),
        ([of_namespace("shop")], PODS),
        ([of_namespace("")], PODS),
        ([of_namespace("bank")], []),
        ([of_namespace("bank", "node")], NODES),
    ],
)
async def test_only_subjects_of_an_indicator_at_risk_are_listed(checked, readings, asked):
    await checked.check(*readings)
    assert sorted(checked.lists.asked) == sorted(asked)


@pytest.mark.parametrize(
    ("item", "phase", "asked"),
    [
        (reading({"a": CALM}), "Executing", PODS),
        (reading({"a": CALM}), "Succeeded", []),
        (reading({"a": CALM}, fresh=False), "Executing", []),
        (reading({"a": CALM}, "zone"), "Executing", []),
    ],
)
async def test_subjects_are_listed_without_a_risk_while_a_remediation_is_under_way(
    checked, make_remediation, item, phase, asked
):
    await checked.check(item, under_way=(make_remediation(phase),))
    assert checked.lists.asked == asked


def left(findings: Findings) -> dict[str, list[str]]:
    """Return the subjects of the signals of each indicator, in alphabetical order."""
    names: dict[str, list[str]] = {}
    for signal in findings.signals:
        names.setdefault(signal.indicator, []).extend(name for _, name in signal.labels)
    return {indicator: sorted(of_indicator) for indicator, of_indicator in names.items()}


async def test_the_series_of_a_missing_pod_are_left_out_of_the_indicator_at_risk_only(checked):
    checked.there("Pod", "here")
    calm = reading({"gone": CALM, "here": CALM}, indicator="disk")
    after = await checked.check(reading({"gone": RISK, "here": CALM}), calm)
    assert left(after) == {"memory": ["here"], "disk": ["gone", "here"]}
    assert [list(item.values) for item in after.readings] == [[(("pod", "here"),)], list(calm.values)]
    assert [item.problem for item in after.readings] == [None, None]
    assert after.risk.state is ObjectiveState.HEALTHY
    assert after.warnings == ("memory: the last series of pod gone, which is gone, is left out",)


async def test_an_indicator_all_of_whose_pods_are_missing_has_no_data(checked):
    checked.there("Pod", "checkout-2")
    after = await checked.check(reading({"checkout-1": RISK}))
    (item,), (signal,) = after.readings, after.signals
    assert (dict(item.values), item.fresh, item.problem.reason) == ({}, False, "SubjectGone")
    assert (signal.labels, signal.fresh, math.isnan(signal.value)) == ((), False, True)
    assert after.risk.state is ObjectiveState.UNKNOWN


async def test_a_node_is_not_taken_for_missing_because_its_name_begins_as_those_of_pods_do(checked):
    """Before its label has named a node, it may name anything."""
    checked.there("Node", "n1")
    after = await checked.check(reading({"checkout-1": RISK}, "node"))
    assert left(after) == {"memory": ["checkout-1"]}
    assert after.warnings[0].startswith("memory: its label node names none of the nodes")


async def test_only_what_was_at_risk_is_silent_when_it_has_no_series_any_more(checked):
    checked.there("Node", "risky", "calm", "here")
    of_disk = reading({"calm": RISK, "here": CALM}, "node", "disk")
    await checked.check(reading({"risky": RISK, "calm": CALM, "here": CALM}, "node"), of_disk)
    after = await checked.check(reading({"here": CALM}, "node"), of_disk)
    memory, disk = after.readings
    assert (memory.silent, disk.silent) == ({"risky"}, frozenset())
    assert (memory.problem.reason, disk.problem) == ("SubjectSilent", None)


async def test_the_problem_of_a_reading_is_told_before_a_silence(checked):
    checked.there("Node", "a", "b")
    await checked.check(reading({"a": RISK, "b": CALM}, "node"))
    partial = QueryFailure("PartialData", "some series have no value")
    after = await checked.check(reading({"b": CALM}, "node", problem=partial))
    (item,) = after.readings
    assert (item.silent, item.problem) == ({"a"}, partial)


async def test_an_objective_that_returns_after_a_cycle_has_no_silent_subjects(checked):
    checked.there("Node", "a", "b")
    await checked.check(reading({"a": RISK, "b": CALM}, "node"))
    await checked.cycle_without_objectives()
    after = await checked.check(reading({"b": RISK}, "node"))
    assert after.readings[0].silent == frozenset()


async def test_an_objective_that_returns_after_a_cycle_has_a_label_that_is_not_known(checked):
    """What it names now may be something else than before."""
    checked.there("Node", "a")
    await checked.check(reading({"a": RISK}, "node"))
    checked.there("Node")
    assert (await checked.check(reading({"a": RISK}, "node"))).readings[0].problem.reason == "SubjectGone"
    await checked.cycle_without_objectives()
    after = await checked.check(reading({"a": RISK}, "node"))
    assert left(after) == {"memory": ["a"]}


@pytest.mark.parametrize(("returns", "names"), [(False, ["here"]), (True, ["gone", "here"])])
async def test_what_a_list_said_counts_until_no_objective_is_in_its_namespace(checked, returns, names):
    checked.there("Pod", "here")
    await checked.check(reading({"gone": RISK, "here": CALM}))
    if returns:
        await checked.cycle_without_objectives()
    checked.lists.error = Unavailable("no answer")
    assert left(await checked.check(reading({"gone": RISK, "here": CALM})))["memory"] == names


@pytest.mark.parametrize(
    ("created", "probability", "fresh"),
    [
        (NOW + 1, RISK, False),
        (NOW + 1, CALM, True),
        (NOW, RISK, True),
        (NOW - 60, RISK, True),
    ],
)
async def test_a_risk_by_samples_from_before_a_pod_was_created_is_not_known(checked, created, probability, fresh):
    """They are of the pod that had its name before."""
    checked.there("Pod", "other", pod={"creationTimestamp": stamp(created)})
    after = await checked.check(reading({"pod": probability, "other": RISK}))
    assert {signal.label("pod"): signal.fresh for signal in after.signals} == {"pod": fresh, "other": True}
    doubt = "memory: high values of pod pod may be of the pod that had the name before"
    assert (doubt in after.warnings) is (created > NOW)


async def test_a_pod_whose_samples_are_in_doubt_is_not_silent_later(checked):
    checked.there("Pod", "other", pod={"creationTimestamp": stamp(NOW + 1)})
    await checked.check(reading({"pod": RISK, "other": RISK}))
    after = await checked.check(reading({"other": RISK}))
    assert after.readings[0].silent == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "fresh"),
    [
        ({"uid": "1"}, {"uid": "2"}, False),
        ({"uid": "1"}, {"uid": "1"}, True),
        (None, {"uid": "2"}, True),
    ],
    ids=["replaced", "same", "new"],
)
async def test_a_pod_that_took_the_name_of_a_listed_one_has_old_samples_until_they_do_not_count(
    checked, before, after, fresh
):
    young = {"creationTimestamp": stamp(OLDEST + 1)}
    checked.there("Pod", "other", **({} if before is None else {"pod": {**young, **before}}))
    await checked.check(reading({"other": RISK}))
    checked.there("Pod", "other", pod={**young, **after})
    found = await checked.check(reading({"pod": RISK, "other": RISK}))
    assert {signal.label("pod"): signal.fresh for signal in found.signals} == {"pod": fresh, "other": True}
    checked.there("Pod", "other", pod={"creationTimestamp": stamp(OLDEST), **after})
    found = await checked.check(reading({"pod": RISK, "other": RISK}))
    assert all(signal.fresh for signal in found.signals)


async def test_an_error_about_one_objective_leaves_the_findings_of_others(checked, slo):
    """Kind: the exception of one object ends the cycle for all."""
    checked.there("Pod", "here")
    other = slo.model_copy(update={"metadata": slo.metadata.model_copy(update={"uid": "o-2", "name": "other"})})
    found = checked.findings(reading({"gone": RISK, "here": CALM}))
    by_uid = {slo.uid: found, other.uid: replace(found, slo=other)}
    snapshot = Snapshot({slo.uid: slo, other.uid: other}, {}, [], [])
    after = await checked.checker.applied(snapshot, by_uid, {other.uid: AT_RISK_FROM}, lambda _: OLDEST, math.inf)
    assert left(after[other.uid]) == {"memory": ["here"]}
    problem = after[slo.uid].problem
    assert problem is not None
    assert problem.reason == "InternalError"
