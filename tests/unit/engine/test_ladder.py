"""Which reasons hold a ladder, and which give way to the next rung.

The kind: a rung that can never be tried blocks the ladder, so that `[scale, notify]` never notifies. Where the reason
is a setting of people, only notifying them may replace it, and no stronger action.
"""

from typing import Any

import pytest
from tests.support.decider import Unhindered, decider_of

from forestall.actions import Floor, NotApplicable
from forestall.api import Remediation
from forestall.api.remediation import ObjectRef
from forestall.api.service_level_objective import ServiceLevelObjective
from forestall.core.decision import Act, Hold
from forestall.core.guards import Constraints, WorkloadPods
from forestall.core.guards.guard_input import DisruptionBudget
from forestall.core.plan import RungSpec, TargetScale
from forestall.engine import ladder
from forestall.engine.decider import Proposal
from forestall.engine.guard_input import Evaluation
from forestall.engine.snapshot import Snapshot
from forestall.engine.target_resolver import ResolvedTarget
from forestall.engine.workload import Workload
from forestall.remediation import draft_of

DEPLOYMENT = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout", uid="d-1")
NOTIFY: dict[str, Any] = {"notify": {"channel": "pager"}}
RESTART: dict[str, Any] = {"restart": {"timing": "Now"}}
SCALE: dict[str, Any] = {"scale": {"maxReplicas": 8}}
ROOMY: dict[str, Any] = {"scale": {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 1000}}}
UNSIZED: dict[str, Any] = {"scale": {"maxReplicas": 8, "capacity": {"indicator": "none"}}}


class World(Unhindered):
    """The fakes that a decider needs: a Deployment of three replicas, a channel, and no obstacle."""

    def __init__(self) -> None:
        self.size = TargetScale(3, 3)
        self.obstacle: Hold | None = None
        self.constraints = Constraints(pods=WorkloadPods(3, 3, 1))

    async def read(self, of: Any, *, with_scale: bool = False) -> Any:
        if not isinstance(of, ServiceLevelObjective):
            return {"metadata": {"name": of.name, "uid": f"u-{of.name}"}}
        workload = Workload(protected=False, labels={}, pods=None)
        if not with_scale or self.obstacle is not None:
            return ResolvedTarget(DEPLOYMENT, TargetScale(None, 3), workload, None, self.obstacle)
        replicas = self.size.replicas or 0
        return ResolvedTarget(DEPLOYMENT, self.size, workload, Floor(replicas, replicas, DEPLOYMENT, "1", False))

    async def context(self, *_: Any) -> Constraints:
        return self.constraints


@pytest.fixture
def world() -> Any:
    return World()


@pytest.fixture
def decide(world, slo, make_policy, make_signal):
    """Return the action that a policy with these actions decides on, or the reason of its hold, and the message."""
    decider = decider_of(world)

    async def run(*actions, history=(), guardrails=(), value=90.0, labels=(("node", "n1"),), now=1000.0, **spec):
        policy = make_policy(actions=list(actions), **{"cooldown": "0s", **spec})
        scene = Snapshot({slo.uid: slo}, {slo.uid: [policy]}, list(history), list(guardrails))
        case = Evaluation(slo, policy, [make_signal(value, labels=labels)], 1, None, {}, now)
        decision, proposal = await decider.decide(scene, case, now)
        if isinstance(proposal, Proposal):
            return proposal.act.action, decision.message, proposal
        return decision.reason, decision.message, None

    return run


def ended(proposal: Proposal, phase: str, reason: str) -> Remediation:
    """Return the ended Remediation of a proposal."""
    body = draft_of(proposal.intent(900.0))
    body["metadata"]["uid"] = "r-1"
    return Remediation.read({**body, "status": {"phase": phase, "reason": reason, "ended": "1970-01-01T00:15:50Z"}})


SET_UP = ["AmbiguousAutoscaler", "FieldOwned", "OwnedByController", "ScaledByKeda", "TargetPaused"]


@pytest.mark.parametrize("reason", SET_UP)
async def test_people_are_notified_where_another_controller_owns_the_size(decide, world, reason):
    world.obstacle = Hold(reason, "it is left alone")
    what, words, _ = await decide(SCALE, RESTART, NOTIFY)
    assert (what, "it is left alone" in words) == ("Notify", True), "no restart instead, and it says why"
    assert (await decide(SCALE, RESTART))[0] == reason


