"""The decision of a policy: the cause, the rung, and the remediations that block it.

The kinds: the identity of a cause is lost after the decision; a rung that does not suit the cause blocks the ladder.
"""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.decider import Unhindered, decider_of

from forestall.actions import ACTIONS, NotApplicable
from forestall.api.remediation import ObjectRef
from forestall.api.service_level_objective import ServiceLevelObjective
from forestall.core.clock_skew import ClockSkew
from forestall.core.decision import Hold
from forestall.core.guards import Constraints, WorkloadPods
from forestall.core.plan import TargetScale
from forestall.engine.decider import Proposal
from forestall.engine.guard_input import Evaluation
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import ResolvedTarget
from forestall.engine.workload import Workload
from forestall.errors import ClusterError, Forbidden, NotFound

DEPLOYMENT = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="d-1")
EVICT: dict[str, Any] = {"evict": {}}
NOTIFY: dict[str, Any] = {"notify": {"channel": "pager"}}
SCALE: dict[str, Any] = {"scale": {"maxReplicas": 8}}
OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "uid": "d-1", "controller": True}


class World(Unhindered):
    """The fakes that a decider needs: a Deployment that can't be scaled, its pods a, b and c, a channel, and no
    obstacle.
    """

    def __init__(self) -> None:
        self.distrusted: NotApplicable | None = None
        self.error: ClusterError | None = None
        self.forbidden: set[str] = set()
        self.read_through: list[Any] = []
        self.gathered = 0

    async def read(self, of: Any, *, with_scale: bool = False, cluster: Any = None) -> Any:
        del with_scale
        if isinstance(of, ServiceLevelObjective):
            self.read_through.append(cluster)
            return ResolvedTarget(DEPLOYMENT, TargetScale(None, 2), Workload(protected=False, labels={}, pods=None))
        if of.kind == "NotificationChannel":
            return {}
        if self.error is not None:
            raise self.error
        if of.kind == "Pod" and of.name in ("a", "b", "c"):
            return {"metadata": {"name": of.name, "uid": f"p-{of.name}", "ownerReferences": [OWNER]}}
        raise NotFound(of.name)

    async def distrust(self, *_: Any) -> NotApplicable | None:
        return self.distrusted

    async def context(self, *_: Any) -> Constraints:
        self.gathered += 1
        return Constraints(pods=WorkloadPods(2, 2, 1))

    async def too_busy(self, *_: Any) -> None:
        return None

    async def why_not(self, action: str, *_: Any) -> Hold | None:
        return Hold("Forbidden", "no right") if action in self.forbidden else None


@pytest.fixture
def world() -> Any:
    return World()


@pytest.fixture
def decider(world):
    return decider_of(world)


@pytest.fixture
def decide(decider, slo, make_policy, make_signal):
    """Return the policy's decision about pods with these breach probabilities."""

    async def run(*actions, now=1000.0, history=(), others=(), victim=None, probabilities=None, label="pod", **spec):
        policy = make_policy(actions=list(actions), **{"cooldown": "0s", **spec})
        signals = [
            make_signal(probability=p, labels=[(label, name)]) for name, p in (probabilities or {"a": 0.9}).items()
        ]
        scene = Snapshot({slo.uid: slo, **{one.uid: one for one in others}}, {slo.uid: [policy]}, list(history), [])
        case = Evaluation(slo, policy, signals, 1, victim, {}, now)
        decision, proposal = await decider.decide(scene, case, now)
        return decision.reason, (proposal.act.action, proposal.target.name) if isinstance(proposal, Proposal) else None

    return run


def evicted(make_remediation, pod, *pods, phase="Failed", objective="o-1"):
    one = make_remediation(phase, action=EVICT, kind="Pod", apiVersion="v1", name=pod, uid=f"p-{pod}")
    body = one.dump()
    body["spec"]["intent"]["evidence"]["pods"] = [pod, *pods]
    body["spec"]["intent"]["objective"]["uid"] = objective
    body["status"]["ended"] = "1970-01-01T00:16:30Z" if phase != "Verifying" else None
    return type(one).read(body)


@pytest.mark.parametrize("action", [{"drain": {}}, {"cordon": {}}, SCALE, EVICT])
async def test_rung_that_does_not_suit_the_cause_gives_way_to_notifying_people(decide, action):
    assert await decide(action, NOTIFY, label="zone") == ("BreachForecast", ("Notify", "checkout"))


