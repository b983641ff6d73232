"""What the guards are asked with: of Remediations, Guardrails and policies, of pods, nodes and protection."""

from dataclasses import replace

import pytest
from tests.support.memory_cluster import MemoryCluster

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation import ObjectRef
from forestall.core.clock_skew import ClockSkew
from forestall.core.guards import Constraints, DisruptionBudget, RecordedUsage, WorkloadPods
from forestall.engine.guard_input import Evaluation, GuardInputGatherer, IntendedAction
from forestall.engine.node_lister import NodeLister
from forestall.engine.pause_checker import PauseChecker
from forestall.engine.snapshot import Snapshot
from forestall.engine.workload import Workload
from forestall.errors import Unavailable
from forestall.registry import Registry

NOW = 5000.0
DEPLOYMENT = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="d-1")
NODE = ObjectRef(api_version="v1", kind="Node", namespace="", name="n1", uid="Node-n1")
ACTION = {"kind": "Node", "name": "n1", "uid": "Node-n1", "apiVersion": "v1", "namespace": ""}
WORKLOAD = Workload(protected=False, labels={"app": "checkout"}, pods=WorkloadPods(3, 3, 1))


class Pauses(PauseChecker):
    """Says what a test says."""

    reason: str | None = None

    def paused_by(self, *asked):
        self.asked = asked
        return self.reason


class Case:
    """A gatherer, its world, and one action that is intended."""

    def __init__(self, slo, policy, signal):
        self.slo, self.policy, self.signal = slo, policy, signal
        self.cluster, self.registry = MemoryCluster(), Registry()
        self.pauses = Pauses(self.registry, self.cluster)
        self.gatherer = GuardInputGatherer(self.cluster, self.registry, NodeLister(self.cluster), self.pauses)
        self.snapshot = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
        self.evaluation = Evaluation(slo, policy, [signal], 4, "database", {"team": "shop"}, 0.0)

    def intended(self, action="Scale", target=DEPLOYMENT, workload=WORKLOAD, rung=1):
        return IntendedAction(self.evaluation, action, self.signal, target, workload, rung)

    async def gather(self, action="Scale", target=DEPLOYMENT, workload=WORKLOAD, **snapshot):
        intended = self.intended(action, target, workload)
        return await self.gatherer.gather(replace(self.snapshot, **snapshot), intended, NOW)

    def node(self, name, **spec):
        body = self.cluster.insert({"kind": "Node", "metadata": {"name": name, "uid": f"Node-{name}"}, "spec": spec})
        body["status"] = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "1", "pods": "10"},
        }

    def pod(self, name, node="n1", cpu="600m", namespace="shop"):
        body = self.cluster.insert({
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": name},
            "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu}}}]},
        })  # fmt: skip
        body["status"] = {"phase": "Running"}


@pytest.fixture
def case(slo, make_policy, make_signal):
    return Case(slo, make_policy(cooldown="7m"), make_signal())


async def test_guard_input_has_every_fact_that_guards_need(case, make_guardrail):
    case.pauses.reason = "everything is paused"
    usage = RecordedUsage(1.0, NOW)
    guardrail = make_guardrail(
        allow=[{"namespaces": {"matchLabels": {"team": "shop"}}, "actions": ["Scale"]}],
        budget={"actions": 2, "per": "1h"},
    )
    found = await case.gather(
        guardrails=[guardrail],
        clocks=ClockSkew(source_reasons={"default": "ahead"}),
        debts={("all", ""): usage},
    )
    assert (found.now, found.action.name, found.namespace, found.rung) == (NOW, "Scale", "shop", 1)
    assert (found.policy_uid, found.objective_uid, found.episode) == ("p-1", "o-1", 4)
    assert (found.cause, found.victim_of, found.cooldown) == (case.signal, "database", 420.0)
    assert (found.suspended, found.paused, found.allowed) == (False, "everything is paused", True)
    assert case.pauses.asked == ("shop", "checkout", "early", NOW)
    assert found.clock_skew == "ahead"
    assert [bucket.recorded_usage for bucket in found.buckets] == [usage]
    assert (found.active_remediation, found.history, found.last_ended_at, found.nodes) == (None, (), None, None)
    assert not (await case.gather("Restart", guardrails=[guardrail])).allowed
    case.policy = RemediationPolicy.read({**case.policy.dump(), "spec": {**case.policy.spec.dump(), "suspend": True}})
    case.evaluation = replace(case.evaluation, policy=case.policy)
    assert (await case.gather()).suspended


def ended(make_remediation, phase="Succeeded", at="1970-01-01T00:16:40Z", name="x", **more):
    body = make_remediation(phase, **more).dump()
    body["status"]["ended"] = at
    body["metadata"]["name"] = name
    return type(make_remediation(phase)).read(body)


def of_others(remediation, *, policy=None, objective=None):
    body = remediation.dump()
    if policy:
        body["spec"]["intent"]["policy"]["uid"] = policy
    if objective:
        body["spec"]["intent"]["objective"]["uid"] = objective
    return type(remediation).read(body)