@pytest.mark.parametrize(
    ("scale", "size", "value", "reason"),
    [
        (UNSIZED, TargetScale(3, 3), 90.0, "DesiredReplicasUnknown"),
        (SCALE, TargetScale(0, 0), 90.0, "BelowMinimum"),
        (ROOMY, TargetScale(5, 5), 110.0, "SufficientReplicas"),
    ],
)
async def test_people_are_notified_where_a_scale_out_can_do_nothing(decide, world, scale, size, value, reason):
    world.size = size
    what, words, _ = await decide(scale, RESTART, NOTIFY, value=value)
    assert what == "Notify", words
    assert (await decide(scale, RESTART, value=value))[0] == reason


@pytest.mark.parametrize(("size", "value"), [(TargetScale(5, 3), 110.0), (TargetScale(5, 5), 90.0)])
async def test_sufficient_replicas_hold_while_they_start_or_before_a_breach(decide, world, size, value):
    world.size = size
    assert (await decide(ROOMY, NOTIFY, value=value))[0] == "SufficientReplicas"


async def test_next_rung_follows_at_the_maximum(decide, world):
    world.size = TargetScale(8, 8)
    assert (await decide(SCALE, RESTART, NOTIFY, value=110.0))[0] == "Restart"
    assert (await decide(SCALE, RESTART, NOTIFY))[0] == "Notify", "no pod is taken away for a forecast"
    what, words, _ = await decide(SCALE, NOTIFY)
    assert (what, "; the target has 8 replicas already" in words) == ("Notify", True)
    assert (await decide(SCALE))[0] == "AtMaximum"


async def test_remediation_under_way_holds_the_ladder(decide, world, make_remediation):
    world.size = TargetScale(8, 5)
    assert (await decide(SCALE, NOTIFY, history=[make_remediation("Verifying")]))[0] == "AtMaximum"


@pytest.mark.parametrize(
    ("around", "action", "reason"),
    [
        (
            Constraints(pods=WorkloadPods(3, 3, 1, budgets=(DisruptionBudget("web", 0),))),
            RESTART,
            "DisruptionNotAllowed",
        ),
        (Constraints(protected="the objective's workload"), RESTART, "Protected"),
        (Constraints(), {"cordon": {}}, "NotAllowed"),
    ],
)
async def test_people_are_notified_where_a_guard_holds_for_good(decide, world, around, action, reason):
    world.constraints = around
    told = await decide(action, NOTIFY)
    assert told[0] == "Notify", told[1]
    assert (await decide(action, SCALE))[0] == reason, "nothing stronger comes instead"
    after = ended(told[2], "Succeeded", "Notified")
    assert (await decide(action, NOTIFY, history=[after]))[0] == reason, "once"


async def test_silent_guard_holds_notifications_too(decide, world):
    assert (await decide(RESTART, NOTIFY, suspend=True))[0] == "Suspended"
    window = {"cron": "* * * * *", "duration": "1h"}
    assert (await decide(RESTART, NOTIFY, blackoutWindows=[window]))[0] != "Notify"


@pytest.mark.parametrize(
    ("phase", "reason", "expected"),
    [
        ("Aborted", "Superseded", "Notify"),
        ("Aborted", "DeadlineExceeded", "Notify"),
        ("Aborted", "ApprovalExpired", "Notify"),
        ("Succeeded", "Verified", "Notify"),
        ("Aborted", "Rejected", "Restart"),  # which is not done twice, and about which a person knows
    ],
)
async def test_action_already_made_in_the_episode_gives_way_to_notifying_people(decide, phase, reason, expected):
    once = (await decide(RESTART, SCALE, NOTIFY))[2]
    after = ended(once, phase, reason)
    assert (await decide(RESTART, SCALE, NOTIFY, history=[after]))[0] == expected
    if expected == "Notify":
        assert (await decide(RESTART, SCALE, history=[after]))[0] == "AlreadyDecided"


TOTAL = Hold("IndicatorIsTotal", "declare it")


@pytest.mark.parametrize(
    ("act", "total", "expected"),
    [
        (Act(0, "Restart", "BreachForecast", "restart"), TOTAL, None),
        (Act(0, "Scale", "BreachForecast", "scale", 5), TOTAL, TOTAL),
        (Act(0, "Scale", "BreachForecast", "scale", 5), None, None),
        (Hold("AtMaximum", "full"), TOTAL, TOTAL),
        (Hold("SufficientReplicas", "enough"), TOTAL, TOTAL),
        (Hold("LadderExhausted", "nothing is left"), TOTAL, Hold("LadderExhausted", "nothing is left. declare it")),
        (Hold("LadderExhausted", "nothing is left"), None, None),
        (Hold("NotSustained", "not yet"), TOTAL, None),
    ],
)
def test_what_looks_like_a_total_is_not_scaled_by(act, total, expected):
    assert ladder.hold_if_total(act, total) == expected


