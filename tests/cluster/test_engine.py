"""The engine on a real API server, with answers of a metric source that the test chooses.

The load is past its limit from the start, so that every case would act at once: what holds it back is what is tested.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import Guardrail, Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.api.meta import Condition, Resource, condition
from forestall.demo.cluster import RunningCluster
from forestall.engine import Engine, Settings
from forestall.ports import Answer, QueryFailure, RangeSeries, Sample
from forestall.registry import WATCHED, Registry

API = "forestall.dev/v1alpha1"
START = 1_800_000_000.0
INTERVAL = 10.0


def one(value: float, labels: tuple[tuple[str, str], ...] = ()) -> Callable[[float], Answer]:
    return lambda at: Answer((Sample(labels, value),), at)


@dataclass
class Script:
    """Implements the `Metrics` port: what each indicator answers, by its name."""

    says: dict[str, Callable[[float], Answer | QueryFailure]] = field(default_factory=dict)
    past: dict[str, Callable[[float], float]] = field(default_factory=dict)

    async def instant(self, source, queries, at):
        return {query.key: self.says.get(query.key[1], one(0.0))(at) for query in queries}

    async def range(self, source, queries, start, end, step):
        times = tuple(start + n * step for n in range(int((end - start) / step) + 1))
        return {query.key: self._past(query.key[1], times) for query in queries}

    def _past(self, name, times):
        past = self.past.get(name)
        return () if past is None else (RangeSeries((), times, tuple(map(past, times))),)


@dataclass
class Field:
    """An engine, its cluster and its clock."""

    control: RunningCluster
    namespace: str
    cluster: KubernetesCluster
    registry: Registry = field(default_factory=Registry)
    script: Script = field(default_factory=Script)
    now: float = START

    def __post_init__(self) -> None:
        self.engine = Engine(self.script, self.cluster, self.registry, Settings(interval=INTERVAL))

    async def cycle(self, count: int = 1, *, leading: bool = True) -> None:
        for _ in range(count):
            await self._read()
            await self.engine.cycle(self.now, leading=leading)
            self.now += INTERVAL
        await self._read()

    async def _read(self) -> None:
        """Bring the registry up to date, as the watches do, with this test's namespace alone."""
        for model in WATCHED:
            version = "v1" if model.KIND == "Namespace" else API
            for body in await self.cluster.find(version, model.KIND):
                meta = body["metadata"]
                if (
                    meta["name"] if model.KIND == "Namespace" else meta.get("namespace", self.namespace)
                ) == self.namespace:
                    self.registry.put(model.KIND, body)
            self.registry.mark_synced(model.KIND)

    def apply(self, kind: str, name: str, spec: object, **metadata: object) -> None:
        self.control.apply(
            {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec},
            namespace=self.namespace,
        )

    @property
    def source(self) -> str:
        return f"source-{self.namespace}"

    def spec(self) -> dict[str, object]:
        return {**OBJECTIVE, "source": self.source}

    @property
    def slo(self) -> ServiceLevelObjective:
        found = self.registry.get(ServiceLevelObjective, "checkout", self.namespace)
        assert found is not None
        return found

    def condition(self, kind: str, of: Resource | None = None) -> Condition:
        found = condition((of or self.slo).status.conditions, kind)  # type: ignore[attr-defined]  # each kind has them
        assert found is not None
        return found

    def reason(self, kind: str) -> str:
        return self.condition(kind).reason

    @property
    def decision(self) -> str:
        decisions = self.slo.status.decisions
        assert decisions
        return decisions[0].reason

    @property
    def episode(self) -> int:
        return self.slo.status.episode.number if self.slo.status.episode else 0

    @property
    def remediations(self) -> list[Remediation]:
        return self.registry.all(Remediation, self.namespace)

    @property
    def replicas(self) -> int:
        return int(self.control.get("deployment", "checkout", self.namespace)["spec"]["replicas"])


OBJECTIVE = {
    "target": {"name": "checkout"},
    "indicator": {"ratio": {"bad": 'errors_total{app="checkout"}', "total": 'requests_total{app="checkout"}'}},
    "objective": 99.0,
    "leadingIndicators": [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "5m"}],
}
SCALE = {
    "scale": {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0, "confidence": 0.95}}
}
GUARDRAIL = {"metadata": {"name": "all", "uid": "g-1", "generation": 1}}
POLICY = {"mode": "Auto", "actions": [SCALE], "when": {"probability": 0.8}}


