"""The decision of a policy from the objects in the cluster: the action, its target and the intent, or the reason for
none.

Each row of the tables is a case: the ladder, what differs from the default, and the decision.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.harness import NAMESPACE, SCALE, START, Harness, shop

from forestall.api import RemediationPolicy
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.engine.past_traffic import PastTraffic
from forestall.errors import Forbidden, Unavailable

NOTIFY: dict[str, Any] = {"notify": {"channel": "pager"}}
RESTART: dict[str, Any] = {"restart": {"timing": "Now"}}
EVICT: dict[str, Any] = {"evict": {}}
CORDON: dict[str, Any] = {"cordon": {}}
DRAIN: dict[str, Any] = {"drain": {}}
LOAD = {"name": "load", "query": "sum(load)", "limit": 100, "horizon": "5m"}
MEMORY = {"name": "memory", "query": "memory", "limit": 100, "horizon": "5m", "per": "pod"}
ALL = ["Scale", "Restart", "Rollback", "Notify", "Evict", "Cordon", "Drain"]


def nothing(_: Harness) -> None:
    """Change nothing."""


@dataclass
class Row:
    """One case."""

    name: str
    actions: list[dict[str, Any]]
    decided: str
    """The action and its target, or the reason of a hold."""
    given: Callable[[Harness], Any] = nothing
    policy: dict[str, Any] = field(default_factory=dict)
    words: str = ""
    """Texts that the message contains."""


def prepared() -> Harness:
    """Return a shop with three pods on two of three nodes, whose memory is furthest past its limit in `a`, then in
    `b`.
    """
    h = shop()
    h.apply("NotificationChannel", "pager", {"type": "Slack", "url": "https://example.com/"})
    h.apply("Guardrail", "all", {"allow": [{"namespaces": {}, "actions": ALL}], "nodes": {"maxCordoned": 2}})
    h.objective(leadingIndicators=[MEMORY])
    h.script.say_each("memory", "pod", {"a": 300.0, "b": 200.0, "c": 10.0})
    h.deployment(replicas=3)
    for name, node in (("a", "n1"), ("b", "n2"), ("c", "n2")):
        h.pod(name, node=node)
    for node in ("n1", "n2", "n3"):
        h.node(node)
    return h


def on_node(h: Harness, node: str = "n1") -> None:
    """Let the objective name a node instead of pods."""
    h.objective(leadingIndicators=[{**MEMORY, "per": "node"}])
    h.script.say_each("memory", "node", {node: 300.0})


def by_load(h: Harness) -> None:
    """Let the objective be about the load of the whole workload."""
    h.objective(leadingIndicators=[LOAD])
    h.script.say("load", 300.0)


def refuse(kind: str) -> Callable[[Harness], Any]:
    return lambda h: h.cluster.refusals.update({kind: "not yours"})


def both(*given: Callable[[Harness], Any]) -> Callable[[Harness], Any]:
    return lambda h: [change(h) for change in given]


def fail(verb: str, error: Exception, kind: str) -> Callable[[Harness], Any]:
    return lambda h: h.cluster.fail(verb, error, kind)  # type: ignore[arg-type]


def guardrail(**spec: Any) -> Callable[[Harness], Any]:
    return lambda h: h.apply("Guardrail", "all", {"allow": [{"namespaces": {}, "actions": ALL}], **spec})


def protect(h: Harness) -> None:
    h.apply("Namespace", NAMESPACE, annotations={"forestall.dev/protected": "true"})


def remove_pod(h: Harness) -> None:
    """Let the pod with the worst memory be gone, and not its series."""
    del h.cluster.objects["Pod", NAMESPACE, "a"]


def untrusted(h: Harness) -> None:
    """Let the source vouch for no labels."""
    h.apply("MetricSource", "main", {"url": "http://x", "namespaces": {}})


def leaking(h: Harness) -> None:
    """Let the load of the whole workload be worse than the memory of any pod."""
    h.objective(leadingIndicators=[LOAD, MEMORY])
    h.script.say("load", 3000.0)


MEMORY_ONLY = {"indicators": ["memory"]}
ROWS = [
    Row("the worst pod is evicted", [EVICT], "Evict a", words="evict pod shop/a"),
    Row("the whole is restarted", [RESTART], "Restart checkout", words="restart deployment shop/checkout"),
    Row("the whole is scaled", [SCALE], "Scale checkout", by_load, words="scale from 3 to 6 replicas"),
    Row("people are told", [NOTIFY], "Notify checkout"),
    Row("a node is taken out of service", [CORDON], "Cordon n1", on_node, words="cordon node n1"),
    Row("a node is emptied", [DRAIN], "Drain n1", both(guardrail(nodes={"maxCordoned": 2}), on_node)),
    Row("a node where its pods run is meant", [CORDON], "Cordon n1", both(untrusted, on_node)),
    Row("one where none of them runs is not", [CORDON], "NodeNotTrusted", both(untrusted, lambda h: on_node(h, "n3"))),
    Row(
        "a node of which it can't be told is not",
        [CORDON, NOTIFY],
        "TargetUnknown",
        both(untrusted, on_node, fail("find", Unavailable("no answer"), "Pod")),
    ),
    Row("where no pod is named none is evicted", [EVICT], "PodUnknown", by_load),
    Row("what does not suit the cause gives way", [EVICT, SCALE], "Scale checkout", by_load),
    Row("the series of a pod that is gone is no cause", [EVICT], "Evict b", remove_pod),
    Row(
        "a pod that is gone is not evicted",
        [EVICT],
        "PodUnknown",
        both(remove_pod, fail("find_metadata", Forbidden("you may not list pods"), "Pod")),
    ),
    Row(
        "a pod that can't be read now is not another rung's matter",
        [EVICT, NOTIFY],
        "TargetUnknown",
        fail("read", Unavailable("no answer"), "Pod"),
        words="but what to evict is not known: no answer",
    ),
    Row("a pod that must not be seen is", [EVICT, NOTIFY], "Notify checkout", fail("read", Forbidden("no"), "Pod")),
    Row(
        "nodes that can't be listed hold",
        [CORDON],
        "NodesUnknown",
        both(on_node, fail("find", Unavailable("x"), "Node")),
    ),
    Row(
        "pods that can't be listed hold a drain",
        [DRAIN],
        "TargetUnknown",
        both(on_node, fail("find", Unavailable("x"), "Pod")),
    ),
    Row("a right that is missing holds", [EVICT], "Forbidden", refuse("Pod"), words="but not yours"),
    Row("and people are told instead", [EVICT, NOTIFY], "Notify checkout", refuse("Pod"), words="not yours"),
    Row("who observes needs no right", [EVICT], "WouldAct Evict", refuse("Pod"), {"mode": "Observe"}, "not done"),
    Row(
        "what the Guardrails do not allow holds",
        [EVICT],
        "NotAllowed",
        guardrail(allow=[{"namespaces": {}, "actions": ["Scale"]}]),
    ),
    Row("what is protected is left alone", [RESTART], "Protected", protect),
    Row("and people are told", [RESTART, NOTIFY], "Notify checkout", protect, words="protected"),
    Row("nothing stronger is done instead", [EVICT, RESTART], "Protected", protect),
    Row("only what answers the cause is done", [{**RESTART, "indicators": ["load"]}], "NoRungForCause"),
    Row("what does not suit the worst cause may suit the next", [EVICT], "Evict a", leaking),
    Row(
        "the next worst cause is looked at where nothing answers the worst",
        [{**EVICT, **MEMORY_ONLY}],
        "Evict a",
        leaking,
    ),
    Row(
        "and not where the worst is held",
        [SCALE, {**EVICT, **MEMORY_ONLY}],
        "Forbidden",
        both(leaking, refuse("Deployment")),
    ),
    Row(
        "where no cause has an action the hold of the worst is told",
        [{**EVICT, **MEMORY_ONLY}],
        "NoRungForCause",
        both(
            leaking,
            lambda h: h.script.say_each("memory", "pod", {"a": 300.0}),
            remove_pod,
            fail("find_metadata", Forbidden("you may not list pods"), "Pod"),
        ),
        words="load",
    ),
    Row(
        "each pod must have been at risk for long enough",
        [EVICT],
        "NotSustained",
        policy={"when": {"probability": 0.8, "for": "5m"}},
    ),
    Row(
        "too few nodes may be taken out",
        [CORDON],
        "TooManyNodesCordoned",
        both(guardrail(nodes={"maxCordoned": 0}), on_node),
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_decision(row):
    h = prepared()
    h.policy(actions=row.actions, **row.policy)
    row.given(h)
    await h.cycle()
    (decision,) = h.decisions()
    if decision.verdict == "Act":
        (remediation,) = h.remediations
        decided = f"{decision.action} {remediation.spec.intent.target.name}"
        assert remediation.spec.intent.evidence.reason == decision.message
    else:
        assert h.remediations == []
        decided = decision.reason if decision.verdict == "Hold" else f"{decision.verdict} {decision.action}"
    assert decided == row.decided, decision.message
    assert row.words in decision.message


async def test_intent_names_policy_cause_and_deadline():
    h = prepared()
    h.policy(actions=[NOTIFY, EVICT], deadline="20m", verification={"within": "4m", "probability": 0.3})
    h.cluster.change("RemediationPolicy", "early", {"spec": {"actions": [EVICT]}, "metadata": {"generation": 7}})
    h.cluster.change("ServiceLevelObjective", "checkout", {"metadata": {"generation": 3}})
    await h.cycle()
    (remediation,) = h.remediations
    intent = remediation.spec.intent
    (policy,) = h.registry.all(RemediationPolicy)
    assert (intent.policy.uid, intent.policy_generation) == (policy.uid, policy.metadata.generation)
    assert (intent.policy.kind, intent.policy_hash) == ("RemediationPolicy", policy.spec.content_hash)
    assert (intent.objective.uid, intent.objective_generation) == ("ServiceLevelObjective-checkout", 3)
    assert (intent.episode, intent.rung, intent.mode, intent.action.name) == (1, 0, "Auto", "Evict")
    assert (intent.target.kind, intent.target.uid) == ("Pod", "Pod-a")
    assert (intent.created, intent.deadline, intent.approval_expires) == (stamp(START), stamp(START + 1200), None)
    assert (intent.verify_within.seconds, intent.verify_probability) == (240, 0.3)
    assert (intent.from_, intent.to) == (None, None)
    evidence = intent.evidence
    assert (evidence.indicator, evidence.labels, evidence.pods) == ("memory", {"pod": "a"}, ["a", "b", "c"])
    assert intent.rollback != ""


@pytest.mark.parametrize(
    ("actions", "mode", "expires"),
    [([SCALE], "Approve", stamp(START + 420)), ([NOTIFY], "Auto", None)],
)
async def test_approval_expires_and_notifications_need_none(actions, mode, expires):
    h = prepared()
    by_load(h)
    h.policy(actions=actions, mode="Approve", approvalExpiry="7m")
    await h.cycle()
    (remediation,) = h.remediations
    assert (remediation.spec.intent.mode, remediation.spec.intent.approval_expires) == (mode, expires)


async def test_intent_of_a_scale_out_has_from_and_to():
    h = prepared()
    by_load(h)
    h.policy()
    await h.cycle()
    (remediation,) = h.remediations
    assert (remediation.spec.intent.from_, remediation.spec.intent.to) == (3, 6)


async def test_unreadable_remediation_holds_its_own_namespace_only():
    h = prepared()
    by_load(h)
    h.apply("Namespace", "bank")
    h.deployment("vault", namespace="bank")
    h.objective("vault", "bank", leadingIndicators=[LOAD])
    h.policy()
    h.policy("theirs", "bank")
    h.apply("Remediation", "strange", {"intent": {"of": "a later version"}})
    await h.cycle()
    assert [one.reason for one in h.decisions()] == ["RemediationUnreadable"]
    assert "strange" in h.decisions()[0].message
    assert h.decisions("vault", "bank")[0].verdict == "Act"


async def test_two_namespaces_never_take_the_same_node_and_learn_nothing_of_each_other():
    h = prepared()
    on_node(h)
    h.policy(actions=[CORDON])
    h.apply("Namespace", "bank")
    h.deployment("vault", namespace="bank")
    h.objective("vault", "bank", leadingIndicators=[{**MEMORY, "per": "node"}])
    h.policy("theirs", "bank", actions=[CORDON])
    await h.cycle()
    decisions = [h.decisions()[0], h.decisions("vault", "bank")[0]]
    assert sorted(one.reason for one in decisions) == ["LimitPassed", "RemediationActive"]
    held = next(one for one in decisions if one.verdict == "Hold")
    assert "a remediation of another namespace" in held.message
    assert len(h.remediations) == 1


async def test_pods_of_a_workload_are_replaced_one_at_a_time_across_policies():
    h = prepared()
    h.objective("payment", target={"name": "checkout"}, leadingIndicators=[MEMORY])
    h.script.say_each(("ServiceLevelObjective-payment", "memory"), "pod", {"b": 300.0})
    h.policy(actions=[EVICT])
    await h.cycle()
    assert sorted(one.reason for name in ("checkout", "payment") for one in h.decisions(name)) == [
        "LimitPassed",
        "RemediationActive",
    ]
    assert [one.spec.intent.target.name for one in h.remediations] == ["a"]


async def test_drain_continues_after_the_pods_that_caused_it_have_left():
    h = prepared()
    untrusted(h)
    on_node(h)
    h.deployment("other", replicas=3)
    h.pod("z", of="other")
    budget = h.apply("PodDisruptionBudget", "other", {"selector": {"matchLabels": {"app": "other"}}})
    budget["status"] = {"disruptionsAllowed": 0}
    h.policy(actions=[DRAIN])
    await h.cycle(3)
    assert [pod for pod in ("a", "z") if ("Pod", NAMESPACE, pod) in h.cluster.objects] == ["z"]
    h.cluster.change("PodDisruptionBudget", "other", {"status": {"disruptionsAllowed": 1}})
    await h.cycle(5)
    (remediation,) = h.remediations
    assert [pod for pod in ("a", "z") if ("Pod", NAMESPACE, pod) in h.cluster.objects] == []
    assert remediation.status.phase == "Verifying"


def gone(kind: str, name: str, namespace: str = NAMESPACE) -> Callable[[Harness], Any]:
    return lambda h: h.cluster.objects.pop((kind, namespace, name))


RECHECKS = [
    ("nothing", SCALE, nothing, ""),
    ("its policy is gone", SCALE, gone("RemediationPolicy", "early"), "Withdrawn"),
    ("its data is old", SCALE, lambda h: h.script.say("load", 300.0, age=600.0), "DataNotFresh"),
    ("its target is gone", SCALE, gone("Deployment", "checkout"), "TargetMissing"),
    ("it may not be done any more", SCALE, guardrail(allow=[{"namespaces": {}, "actions": ["Evict"]}]), "NotAllowed"),
    (
        "it is suspended",
        SCALE,
        lambda h: h.cluster.change("RemediationPolicy", "early", {"spec": {"suspend": True}}),
        "Withdrawn",
    ),
    ("its namespace is protected", SCALE, protect, "Protected"),
    ("its budget was spent by itself", SCALE, guardrail(budget={"actions": 1, "per": "1h"}), ""),
    ("its node runs none of its pods any more", CORDON, gone("Pod", "a"), "NodeNotTrusted"),
    ("it can't be told what its node runs", CORDON, fail("find", Unavailable("x"), "Pod"), "TargetUnknown"),
    ("more nodes are out", CORDON, guardrail(nodes={"maxCordoned": 0}), "TooManyNodesCordoned"),
]


@pytest.mark.parametrize(
    ("name", "action", "change", "reason"), RECHECKS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_recheck_covers_changes_since_the_decision(name, action, change, reason):
    h = prepared()
    if action is CORDON:
        untrusted(h)
        on_node(h)
    else:
        by_load(h)
    h.policy(actions=[action], mode="Approve")
    await h.cycle()
    (remediation,) = h.remediations
    h.cluster.change("Remediation", remediation.name, {"spec": {"approval": {"decision": "Approved", "by": "jo"}}})
    before = len(h.requests)
    change(h)
    await h.cycle()
    (after,) = h.remediations
    done = [request for request in h.requests[before:] if not request.endswith("Remediation")]
    if reason:
        assert (after.status.reason, done) == (reason, [])
    else:
        assert (after.status.phase, done) == ("Verifying", ["write_scale Deployment"])


@pytest.mark.parametrize(("timing", "decided"), [("LowTraffic", "Hold"), ("Now", "Act")])
async def test_restart_that_waits_for_low_traffic_describes_its_action(monkeypatch, timing, decided):
    async def too_busy(*_: Any) -> Hold:
        return Hold("TooBusy", "it waits until midnight")

    monkeypatch.setattr(PastTraffic, "too_busy", too_busy)
    h = prepared()
    h.policy(actions=[{"restart": {"timing": timing}}])
    await h.cycle()
    (decision,) = h.decisions()
    assert decision.verdict == decided
    if decided == "Hold":
        assert decision.reason == "TooBusy"
        assert "restart deployment shop/checkout; it waits until midnight" in decision.message