async def test_untrusted_node_gives_way_and_is_reported_where_no_rung_is_left(decide, world):
    world.distrusted = NotApplicable("NodeNotTrusted", "no pod runs there")
    assert (await decide({"drain": {}}, NOTIFY, label="node"))[1] == ("Notify", "checkout")
    assert await decide({"drain": {}}, label="node") == ("NodeNotTrusted", None)


async def test_missing_read_permission_gives_way_but_an_unknown_state_holds(decide, world):
    world.error = Forbidden("nodes is forbidden")
    assert (await decide({"cordon": {}}, NOTIFY, label="node"))[1] == ("Notify", "checkout")
    assert (await decide({"cordon": {}}, label="node"))[0] == "TargetForbidden"
    world.error = ClusterError("no answer")
    assert await decide({"cordon": {}}, NOTIFY, label="node") == ("TargetUnknown", None)


async def test_second_leaking_pod_is_evicted_after_the_first_eviction_did_not_help(decide, make_remediation):
    vain = evicted(make_remediation, "a", "b", "c")
    leaking = {"a": 0.99, "b": 0.9, "c": 0.1}
    assert await decide(EVICT, history=[vain], probabilities=leaking) == ("Cooldown", None), "no second one at once"
    later = await decide(EVICT, now=1300.0, history=[vain], probabilities=leaking)
    assert later == ("BreachForecast", ("Evict", "b"))
    both = [vain, evicted(make_remediation, "b", "a", "c")]
    assert await decide(EVICT, history=both, probabilities=leaking) == ("LadderExhausted", None)
    came_since = {"new": 0.99}
    assert await decide(EVICT, history=[vain], probabilities=came_since) == ("LadderExhausted", None)


async def test_each_pod_must_be_at_risk_for_the_duration_of_the_policy(decide):
    when = {"when": {"probability": 0.8, "for": "5m"}}
    assert (await decide(EVICT, now=1000.0, probabilities={"a": 0.9}, **when))[0] == "NotSustained"
    assert (await decide(EVICT, now=1200.0, probabilities={"b": 0.99}, **when))[0] == "NotSustained"
    assert (await decide(EVICT, now=1400.0, probabilities={"b": 0.99}, **when))[0] == "NotSustained", "200 s of b"
    assert (await decide(EVICT, now=1500.0, probabilities={"b": 0.9}, **when))[1] == ("Evict", "b")


@pytest.mark.parametrize(("phase", "reason"), [("Verifying", "RemediationActive"), ("Succeeded", "Cooldown")])
async def test_two_objectives_replace_the_pods_of_their_workload_one_at_a_time(
    decide, slo, make_remediation, phase, reason
):
    other = slo.model_copy(update={"metadata": slo.metadata.model_copy(update={"name": "other", "uid": "o-2"})})
    theirs = evicted(make_remediation, "c", phase=phase, objective="o-2")
    assert await decide(EVICT, history=[theirs], others=[other], cooldown="10m") == (reason, None)
    assert (await decide(EVICT, history=[theirs], cooldown="10m"))[1] == ("Evict", "a"), "of another workload"


async def test_recheck_covers_the_pod_and_the_objectives_dependencies(
    decider, slo, make_policy, make_signal, make_remediation
):
    policy = make_policy(actions=[EVICT])
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    decided = evicted(make_remediation, "a", "b", phase="Authorized")

    async def recheck(victim=None, **pods):
        signals = [make_signal(fresh=fresh, labels=[("pod", name)]) for name, fresh in pods.items()]
        return await decider.recheck(scene, decided, Evaluation(slo, policy, signals, 1, victim, {}), 1000.0)

    assert await recheck(a=True, b=False) is None
    assert (await recheck(a=False, b=True)).reason == "DataNotFresh"
    assert (await recheck(b=True)).reason == "DataNotFresh"
    assert (await recheck(victim="database", a=True)).reason == "DependencyAtRisk"