@pytest.fixture
async def world(cluster: RunningCluster, namespace: str) -> AsyncIterator[Field]:
    """`checkout` with two replicas, an objective, a source, and a load of 300 where 100 hurts."""
    cluster.kubectl("create", "deployment", "checkout", "--image=x", "--replicas=2", "-n", namespace)
    access = await Access.find(str(cluster.kubeconfig))
    async with Api(access) as api, Recorder(api, "test") as recorder:
        made = Field(cluster, namespace, KubernetesCluster(api, recorder, "default"))
        made.apply("MetricSource", made.source, {"url": "http://127.0.0.1:9"})
        made.apply("ServiceLevelObjective", "checkout", made.spec(), labels={"team": "shop"})
        made.script.says["load"] = one(300.0)
        yield made
    cluster.kubectl("delete", "metricsource", made.source)


async def test_the_workload_is_scaled_and_everything_says_why(world):
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(2)
    assert world.replicas == 6  # 300 at 50 a replica
    (remediation,) = world.remediations
    assert remediation.status.phase == "Verifying"
    assert (remediation.spec.intent.from_, remediation.spec.intent.to) == (2, 6)
    assert world.slo.status.state == "AtRisk"
    assert world.episode == 1
    assert world.reason("Ready") == "Watching"
    assert "load" in remediation.spec.intent.evidence.reason
    await world.cycle(3)
    assert len(world.remediations) == 1, "one risk, one remediation"
    assert world.decision == "LargeEnough"


async def test_observing_says_what_would_be_done_and_does_nothing(world):
    world.apply("RemediationPolicy", "early", {**POLICY, "mode": "Observe"})
    await world.cycle(3)
    assert world.slo.status.decisions[0].verdict == "WouldAct"
    assert (world.replicas, world.remediations) == (2, [])


async def test_a_standby_writes_nothing(world):
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(3, leading=False)
    assert world.slo.status.state is None
    assert (world.replicas, world.remediations) == (2, [])


BAD_DATA = {
    "refused": (lambda at: QueryFailure("QueryRefused", "1:4: parse error"), "QueryRefused"),
    "nothing": (lambda at: Answer((), at), "NoData"),
    "no series": (lambda at: Answer((), None), "NoData"),
    "too many series": (
        lambda at: Answer((Sample((("a", "1"),), 300.0), Sample((("a", "2"),), 300.0)), at),
        "TooManySeries",
    ),
    "not a number": (one(math.nan), "NotFinite"),
    "infinite": (one(math.inf), "NotFinite"),
    "old": (lambda at: Answer((Sample((), 300.0),), at - 3600), "StaleData"),
    "partial": (lambda at: Answer((Sample((), 300.0),), at, ("a store did not answer",)), "PartialAnswer"),
    "down": (lambda at: QueryFailure("SourceDown", "connection refused"), "SourceDown"),
    "slow": (lambda at: QueryFailure("SourceTimeout", "no answer within 10 s"), "SourceTimeout"),
    "unauthorized": (lambda at: QueryFailure("SourceUnauthorized", "401"), "SourceUnauthorized"),
    "not JSON": (lambda at: QueryFailure("SourceBadAnswer", "not JSON"), "SourceBadAnswer"),
}


@pytest.mark.parametrize("case", BAD_DATA)
async def test_bad_data_never_leads_to_an_action(world, case):
    world.script.says["load"], reason = BAD_DATA[case]
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(3)
    assert world.reason("DataFresh") == reason
    assert (world.replicas, world.remediations) == (2, [])
    # and nothing else is disturbed: as soon as the data is good, it acts
    world.script.says["load"] = one(300.0)
    await world.cycle(2)
    assert world.replicas == 6


async def test_a_missing_target_is_a_condition(world):
    world.control.kubectl("delete", "deployment", "checkout", "-n", world.namespace)
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(2)
    assert world.reason("Ready") == "TargetMissing"
    assert world.decision == "TargetMissing"
    assert world.remediations == []