async def test_a_ladder_that_ended_with_a_scale_out_by_a_total_says_so(decide, make_remediation):
    body = make_remediation("RolledBack").dump()
    body["status"]["conditions"] = [
        {"type": "Proportional", "status": "False", "reason": "IndicatorIsTotal", "message": "it did not fall"}
    ]
    reason, message, _ = await decide(SCALE, history=[Remediation.read(body)])
    assert (reason, message.endswith(": it did not fall")) == ("LadderExhausted", True)


async def test_the_obstacle_of_a_target_is_told_only_where_it_is_to_be_scaled(decide, world):
    world.obstacle = Hold("ScaledByKeda", "it is left alone")
    assert (await decide({**SCALE, "indicators": ["memory"]}))[0] == "NoRungForCause"
    assert (await decide({**SCALE, "indicators": ["load"]}))[0] == "ScaledByKeda"


RUNGS = tuple(
    RungSpec(action, frozenset(indicators))
    for action, indicators in (("Scale", ()), ("Evict", ("other",)), ("Restart", ()), ("Notify", ()))
)


@pytest.mark.parametrize(
    ("why", "value", "size", "spent", "left"),
    [
        # The next rung is asked, whatever it is.
        (NotApplicable("NoNode", "x"), 90.0, TargetScale(3, 3), (), {0}),
        (NotApplicable("NoNode", "x"), 90.0, TargetScale(3, 3), (0,), {0, 2}),
        (Hold("NotScalable", "x"), 90.0, TargetScale(3, 3), (), {0}),
        (Hold("AtMaximum", "x"), 110.0, TargetScale(3, 3), (), {0}),
        (Hold("AtMaximum", "x"), 90.0, TargetScale(3, 3), (), {0, 2}),
        # Only people are told.
        (Hold("Protected", "x"), 90.0, TargetScale(3, 3), (), {0, 1, 2}),
        (Hold("SufficientReplicas", "x"), 110.0, TargetScale(3, 3), (), {0, 1, 2}),
        (Hold("SufficientReplicas", "x"), 110.0, TargetScale(3, 4), (), {0, 1, 2}),
        # It holds.
        (Hold("SufficientReplicas", "x"), 110.0, TargetScale(3, 2), (), None),
        (Hold("SufficientReplicas", "x"), 110.0, TargetScale(3, None), (), None),
        (Hold("SufficientReplicas", "x"), 110.0, TargetScale(None, 3), (), None),
        (Hold("SufficientReplicas", "x"), 90.0, TargetScale(3, 3), (), None),
        (Hold("Suspended", "x"), 110.0, TargetScale(3, 3), (), None),
    ],
)
def test_which_rungs_are_out_of_the_question(make_signal, why, value, size, spent, left):
    assert ladder.rungs_to_skip(frozenset(spent), RUNGS, make_signal(value), why, size) == left


@pytest.mark.parametrize(
    ("why", "under_way", "given"),
    [
        (Hold("Protected", "x"), False, True),
        (Hold("Protected", "x"), True, False),
        (Hold("Forbidden", "x"), True, True),
        (NotApplicable("NoNode", "x"), True, True),
    ],
)
def test_what_is_under_way_has_its_time_unless_it_can_change_nothing(make_remediation, why, under_way, given):
    related = [make_remediation("Succeeded"), *[make_remediation("Verifying")] * under_way]
    assert ladder.may_try_next(why, related) is given


@pytest.mark.parametrize(
    ("phase", "reason", "name", "is_decided"),
    [
        ("Failed", "NotVerified", "early-0-1", True),
        ("Failed", "NotVerified", "another", False),
        ("Verifying", "", "early-0-1", False),
        ("Aborted", "Rejected", "early-0-1", False),
        ("RolledBack", "UndoRequested", "early-0-1", False),
    ],
)
def test_what_has_ended_is_decided_unless_a_person_looked_at_it(make_remediation, phase, reason, name, is_decided):
    body = make_remediation(phase).dump()
    remediation = Remediation.read({**body, "status": {**body["status"], "reason": reason}})
    message = "early-0-1 was decided in this episode already and ended: Failed, NotVerified"
    assert ladder.decided([remediation], name) == (Hold("AlreadyDecided", message) if is_decided else None)


@pytest.mark.parametrize(
    ("action", "why", "message"),
    [
        ("Notify", Hold("Protected", "at risk, but it is protected"), "at risk, tell; it is protected"),
        ("Notify", Hold("Protected", "it is protected"), "at risk, tell; it is protected"),
        ("Notify", None, "at risk, tell"),
        ("Restart", Hold("Protected", "x"), "at risk, tell"),
    ],
)
def test_people_are_told_why_nothing_else_is_done(action, why, message):
    assert ladder.mark_fallback(Act(0, action, "BreachForecast", "at risk, tell"), why, "at risk").message == message