@pytest.mark.parametrize("mode", ["Auto", "Approve"])
async def test_forbidden_action_is_not_begun_and_only_people_are_notified(decide, world, mode):
    """Kind: an action without permission is not tried. Nobody is asked to approve it, and no stronger action replaces
    it.
    """
    world.forbidden = {"Evict"}
    assert await decide(EVICT, mode=mode) == ("Forbidden", None)
    assert await decide(EVICT, {"restart": {"timing": "Now"}}, mode=mode) == ("Forbidden", None)
    assert (await decide(EVICT, NOTIFY, mode=mode))[1] == ("Notify", "checkout")
    assert (await decide(EVICT, mode="Observe"))[0] == "BreachForecast", "it tells what it would do"
    world.forbidden = set()
    assert (await decide(EVICT, mode=mode))[1] == ("Evict", "a")


async def test_remediation_waits_for_a_permission_that_was_revoked(
    decider, world, slo, make_policy, make_signal, make_remediation
):
    scene = Snapshot({slo.uid: slo}, {slo.uid: [make_policy(actions=[EVICT])]}, [], [])
    decided = evicted(make_remediation, "a", "b", phase="Authorized")
    case = Evaluation(slo, make_policy(actions=[EVICT]), [make_signal(labels=[("pod", "a")])], 1, None, {})
    world.forbidden = {"Evict"}
    assert (await decider.recheck(scene, decided, case, 1000.0)).reason == "Forbidden"
    world.forbidden = set()
    assert await decider.recheck(scene, decided, case, 1000.0) is None


@pytest.mark.parametrize("phase", ["Pending", "AwaitingApproval", "Authorized"])
async def test_target_is_read_again_right_before_a_change(
    decider, world, slo, make_policy, make_signal, make_remediation, phase
):
    """Kind: a change that is based on the state at the beginning of the cycle."""
    scene = Snapshot({slo.uid: slo}, {slo.uid: [make_policy(actions=[EVICT])]}, [], [])
    case = Evaluation(slo, make_policy(actions=[EVICT]), [make_signal(labels=[("pod", "a")])], 1, None, {})
    reader = World()
    await decider.recheck(scene, evicted(make_remediation, "a", "b", phase=phase), case, 1000.0, reader)
    assert world.read_through == [reader if phase == "Authorized" else None]


async def test_proposal_is_confirmed_with_the_gathered_input_and_later_decisions(
    decider, world, slo, make_policy, make_signal, make_remediation
):
    policy = make_policy(actions=[EVICT])
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    case = Evaluation(slo, policy, [make_signal(labels=[("pod", "a")])], 1, None, {}, 1000.0)
    _, proposal = await decider.decide(scene, case, 1000.0)
    assert await decider.confirm(scene, proposal) is None
    others = replace(scene, remediations=[evicted(make_remediation, "a", "b", phase="Pending", objective="o-2")])
    assert (await decider.confirm(others, proposal)).reason == "RemediationActive"
    assert (world.gathered, len(world.read_through)) == (1, 1), "the world is asked once"


BUSY = Hold("WaitingForLowTraffic", "it waits until 14:00")


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"restart": {}}, "WaitingForLowTraffic"),
        ({"restart": {"timing": "LowTraffic"}}, "WaitingForLowTraffic"),
        ({"restart": {"timing": "Now"}}, "BreachForecast"),
        (EVICT, "BreachForecast"),
    ],
)
async def test_only_a_restart_waits_for_low_traffic(decide, world, action, reason):
    asked = []

    async def too_busy(slo, cause, reserve, now):
        asked.append((slo.name, cause.label("pod"), reserve.seconds, now))
        return BUSY

    world.too_busy = too_busy
    assert (await decide(action, deadline="20m"))[0] == reason
    assert asked == ([("checkout", "a", 1200, 1000.0)] if reason == BUSY.reason else [])


def case_of(slo, policy, *signals, **more):
    return Evaluation(slo, policy, list(signals), 1, None, {}, **more)


async def test_decision_of_a_policy_has_all_its_fields(decider, slo, make_policy, make_signal):
    policy = make_policy(actions=[EVICT])
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    case = case_of(slo, policy, make_signal(labels=[("pod", "a")]))
    decision, proposal = await decider.decide(scene, case, 1000.0)
    assert (decision.policy, decision.verdict, decision.action, decision.remediation) == ("early", "Act", "Evict", "")
    assert decision.message == proposal.act.message
    assert decision.message.endswith(": evict pod shop/a")
    observing = make_policy(actions=[EVICT], mode="Observe")
    decision, proposal = await decider.decide(scene, replace(case, policy=observing), 1000.0)
    assert (decision.verdict, decision.action, proposal) == ("WouldAct", "Evict", None)
    assert decision.message.endswith(": evict pod shop/a (not done: the policy only observes)")
    decision, proposal = await decider.decide(scene, replace(case, signals=[make_signal(probability=0.1)]), 1000.0)
    assert (decision.verdict, decision.action, proposal) == ("Hold", "", None)