async def test_a_missing_source_is_a_condition(world):
    world.apply("ServiceLevelObjective", "checkout", {**OBJECTIVE, "source": "nowhere"})
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(2)
    assert world.reason("Ready") == "SourceMissing"
    assert world.remediations == []


async def test_a_source_that_is_not_open_to_the_namespace_is_not_asked(world):
    world.apply("MetricSource", world.source, {"url": "http://x:9", "namespaces": {"matchLabels": {"team": "a"}}})
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(2)
    assert world.reason("Ready") == "SourceNotAllowed"
    assert world.remediations == []


async def test_a_query_that_does_not_parse_is_a_condition(world):
    bad = [{"name": "load", "query": "sum(load", "limit": 100}]
    world.apply("ServiceLevelObjective", "checkout", {**world.spec(), "leadingIndicators": bad})
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(2)
    assert world.reason("Ready") == "InvalidQuery"
    ready = world.condition("Ready")
    assert "spec.leadingIndicators[0].query" in ready.message


async def test_a_policy_that_selects_nothing_says_so(world):
    world.apply("RemediationPolicy", "early", {**POLICY, "objectives": {"matchLabels": {"team": "other"}}})
    await world.cycle(2)
    policy = world.registry.get(RemediationPolicy, "early", world.namespace)
    assert world.condition("Ready", policy).reason == "SelectsNothing"
    assert (world.replicas, world.remediations) == (2, [])


async def test_a_victim_is_not_remediated(world):
    world.apply("ServiceLevelObjective", "database", world.spec())
    world.apply(
        "ServiceLevelObjective", "checkout", {**world.spec(), "dependsOn": ["database"]}, labels={"team": "shop"}
    )
    world.apply("RemediationPolicy", "early", {**POLICY, "objectives": {"matchLabels": {"team": "shop"}}})
    await world.cycle(2)
    assert world.decision == "DependencyAtRisk"
    assert world.remediations == []


async def test_two_objectives_of_one_workload_are_one_remediation(world):
    world.apply("ServiceLevelObjective", "payment", world.spec())
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(3)
    assert len(world.remediations) == 1
    assert world.replicas == 6


async def test_a_budget_is_kept_when_many_are_at_risk_at_once(world):
    for number in range(5):
        world.control.kubectl("create", "deployment", f"app-{number}", "--image=x", "-n", world.namespace)
        world.apply("ServiceLevelObjective", f"app-{number}", {**world.spec(), "target": {"name": f"app-{number}"}})
    world.registry.put(Guardrail.KIND, {**GUARDRAIL, "spec": {"budget": {"actions": 2, "per": "1h"}}})
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(3)
    assert len(world.remediations) == 2
    held = [slo for slo in world.registry.all(ServiceLevelObjective) if slo.status.decisions[0].verdict == "Hold"]
    assert {slo.status.decisions[0].reason for slo in held} >= {"BudgetExhausted"}


async def test_no_more_nodes_are_cordoned_than_may_be_when_many_are_at_risk_at_once(world):
    allow = [{"actions": ["Cordon"]}]
    world.registry.put(Guardrail.KIND, {**GUARDRAIL, "spec": {"nodes": {"maxCordoned": 1}, "allow": allow}})
    for number in (1, 2, 3):
        indicator = {"name": f"disk-{number}", "query": "disk", "limit": 100}
        world.script.says[indicator["name"]] = one(300.0, (("node", f"node-{number}"),))
        world.apply("ServiceLevelObjective", f"disk-{number}", {**world.spec(), "leadingIndicators": [indicator]})
    world.apply("RemediationPolicy", "early", {**POLICY, "actions": [{"cordon": {}}]})
    try:
        await world.cycle(3)
        nodes = json.loads(world.control.kubectl("get", "nodes", "-o", "json").stdout)["items"]
        assert sum(bool(node["spec"].get("unschedulable")) for node in nodes) == 1
        assert len(world.remediations) == 1
    finally:
        world.control.kubectl("uncordon", "node-1", "node-2", "node-3")


async def test_a_new_leader_carries_on_with_what_is_written_down(world):
    world.apply("RemediationPolicy", "early", POLICY)
    await world.cycle(2)
    successor = Field(world.control, world.namespace, world.cluster, script=world.script, now=world.now)
    await successor.cycle(2)
    assert len(successor.remediations) == 1
    assert successor.episode == 1
    assert successor.replicas == 6


