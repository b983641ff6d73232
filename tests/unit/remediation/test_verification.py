"""Whether an action helped, by samples from after it was complete; each limit from both sides."""

from typing import Any, Literal

import pytest

from forestall.actions import ObservedState
from forestall.actions.base import StalledReplicas, UnfinishedRollout
from forestall.actions.starting import PODS_READY
from forestall.api import Remediation
from forestall.api.meta import Condition
from forestall.api.remediation import ObjectRef
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.remediation.verification import not_helped_message, verified_condition, verify

DONE = 1_000_000.0
WITHIN = 300.0
SUBJECT = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout")


@pytest.fixture
def make(run):
    """Return a Remediation that was complete at `DONE`, with this verdict (status and time) so far;
    `intent` is what its intent differs in.
    """

    def make(
        verdict: Literal["True", "False", "Unknown"] | None = "Unknown", at: float = DONE, **intent: Any
    ) -> Remediation:
        spec = {"intent": run.intend(verifyWithin="5m", verifyProbability=0.5, **intent).dump()}
        before = [] if verdict is None else [verified_condition(verdict, "Before", "so far", at).dump()]
        status = {"phase": "Verifying", "completed": stamp(DONE), "conditions": before}
        return Remediation.read({"metadata": {"name": "one"}, "spec": spec, "status": status})

    return make


@pytest.mark.parametrize(
    ("before", "outlook", "later", "verdict"),
    [
        (None, {"sampled_at": DONE + 1, "probability": 0.1}, 10, ("Unknown", "Pending")),
        ("Unknown", {"sampled_at": DONE, "probability": 0.1}, 10, ("Unknown", "Before")),
        ("Unknown", {"sampled_at": DONE + 1, "probability": 0.1}, 10, ("True", "RiskFell")),
        ("Unknown", {"sampled_at": DONE + 1, "probability": 0.1, "fresh": False}, 10, ("Unknown", "Before")),
        ("Unknown", {"sampled_at": DONE + 1, "probability": 0.1, "breached": True}, 10, ("Unknown", "Before")),
        ("Unknown", {"sampled_at": DONE + 1, "probability": 0.5}, WITHIN - 1, ("Unknown", "Before")),
        ("Unknown", {"sampled_at": DONE + 1, "probability": 0.5}, WITHIN, ("False", "NotHelped")),
        ("True", {"sampled_at": DONE + 1, "probability": 0.1}, 10, ("True", "Before")),
        ("True", {"sampled_at": DONE + 1, "probability": 0.9}, WITHIN, ("True", "Before")),
        ("False", {"sampled_at": DONE + 1, "probability": 0.1}, 10, ("False", "Before")),
    ],
)
def test_a_verdict_rests_on_a_sample_from_after_the_action_and_on_time(run, make, before, outlook, later, verdict):
    after = verify(make(before), run.foresee(**outlook), DONE + later, exhausted=False)
    assert (after.status, after.reason) == verdict


def test_without_an_outlook_the_verdict_stays(make):
    assert verify(make(), None, DONE + 999, exhausted=False).reason == "Before"


@pytest.mark.parametrize(("exhausted", "verdict"), [(True, ("Unknown", "RiskReturned")), (False, ("True", "Before"))])
def test_a_risk_that_returns_begins_anew_where_nothing_more_can_be_done(run, make, exhausted, verdict):
    outlook = run.foresee(sampled_at=DONE + 20, probability=0.9)
    after = verify(make("True"), outlook, DONE + 20, exhausted=exhausted)
    assert (after.status, after.reason) == verdict


def test_time_counts_from_the_last_change_of_the_verdict(run, make):
    """After a risk has returned, a sample from before that proves nothing, and the policy's time begins anew."""
    returned = make("Unknown", at=DONE + 100)
    outlook = run.foresee(sampled_at=DONE + 100, probability=0.1)
    assert verify(returned, outlook, DONE + 110, exhausted=True).reason == "Before"
    outlook = run.foresee(sampled_at=DONE + 101, probability=0.9)
    assert verify(returned, outlook, DONE + 100 + WITHIN - 1, exhausted=True).status == "Unknown"
    assert verify(returned, outlook, DONE + 100 + WITHIN, exhausted=True).status == "False"


@pytest.mark.parametrize(("breached", "passed"), [(True, True), (False, False)])
def test_a_verdict_says_the_figures(run, make, breached, passed):
    outlook = run.foresee(sampled_at=DONE + 1, probability=0.9, breached=breached)
    after = verify(make(), outlook, DONE + WITHIN, exhausted=False)
    assert after.message.startswith("after 5m the breach probability is 90")
    assert ("the limit is passed" in after.message) is passed


