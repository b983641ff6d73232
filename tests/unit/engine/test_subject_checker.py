"""A series whose subject is gone, by the API server: no risk, no evidence, and no verdict rests on it."""

from typing import Any

import pytest
from tests.support.harness import INTERVAL, NAMESPACE, START, Harness, shop

from forestall.api.times import stamp
from forestall.engine.subject_checker import SubjectChecker
from forestall.errors import Forbidden, Unavailable

MEMORY: dict[str, Any] = {"name": "memory", "query": "memory", "limit": 100, "horizon": "5m", "per": "pod"}
RESTART: dict[str, Any] = {"restart": {}}


def prepared(per: str = "pod", values: dict[str, float] | None = None) -> Harness:
    """Return a shop that restarts its workload when the memory of a pod, or a node, passes 100."""
    h = shop()
    h.objective(leadingIndicators=[{**MEMORY, "per": per}])
    h.policy(actions=[RESTART], verification={"within": "30s"})
    h.script.say_each("memory", per, values or {"checkout-1": 300.0, "checkout-2": 10.0})
    return h


def lists(h: Harness) -> list[tuple[str, str]]:
    """Return kind and namespace of the lists of metadata that were asked for."""
    return [(request.kind, request.namespace) for request in h.cluster.requests if request.verb == "find_metadata"]


def warning(h: Harness, kind: str = "Ready") -> str:
    return next(condition.message for condition in h.slo().status.conditions if condition.type == kind)


async def test_the_last_value_of_a_pod_that_is_gone_is_no_risk():
    h = prepared()
    h.pod("checkout-2")
    await h.cycle()
    assert h.slo().status.state != "AtRisk"
    assert h.episode.number == 0
    assert h.remediations == []
    assert "memory: the last series of pod checkout-1, which is gone, is left out" in warning(h)
    assert lists(h) == [("Pod", NAMESPACE)]


async def test_a_pod_that_exists_is_a_risk_and_its_evidence_names_no_pod_that_is_gone():
    h = prepared(values={"checkout-1": 300.0, "checkout-2": 200.0, "checkout-3": 5.0})
    h.pod("checkout-2")
    h.pod("checkout-3")
    await h.cycle()
    (remediation,) = h.remediations
    evidence = remediation.spec.intent.evidence
    assert evidence.labels == {"pod": "checkout-2"}
    assert evidence.pods == ["checkout-2", "checkout-3"]


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_a_pod_that_has_finished_is_gone_as_well(phase):
    """As one that the kubelet evicted: the object stays, its containers do not."""
    h = prepared()
    h.pod("checkout-1", phase=phase)
    h.pod("checkout-2")
    await h.cycle()
    assert h.remediations == []


async def test_where_all_series_are_of_pods_that_are_gone_nothing_is_known():
    """The only pod was replaced, and the new one is not scraped yet: as with a series that has ended."""
    h = prepared(values={"checkout-1": 300.0})
    h.pod("checkout-2")
    await h.cycle()
    assert h.slo().status.state == "Unknown"
    assert h.condition("DataFresh") == "SubjectGone"
    assert "pod checkout-1 does not exist any more" in warning(h)
    assert h.remediations == []
    h.script.say_each("memory", "pod", {"checkout-1": 300.0, "checkout-2": 300.0})
    await h.cycle()
    assert h.remediations[0].spec.intent.evidence.labels == {"pod": "checkout-2"}


async def test_the_last_value_of_a_node_that_is_gone_is_no_risk():
    h = prepared("node", {"n1": 300.0, "n2": 10.0})
    h.node("n2")
    await h.cycle()
    assert h.remediations == []
    assert lists(h) == [("Node", "")]


async def test_a_node_whose_series_is_the_last_one_is_known_by_what_its_label_named_before():
    h = prepared("node", {"n1": 300.0})
    h.policy(mode="Observe")
    h.node("n1")
    h.node("n2")
    await h.cycle()
    assert h.slo().status.state == "AtRisk"
    del h.cluster.objects["Node", "", "n1"]
    await h.cycle()
    assert h.condition("DataFresh") == "SubjectGone"