async def test_history_is_of_the_target_or_of_the_policy_for_the_objective(case, make_remediation):
    remediations = [
        ended(make_remediation, name="mine"),
        ended(make_remediation, name="mine-elsewhere", uid="d-2", at="1970-01-01T01:00:00Z"),
        of_others(ended(make_remediation, name="on-target", at="1970-01-01T00:20:00Z"), policy="p-2", objective="o-2"),
        of_others(ended(make_remediation, name="by-others-elsewhere", uid="d-2"), policy="p-2"),
        of_others(ended(make_remediation, name="for-others-elsewhere", uid="d-2"), objective="o-2"),
        ended(make_remediation, name="told", action={"notify": {"channel": "pager"}}, at="1970-01-01T02:00:00Z"),
    ]
    found = await case.gather(remediations=remediations)
    assert sorted(one.name for one in found.history) == ["mine", "mine-elsewhere", "on-target"]
    assert found.last_ended_at == 1200.0, "of what was on the target alone"
    assert found.active_remediation is None


@pytest.mark.parametrize(("tried", "rests"), [({"restart": {}}, True), ({"scale": {"maxReplicas": 8}}, False)])
async def test_cooldown_is_shared_by_actions_that_replace_pods_of_one_workload(case, make_remediation, tried, rests):
    pod = ObjectRef(api_version="v1", kind="Pod", namespace="shop", name="a", uid="p-a")
    other = of_others(ended(make_remediation, action=tried, name="other"), policy="p-2")
    found = await case.gather("Evict", pod, remediations=[other])
    assert (found.last_ended_at is not None) is rests


async def test_active_remediation_is_named_unless_it_is_of_another_namespace(case, make_remediation):
    live = make_remediation("Verifying")
    assert (await case.gather(remediations=[live])).active_remediation == live.name
    body = live.dump()
    body["metadata"]["namespace"] = "bank"
    theirs = type(live).read(body)
    assert (await case.gather(remediations=[theirs])).active_remediation == "a remediation of another namespace"
    vain = make_remediation("RollingBack", verified="False")
    assert (await case.gather(remediations=[vain])).active_remediation == vain.name
    assert (await case.gather("Restart", remediations=[vain])).active_remediation is None


# What is around the action


@pytest.mark.parametrize(
    ("annotations", "workload", "protected"),
    [
        ({}, WORKLOAD, None),
        ({"forestall.dev/protected": "false"}, WORKLOAD, None),
        ({"forestall.dev/protected": "true"}, WORKLOAD, "namespace shop"),
        ({}, replace(WORKLOAD, protected=True), "the objective's workload"),
    ],
)
async def test_what_is_protected_is_named(case, annotations, workload, protected):
    metadata = {"name": "shop", "uid": "n", "annotations": annotations}
    case.registry.put("Namespace", {"metadata": metadata, "spec": {}})
    assert (await case.gather(workload=workload)).constraints.protected == protected
    assert case.cluster.requests == [], "nothing but a node is read for it"


async def test_a_node_that_is_protected_is_named_and_one_that_can_not_be_read_is_another_guards_matter(case):
    case.node("n1")
    assert (await case.gather("Cordon", NODE)).constraints.protected is None
    case.cluster.change("Node", "n1", {"metadata": {"annotations": {"forestall.dev/protected": "true"}}}, "")
    assert (await case.gather("Cordon", NODE)).constraints.protected == "node n1"
    case.cluster.fail("read", Unavailable("no answer"), "Node")
    assert (await case.gather("Cordon", NODE)).constraints.protected is None


async def test_disruption_budgets_are_read_only_for_actions_that_replace_pods(case):
    budget = case.cluster.insert({
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "pdb", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "checkout"}}},
    })  # fmt: skip
    budget["status"] = {"disruptionsAllowed": 1, "observedGeneration": 1}
    assert (await case.gather("Scale")).constraints == Constraints()
    assert case.cluster.requests == []
    pods = (await case.gather("Restart")).constraints.pods
    assert pods == WorkloadPods(3, 3, 1, budgets=(DisruptionBudget("pdb", 1),))
    assert [(request.kind, request.namespace) for request in case.cluster.requests] == [("PodDisruptionBudget", "shop")]


@pytest.mark.parametrize("pods", [None, WorkloadPods(3, 0, 1)])
async def test_disruption_budgets_do_not_matter_without_a_ready_pod(case, pods):
    found = await case.gather("Restart", workload=replace(WORKLOAD, pods=pods))
    assert (found.constraints.pods, case.cluster.requests) == (pods, [])


async def test_budgets_that_can_not_be_listed_are_not_taken_for_none(case):
    case.cluster.fail("find", Unavailable("no answer"), "PodDisruptionBudget")
    assert (await case.gather("Restart")).constraints.pods is None
    reader = MemoryCluster()
    found = await case.gatherer.gather(case.snapshot, case.intended("Restart"), NOW, reader)
    assert found.constraints.pods == WORKLOAD.pods, "the world is read through who is given"