async def test_by_a_source_whose_clock_is_wrong_nothing_is_decided_and_nothing_done(
    decider, world, slo, make_policy, make_signal, make_remediation
):
    policy = make_policy(actions=[EVICT])
    clocks = ClockSkew(source_reasons={"default": "an hour ahead"})
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [], clocks)
    case = case_of(slo, policy, make_signal(labels=[("pod", "a")]))
    decision, _ = await decider.decide(scene, case, 1000.0)
    assert (decision.reason, decision.message) == ("ClockSkew", "an hour ahead")
    decided = evicted(make_remediation, "a", "b", phase="Authorized")
    assert await decider.recheck(scene, decided, case, 1000.0) == Hold("ClockSkew", "an hour ahead")
    assert world.read_through == []


async def test_a_recheck_without_its_objective_or_without_data_says_so(
    decider, slo, make_policy, make_signal, make_remediation
):
    policy = make_policy(actions=[EVICT])
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    decided = evicted(make_remediation, "a", "b", phase="Authorized")
    assert await decider.recheck(scene, decided, None, 1000.0) == Hold(
        "Withdrawn", "its objective or its policy does not exist any more"
    )
    stale = case_of(slo, policy, make_signal(fresh=False, labels=[("pod", "a")]))
    assert await decider.recheck(scene, decided, stale, 1000.0) == Hold(
        "DataNotFresh", "there is no fresh data of load"
    )


async def test_recheck_needs_the_guard_input_of_the_decision(decider, slo, make_policy, make_signal):
    policy = make_policy(actions=[EVICT])
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    _, proposal = await decider.decide(scene, case_of(slo, policy, make_signal(labels=[("pod", "a")])), 1000.0)
    with pytest.raises(ValueError, match="the guards were not asked about Evict on pod shop/a"):
        await decider.confirm(scene, replace(proposal, guard_input=None))


@pytest.mark.parametrize(("risk_since", "began"), [(None, 900.0), (400.0, 400.0), (950.0, 900.0)])
async def test_target_is_chosen_with_the_start_of_the_risk(
    decider, slo, make_policy, make_signal, monkeypatch, risk_since, began
):
    policy = make_policy(actions=[EVICT], when={"probability": 0.8})
    scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, [], [])
    case = case_of(slo, policy, make_signal(labels=[("pod", "a")]), risk_since=risk_since)
    await decider.decide(scene, case, 900.0)
    aims = []
    resolve = type(ACTIONS["Evict"]).resolve_target

    async def noted(action, cluster, aim):
        aims.append((aim.rung.name, aim.workload.name, aim.labels, aim.risk_since))
        return await resolve(action, cluster, aim)

    monkeypatch.setattr(type(ACTIONS["Evict"]), "resolve_target", noted)
    await decider.decide(scene, case, 1000.0)
    assert aims == [("Evict", "checkout", {"pod": "a"}, began)]


async def test_trigger_must_last_anew_after_it_was_not_met(decide):
    when = {"when": {"probability": 0.8, "for": "5m"}}
    assert (await decide(EVICT, now=1000.0, **when))[0] == "NotSustained"
    assert (await decide(EVICT, now=1200.0, probabilities={"a": 0.5}, **when))[0] == "BelowThreshold"
    assert (await decide(EVICT, now=1400.0, **when))[0] == "NotSustained"
    assert (await decide(EVICT, now=1699.0, **when))[0] == "NotSustained"
    assert (await decide(EVICT, now=1700.0, **when))[1] == ("Evict", "a")


async def test_trigger_of_a_forgotten_objective_must_last_anew(decide, decider):
    when = {"when": {"probability": 0.8, "for": "5m"}}
    await decide(EVICT, now=1000.0, **when)
    decider.forget({"o-1"})
    assert (await decide(EVICT, now=1300.0, **when))[1] == ("Evict", "a")
    decider.forget(())
    assert (await decide(EVICT, now=1400.0, **when))[0] == "NotSustained"