CORDON: dict[str, Any] = {
    "target": {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"},
    "action": {"cordon": {}},
    "from": None,
    "to": None,
}


@pytest.mark.parametrize(("intent", "contains"), [(CORDON, True), ({}, False)], ids=["cordon", "scale"])
def test_of_an_action_that_lowers_no_risk_a_verdict_says_what_it_is_for(run, make, intent, contains):
    outlook = run.foresee(sampled_at=DONE + 1, probability=0.9)
    after = verify(make(**intent), outlook, DONE + WITHIN, exhausted=False)
    assert after.message.endswith("; the action keeps it from spreading") is contains


@pytest.mark.parametrize(
    ("world", "at_its_most"),
    [
        ({"level": 5, "ceiling": 5, "size": 5}, True),
        ({"level": 4, "ceiling": 5, "size": 4}, False),
        ({"level": 1}, False),
    ],
)
def test_what_did_not_help_says_whether_more_is_possible(make, world: dict[str, Any], at_its_most):
    message = not_helped_message(make("False"), ObservedState(subject=SUBJECT, resource_version="7", **world))
    assert message.startswith("so far")
    assert ("the most it may have" in message) is at_its_most
    nothing_known = not_helped_message(make(None), ObservedState(subject=SUBJECT, resource_version="7", **world))
    assert not nothing_known.startswith("so far")


CRASHES = Hold("CrashLooping", "2 pods of deployment shop/checkout crash")
UNREADY = Hold("PodsNotReady", "1 pod of deployment shop/checkout has not become ready")
ENDING = Hold("PodsTerminating", "1 pod of deployment shop/checkout has been asked to end")


@pytest.mark.parametrize(
    ("pods", "later", "verdict"),
    [
        (UnfinishedRollout(CRASHES), WITHIN - 1, ("Unknown", "CrashLooping")),
        (UnfinishedRollout(CRASHES), WITHIN, ("False", "NotHelped")),
        (UnfinishedRollout(UNREADY, is_reported=False), WITHIN - 1, ("Unknown", "PodsNotReady")),
        (UnfinishedRollout(UNREADY, is_reported=False), WITHIN, ("True", "RiskFell")),
        (UnfinishedRollout(ENDING, is_reported=False), 10, ("True", "RiskFell")),
        (StalledReplicas(2, CRASHES), 10, ("True", "RiskFell")),
    ],
)
def test_a_risk_that_is_gone_with_the_pods_has_not_fallen(run, make, pods, later, verdict):
    """Kind: a verdict by the indicator alone. What crashes uses no memory and serves nobody."""
    outlook = run.foresee(sampled_at=DONE + 1, probability=0.1)
    after = verify(make(), outlook, DONE + later, exhausted=False, pods=pods)
    assert (after.status, after.reason) == verdict
    if verdict[0] != "True":
        assert pods.why.message in after.message


def test_without_samples_pods_that_crash_are_named(make):
    after = verify(make(), None, DONE + 10, exhausted=False, pods=UnfinishedRollout(CRASHES))
    assert (after.status, after.reason, after.message) == ("Unknown", CRASHES.reason, CRASHES.message)


@pytest.mark.parametrize(
    ("pods", "later", "verdict"),
    [
        (StalledReplicas(2, UNREADY, is_reported=False), WITHIN, "Unknown"),
        (StalledReplicas(2, UNREADY, is_reported=False), 599, "Unknown"),
        (StalledReplicas(2, UNREADY, is_reported=False), 600, "False"),
        (StalledReplicas(2, Hold("Preempting", "2 pods wait")), 599, "Unknown"),
        (StalledReplicas(2, CRASHES), WITHIN, "False"),
    ],
)
def test_replicas_that_only_start_have_not_been_tried(run, make, pods, later, verdict):
    """Kind: a verdict before the action takes effect. What is reported not to start is no matter of time."""
    outlook = run.foresee(sampled_at=DONE + 1, probability=0.9)
    after = verify(make(), outlook, DONE + later, exhausted=False, pods=pods)
    assert after.status == verdict
    assert (pods.why.message in after.message) is (verdict == "False")


def test_replicas_have_the_policys_time_once_they_are_ready(run, make):
    remediation = make()
    ready = Condition.since(DONE + 200, PODS_READY, "True", "Completed", "the pods that were asked for are ready")
    remediation.status.conditions.append(ready)
    for sampled, later, verdict in (
        (200, 210, "Unknown"),
        (201, WITHIN + 199, "Unknown"),
        (201, WITHIN + 200, "False"),
    ):
        outlook = run.foresee(sampled_at=DONE + sampled, probability=0.9)
        assert verify(remediation, outlook, DONE + later, exhausted=False).status == verdict