async def test_a_status_is_written_on_change_only(world):
    await world.cycle(3)
    before = world.slo.metadata.resource_version
    await world.cycle(4)
    assert world.slo.metadata.resource_version == before


# What is around an action. START is 2027-01-15 08:00 UTC, a Friday.

RESTART = {**POLICY, "actions": [{"restart": {}}]}
MORNING = {"cron": "0 8 * * 1-5", "duration": "1h"}
EVENING = {"cron": "0 22 * * *", "duration": "1h", "timeZone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ({"blackoutWindows": [EVENING, MORNING]}, "BlackoutWindow"),
        ({"maintenanceWindows": [EVENING]}, "OutsideMaintenanceWindow"),
        ({"blackoutWindows": [{**MORNING, "actions": ["Restart"]}], "maintenanceWindows": [EVENING, MORNING]}, ""),
    ],
)
async def test_windows_of_a_policy(world, windows, reason):
    world.apply("RemediationPolicy", "early", {**POLICY, **windows})
    await world.cycle(2)
    assert world.replicas == (2 if reason else 6)
    if reason:
        assert world.decision == reason
        world.now += 3600 if reason == "BlackoutWindow" else 13 * 3600
        await world.cycle(2)
        assert world.replicas == 6, "it is only put off"


async def test_a_window_that_opens_before_the_action_is_begun_holds_it(world):
    world.now -= 5
    policy = {**POLICY, "mode": "Approve", "blackoutWindows": [MORNING]}
    world.apply("RemediationPolicy", "early", policy)
    await world.cycle()
    (remediation,) = world.remediations
    approval = {"spec": {"approval": {"decision": "Approved", "by": "jo"}}}
    merge = ("--type=merge", "-p", json.dumps(approval))
    world.control.kubectl("patch", "remediation", remediation.name, "-n", world.namespace, *merge)
    await world.cycle(2)
    assert world.replicas == 2
    assert world.remediations[0].status.reason == "BlackoutWindow"


async def test_a_window_that_never_opens_is_told_in_a_condition(world):
    world.apply("RemediationPolicy", "early", {**POLICY, "blackoutWindows": [{**MORNING, "cron": "0 0 30 2 *"}]})
    await world.cycle(2)
    body = world.control.get("remediationpolicy", "early", world.namespace)
    (ready,) = body["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert "never comes" in ready["message"]
    assert world.replicas == 2


@pytest.mark.parametrize("what", ["deployment/checkout", "namespace"])
async def test_what_is_protected_is_left_alone(world, what):
    world.apply("RemediationPolicy", "early", POLICY)
    place = ["namespace", world.namespace] if what == "namespace" else [what, "-n", world.namespace]
    world.control.kubectl("annotate", *place, "forestall.dev/protected=true")
    await world.cycle(2)
    assert (world.decision, world.replicas) == ("Protected", 2)
    world.control.kubectl("annotate", *place, "forestall.dev/protected-")
    await world.cycle(2)
    assert world.replicas == 6


async def test_a_restart_waits_for_a_disruption_budget(world):
    wait = ("rollout", "status", "deployment/checkout", "-n", world.namespace, "--timeout=60s")
    world.control.kubectl(*wait)
    budget = {"selector": {"matchLabels": {"app": "checkout"}}, "minAvailable": 2}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "checkout"}, "spec": budget}
    world.control.apply(body, namespace=world.namespace)
    looked = "--for=jsonpath={.status.observedGeneration}=1"
    world.control.kubectl("wait", looked, "pdb/checkout", "-n", world.namespace, "--timeout=30s")
    world.apply("RemediationPolicy", "early", RESTART)
    await world.cycle(2)
    assert (world.decision, world.remediations) == ("DisruptionNotAllowed", [])
    looser = ("--type=merge", "-p", json.dumps({"spec": {"minAvailable": 1}}))
    world.control.kubectl("patch", "pdb", "checkout", "-n", world.namespace, *looser)
    looked = "--for=jsonpath={.status.disruptionsAllowed}=1"
    world.control.kubectl("wait", looked, "pdb/checkout", "-n", world.namespace, "--timeout=30s")
    await world.cycle(2)
    assert len(world.remediations) == 1