@pytest.mark.parametrize(
    ("per", "values", "message"),
    [
        ("node", {"10.0.0.1:9100": 300.0}, "its label node names none of the nodes"),
        ("pod", {"elsewhere-1": 300.0}, f"its label pod names none of the pods of namespace {NAMESPACE}"),
    ],
)
async def test_a_label_that_names_nothing_of_this_cluster_is_not_judged(per, values, message):
    h = prepared(per, values)
    h.node("n1")
    h.pod("checkout-1")
    await h.cycle()
    assert len(h.remediations) == 1
    assert message in warning(h)


async def test_a_pod_of_another_namespace_is_not_judged_by_the_pods_of_this_one():
    h = prepared()
    h.pod("checkout-2")
    h.script.say("memory", 300.0, pod="checkout-1", namespace="bank")
    await h.cycle()
    assert len(h.remediations) == 1
    assert lists(h) == []


@pytest.mark.parametrize("error", [Forbidden("pods is forbidden"), Unavailable("no answer within 4 s")])
async def test_where_the_pods_can_not_be_listed_all_series_count_and_the_objective_says_so(error):
    h = prepared()
    h.pod("checkout-2")
    h.cluster.fail("find_metadata", error)
    await h.cycle()
    assert len(h.remediations) == 1
    assert f"can't be listed: {error}" in warning(h)


async def test_a_pod_that_was_found_gone_stays_so_while_the_pods_can_not_be_listed():
    """A list may fail in one cycle: what is known to be gone must not come back as evidence."""
    h = prepared()
    h.pod("checkout-2")
    await h.cycle()
    h.cluster.fail("find_metadata", Unavailable("no answer within 4 s"))
    h.script.say_each("memory", "pod", {"checkout-1": 300.0, "checkout-2": 10.0, "checkout-3": 20.0})
    await h.cycle()
    assert h.remediations == []
    h.script.say_each("memory", "pod", {"checkout-1": 300.0, "checkout-3": 200.0})  # it came after the last list
    await h.cycle()
    assert h.remediations[0].spec.intent.evidence.labels == {"pod": "checkout-3"}


class Broken(BaseException):
    """As the panic of a native library, which is no `Exception`."""