# Nodes


async def test_a_node_is_held_against_the_others_and_what_is_under_way(case, make_guardrail, make_remediation):
    for name in ("n1", "n2", "n3", "n4"):
        case.node(name, unschedulable=name == "n4")
    under_way = make_remediation("Authorized", action={"cordon": {}}, **{**ACTION, "name": "n2", "uid": "Node-n2"})
    over = ended(make_remediation, action={"cordon": {}}, **{**ACTION, "name": "n3", "uid": "Node-n3"})
    nodes = (
        await case.gather(
            "Cordon", NODE, guardrails=[make_guardrail(nodes={"maxCordoned": 3})], remediations=[under_way, over]
        )
    ).nodes
    assert (nodes.target, nodes.unavailable, nodes.max_unavailable) == ("n1", ["n2", "n4"], 3)
    assert (nodes.equivalent_nodes, nodes.unschedulable_pod) == (1, None)
    assert not any(request.kind == "Pod" for request in case.cluster.requests), "a cordon moves nobody"
    assert (await case.gather("Scale")).nodes is None


async def test_nodes_that_can_not_be_listed_or_do_not_know_the_target_are_not_known(case):
    case.node("n2")
    assert (await case.gather("Drain", NODE)).nodes is None
    other = Case(case.slo, case.policy, case.signal)
    other.node("n1")
    other.cluster.fail("find", Unavailable("no answer"), "Node")
    assert (await other.gather("Cordon", NODE)).nodes is None


@pytest.mark.parametrize(
    ("free", "waiting", "unschedulable"),
    [("600m", None, None), ("500m", None, "shop/a"), ("600m", "500m", "shop/a"), ("700m", "100m", None)],
)
async def test_a_drain_asks_for_room_for_its_pods_beside_those_that_wait(case, free, waiting, unschedulable):
    case.node("n1")
    case.node("n2")
    case.node("n3", unschedulable=True)
    case.pod("a")
    case.pod("b", "n2", {"700m": "300m", "600m": "400m", "500m": "500m"}[free])
    if waiting:
        case.pod("c", "", waiting)
    nodes = (await case.gather("Drain", NODE)).nodes
    assert (nodes.unschedulable_pod, nodes.equivalent_nodes) == (unschedulable, 1)


async def test_pods_of_other_nodes_that_are_emptied_need_room_too(case, make_remediation):
    for name in ("n1", "n2", "n3"):
        case.node(name)
    case.pod("a")
    case.pod("b", "n2")
    drain = {"action": {"drain": {}}, **ACTION, "name": "n2", "uid": "Node-n2"}
    cordon = {**drain, "action": {"cordon": {}}}
    live = make_remediation("Executing", **drain)
    assert (await case.gather("Drain", NODE, remediations=[live])).nodes.unschedulable_pod is not None
    quiet = make_remediation("Executing", **cordon)
    assert (await case.gather("Drain", NODE, remediations=[quiet])).nodes.unschedulable_pod is None


@pytest.mark.parametrize("selector", ["spec.nodeName=n1", "spec.nodeName=n2", "spec.nodeName=,"])
async def test_pods_that_can_not_be_listed_are_not_taken_for_none(case, monkeypatch, selector):
    case.node("n1")
    case.node("n2")
    find = case.cluster.find

    async def failing(*args, **kwargs):
        if kwargs.get("field_selector", "").startswith(selector):
            raise Unavailable("no answer")
        return await find(*args, **kwargs)

    monkeypatch.setattr(case.cluster, "find", failing)
    assert (await case.gather("Drain", NODE)).nodes is None


async def test_what_can_not_be_understood_of_nodes_or_pods_is_not_known(case, monkeypatch):
    case.node("n1")
    case.node("n2")
    assert (await case.gather("Drain", NODE)).nodes is not None
    case.cluster.change("Node", "n2", {"status": {"conditions": "no list"}}, "")
    other = Case(case.slo, case.policy, case.signal)
    other.cluster.objects = case.cluster.objects
    assert (await other.gather("Drain", NODE)).nodes is None


async def test_node_is_trusted_by_the_source_of_the_objective(case, monkeypatch, make_signal):
    case.registry.put(
        "MetricSource",
        {"metadata": {"name": "default", "uid": "s"}, "spec": {"url": "http://x", "trustedLabels": ["node"]}},
    )
    slo = ServiceLevelObjective.read({
        **case.slo.dump(),
        "spec": {
            **case.slo.spec.dump(),
            "leadingIndicators": [{"name": "load", "query": "max by (node) (x)", "limit": 1, "per": "node"}],
        },
    })  # fmt: skip
    cause = make_signal(labels=[("node", "n1")])
    assert await case.gatherer.distrust(slo, cause, DEPLOYMENT) is None
    bare = Case(slo, case.policy, cause)
    distrusted = await bare.gatherer.distrust(slo, cause, DEPLOYMENT)
    assert distrusted is not None
    assert distrusted.reason == "NodeNotTrusted"