async def test_a_restart_waits_until_pods_are_ready_again(world):
    world.control.kubectl("set", "image", "deployment/checkout", "*=y", "-n", world.namespace)
    world.control.kubectl("scale", "deployment/checkout", "--replicas=200", "-n", world.namespace)
    world.apply("RemediationPolicy", "early", RESTART)
    await world.cycle()
    ready = world.control.get("deployment", "checkout", world.namespace)["status"].get("readyReplicas", 0)
    assert ready < 150, "the pods must still be starting"
    assert (world.decision, world.remediations) == ("TooFewReady", [])


async def test_a_storm_is_not_answered_by_actions(world):
    names = [f"part-{number}" for number in range(4)]
    for name in names:
        world.apply("ServiceLevelObjective", name, world.spec())
    guardrail = f"storm-{world.namespace}"
    world.apply("Guardrail", guardrail, {"storm": {"objectives": 5, "share": 1, "within": "1m"}})
    world.apply("RemediationPolicy", "early", POLICY)
    try:
        await world.cycle(2)
        assert (world.decision, world.replicas, world.remediations) == ("Storm", 2, [])
        world.apply("Guardrail", guardrail, {"storm": {"objectives": 6, "share": 1, "within": "1m"}})
        await world.cycle(2)
        assert world.replicas == 6
    finally:
        world.control.kubectl("delete", "guardrail", guardrail)


async def test_every_rung_is_tried_once_and_then_the_ladder_is_exhausted(world):
    rungs = [
        {"indicators": ["sli"], "evict": {}},
        {"restart": {}},
        {"indicators": ["load"], "scale": {"maxReplicas": 4}},
    ]
    world.apply("RemediationPolicy", "early", {**POLICY, "actions": rungs, "verification": {"within": "20s"}})
    for _ in range(100):
        await world.cycle()
        if world.decision == "LadderExhausted":
            break
        await asyncio.sleep(0.1)  # the cluster's own controllers take their time
    assert world.decision == "LadderExhausted", world.slo.status.decisions
    done = {one.spec.intent.action.name: one for one in world.remediations}
    assert done.keys() == {"Restart", "Scale"}, "the rung for another cause is passed over"
    assert (done["Restart"].status.phase, done["Restart"].status.reason) == ("Failed", "NotHelped")
    assert done["Scale"].status.phase == "RollingBack"
    assert world.replicas == 4, "capacity is not taken away while the risk lasts"
    await world.cycle(3)
    assert len(world.remediations) == 2


async def test_a_rung_can_be_for_the_sli_itself(world):
    world.script.says |= {"load": one(0.0), "sli": one(1.0)}
    rungs = [{"indicators": ["load"], **SCALE}, {"indicators": ["sli"], "restart": {}}]
    world.apply("RemediationPolicy", "early", {**POLICY, "actions": rungs})
    await world.cycle(2)
    (remediation,) = world.remediations
    assert (remediation.spec.intent.evidence.indicator, remediation.spec.intent.action.name) == ("sli", "Restart")


async def test_a_restart_waits_for_the_quiet_hour_that_comes_before_the_breach(world):
    def leak(at: float) -> float:
        return 60 + (at - START) / 75  # at its limit in 50 minutes

    def traffic(at: float) -> float:
        return 10.0 if 600 <= (at - START) % 86400 < 2400 else 100.0

    world.script.says["load"] = lambda at: one(leak(at))(at)
    world.script.past |= {"load": leak, "traffic": traffic}
    leaking = [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "1h", "trend": "Saturation"}]
    world.apply("ServiceLevelObjective", "checkout", {**world.spec(), "leadingIndicators": leaking})
    policy = {**POLICY, "actions": [{"restart": {}}], "deadline": "10m", "approvalExpiry": "10m"}
    world.apply("RemediationPolicy", "early", policy)
    await world.cycle(3)
    assert world.decision == "WaitingForQuiet", world.slo.status.decisions
    assert world.remediations == []
    world.apply("RemediationPolicy", "early", {**policy, "actions": [{"restart": {"timing": "Now"}}]})
    await world.cycle(2)
    assert len(world.remediations) == 1