@pytest.mark.parametrize("step", ["_due", "_judged"])
async def test_after_an_unexpected_error_nothing_is_done_for_the_objective_and_the_others_are_checked(
    monkeypatch, step
):
    """Kind: what could not be checked counts as checked. The episode goes on, and the decision says why it holds."""
    h = prepared()
    h.objective("other", target={"name": "checkout"}, leadingIndicators=[MEMORY])
    h.pod("checkout-1")
    original = getattr(SubjectChecker, step)

    def fail_for_one(self, findings, *arguments, **options):
        if findings.slo.name == "checkout":
            raise Broken
        return original(self, findings, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(SubjectChecker, step, fail_for_one)
        await h.cycle()
    (remediation,) = h.remediations
    assert remediation.spec.intent.objective.name == "other"
    assert h.slo().status.state == "Unknown"
    assert (h.condition("Ready"), h.decisions()[0].reason) == ("InternalError", "InternalError")
    assert "an unexpected error (Broken) while assessing" in h.decisions()[0].message
    assert h.condition("Ready", "other") != "InternalError"
    await h.cycle()
    assert h.slo().status.state == "AtRisk"
    assert h.decisions()[0].reason != "InternalError"


async def test_an_unexpected_error_in_a_list_concerns_only_what_rests_on_it():
    """The nodes' list has an item without a UID; the pods are listed."""
    h = prepared()
    h.objective("nodes", target={"name": "checkout"}, leadingIndicators=[{**MEMORY, "name": "node", "per": "node"}])
    h.script.say_each("node", "node", {"n1": 300.0})
    h.pod("checkout-1")
    h.node("n1")
    del h.cluster.objects["Node", "", "n1"]["metadata"]["uid"]
    await h.cycle()
    (remediation,) = h.remediations
    assert remediation.spec.intent.objective.name == "checkout"
    assert (h.slo("nodes").status.state, h.condition("Ready", "nodes")) == ("Unknown", "InternalError")
    assert h.decisions("nodes")[0].reason == "InternalError"


async def test_a_verdict_waits_after_an_unexpected_error(monkeypatch):
    h = prepared()
    h.pod("checkout-1")
    await h.cycle(3)
    (before,) = h.remediations
    assert before.status.phase == "Verifying"
    h.script.say_each("memory", "pod", {"checkout-1": 10.0})
    monkeypatch.setattr(SubjectChecker, "_judged", lambda *_: 1 / 0)
    await h.cycle(12)
    (after,) = h.remediations
    assert after.status.phase == "Verifying"
    monkeypatch.undo()
    await h.cycle(6)
    (after,) = h.remediations
    assert after.status.phase == "Succeeded"


async def test_nothing_is_listed_while_nothing_rests_on_it():
    h = prepared(values={"checkout-1": 10.0})
    h.objective("idle", leadingIndicators=[{**MEMORY, "per": "node"}])
    h.script.say_each(("ServiceLevelObjective-idle", "memory"), "node", {"n1": 10.0})
    await h.cycle(3)
    assert lists(h) == []


async def test_a_namespace_is_listed_once_for_all_of_its_objectives():
    h = prepared()
    for name in ("a", "b", "c"):
        h.objective(name, target={"name": "checkout"}, leadingIndicators=[MEMORY])
    h.pod("checkout-2")
    await h.cycle()
    assert lists(h) == [("Pod", NAMESPACE)]


async def test_a_standby_tells_no_risk_of_a_pod_that_is_gone():
    h = prepared()
    h.pod("checkout-2")
    report = await h.cycle(leading=False)
    assert [row for row in report.probabilities if row[2] == "memory" and row[3] > 0.5] == []
    assert lists(h) == [("Pod", NAMESPACE)]


async def restarted(h: Harness) -> None:
    """Let the workload be restarted because of `checkout-1`, whose last value stays for some minutes."""
    h.pod("checkout-1")
    h.pod("checkout-2")
    await h.cycle(3)
    (remediation,) = h.remediations
    assert remediation.status.phase == "Verifying"
    for name in ("checkout-1", "checkout-2"):
        del h.cluster.objects["Pod", NAMESPACE, name]
    h.pod("checkout-3")
    h.script.say_each("memory", "pod", {"checkout-1": 300.0})


async def test_a_verdict_does_not_rest_on_a_pod_that_is_gone_and_locks_nothing():
    h = prepared()
    await restarted(h)
    await h.cycle(12)
    (remediation,) = h.remediations
    assert remediation.status.phase == "Verifying"
    assert h.decisions()[0].reason != "Locked"
    h.script.say_each("memory", "pod", {"checkout-1": 300.0, "checkout-3": 10.0})
    await h.cycle(2)
    (remediation,) = h.remediations
    assert remediation.status.phase == "Succeeded"


async def test_without_the_right_to_list_pods_the_verdict_is_as_the_series_say():
    """What happened before the API server was asked: the dead pod's last value fails the restart that helped."""
    h = prepared()
    await restarted(h)
    h.cluster.fail("find_metadata", Forbidden("pods is forbidden"))
    await h.cycle(12)
    (remediation,) = h.remediations
    assert remediation.status.phase == "Failed"


async def test_a_pod_that_took_the_name_of_another_is_not_judged_by_the_samples_of_that():
    """A StatefulSet gives its pods' names again; whose sample the newest one is can't be told for `staleAfter`."""
    h = prepared(values={"checkout-0": 300.0, "checkout-1": 10.0})
    h.pod("checkout-0")
    h.pod("checkout-1")
    await h.cycle(3)
    (remediation,) = h.remediations
    body = h.cluster.objects["Pod", NAMESPACE, "checkout-0"]
    body["metadata"] |= {"uid": "another", "creationTimestamp": stamp(h.now)}
    born = h.now
    await h.cycle(6)
    (remediation,) = h.remediations
    assert remediation.status.phase == "Verifying"
    assert "may be of the pod that had the name before" in warning(h)
    while h.now < born + 120 + 4 * INTERVAL:  # what is in the answer now is its own
        await h.cycle()
    (remediation,) = h.remediations
    assert remediation.status.phase == "Failed"
    assert h.now > START


def at_risk_node() -> Harness:
    """Return a shop of two nodes, the first of which is at risk; the policy only observes."""
    h = prepared("node", {"n1": 300.0, "n2": 10.0})
    h.policy(mode="Observe")
    h.node("n1")
    h.node("n2")
    return h


async def test_a_node_at_risk_that_falls_silent_is_not_healthy():
    """Kind: silence of a part is taken for its health. A node that fails is measured by its own kubelet."""
    h = at_risk_node()
    await h.cycle()
    assert h.slo().status.state == "AtRisk"
    h.script.say_each("memory", "node", {"n2": 10.0})
    await h.cycle(10)
    assert h.slo().status.state == "Unknown"
    assert (h.condition("DataFresh"), h.condition("AtRisk")) == ("SubjectSilent", "SubjectSilent")
    assert "node n1 exists, was at risk when last measured, and has no fresh sample" in warning(h, "DataFresh")
    assert h.episode.number == 1
    assert h.episode.calm_since in (None, ""), "the episode goes on"
    h.script.say_each("memory", "node", {"n1": 10.0, "n2": 10.0})
    await h.cycle()
    assert h.slo().status.state == "Healthy"
    assert h.condition("DataFresh") == "Fresh"


async def test_others_are_a_risk_beside_a_node_that_is_silent():
    h = at_risk_node()
    await h.cycle()
    h.script.say_each("memory", "node", {"n2": 300.0})
    await h.cycle()
    assert h.slo().status.state == "AtRisk"
    cause = h.slo().status.cause
    assert cause is not None
    assert cause.labels == {"node": "n2"}


@pytest.mark.parametrize(
    "change", [{}, {"uid": "another"}, {"deletionTimestamp": stamp(START)}], ids=["deleted", "replaced", "deleting"]
)
async def test_a_node_at_risk_that_goes_with_its_series_leaves_health(change):
    h = at_risk_node()
    await h.cycle()
    h.script.say_each("memory", "node", {"n2": 10.0})
    if change:
        h.cluster.objects["Node", "", "n1"]["metadata"] |= change
    else:
        del h.cluster.objects["Node", "", "n1"]
    await h.cycle(20)
    assert h.slo().status.state == "Healthy"


async def test_subject_that_was_never_at_risk_may_have_no_series():
    """Pods come and go, and not all of them have series at all times."""
    h = at_risk_node()
    await h.cycle()
    h.script.say_each("memory", "node", {"n1": 10.0})
    await h.cycle(20)
    assert h.slo().status.state == "Healthy"


async def test_a_silent_node_stays_silent_while_the_nodes_can_not_be_listed():
    h = at_risk_node()
    await h.cycle()
    h.script.say_each("memory", "node", {"n2": 10.0})
    await h.cycle()
    h.cluster.fail("find_metadata", Unavailable("no answer within 4 s"))
    await h.cycle()
    assert h.slo().status.state == "Unknown"


async def test_a_silent_node_is_forgotten_after_an_hour():
    """Its label may name it otherwise since."""
    h = at_risk_node()
    await h.cycle()
    h.script.say_each("memory", "node", {"n2": 10.0})
    await h.cycle()
    assert h.slo().status.state == "Unknown"
    h.now += 3600 - 4 * INTERVAL
    await h.cycle()
    assert h.slo().status.state == "Unknown"
    assert h.condition("DataFresh") == "SubjectSilent"
    h.now += 4 * INTERVAL
    await h.cycle(20)  # until the other node has a forecast again
    assert h.slo().status.state == "Healthy"
