"""The life of a Remediation, transition by transition."""

from typing import Any

import pytest

from forestall.actions.restart import RESTARTED_BY
from forestall.api.times import stamp
from forestall.core.decision import Hold
from forestall.errors import Denied, Forbidden, Throttled, Unavailable
from forestall.remediation import has_helped
from forestall.remediation.authorization import newly_approved

START = 1_000_000.0
NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n-1"}
CORDON = {"target": NODE, "action": {"cordon": {"healthyFor": "1m"}}, "from": None, "to": None}
RESTART: dict[str, Any] = {"action": {"restart": {}}, "from": None, "to": None}
APPROVE = {"mode": "Approve", "approvalExpires": stamp(START + 600)}


def approve(world, decision="Approved"):
    name = world.remediation().name
    world.change(
        "Remediation", name, {"spec": {"approval": {"decision": decision, "by": "kim", "comment": "so be it"}}}
    )


async def test_a_scale_out_is_made_at_once_and_recorded(run, world):
    await run.open()
    after = await run.cycle()
    assert run.replicas == 5
    assert (after.status.phase, after.status.reason) == ("Verifying", "Verifying")
    (step,) = after.status.steps
    assert (step.from_, step.to, step.done) == (3, 5, True)
    assert "load is forecast to pass its limit" in step.because
    assert [event.reason for event in world.events] == [
        "RemediationAuthorized",
        "RemediationExecuting",
        "Scale",
        "RemediationVerifying",
    ]
    assert world.events[2].message == f"{step.change}; {step.because}"


async def test_the_same_intent_is_opened_once(run, world):
    first, second = await run.open(), await run.open(created=stamp(START + 60))
    assert first == second
    assert (await run.open(episode=2)).name != first.name
    assert (await run.open(objective={**first.spec.intent.objective.dump(), "uid": "o-2"})).name != first.name


async def test_the_floor_follows_the_forecast_up_and_is_not_lowered_by_a_noisy_one(run):
    await run.open()
    await run.cycle()
    seen = []
    for need in (7, 4, 8, 3, 8, 2, 6):
        await run.cycle(30, replicas_forecast=need, replicas_observed=2, probability=0.1)
        seen.append(run.replicas)
    assert seen == [7, 7, 8, 8, 8, 8, 8]


async def test_a_raise_stays_within_the_policys_bounds(run):
    await run.open(action={"scale": {"maxReplicas": 9, "maxStep": 2, "stabilizationWindow": "5m"}})
    await run.cycle()
    seen = []
    for _ in range(4):
        await run.cycle(replicas_forecast=50)
        seen.append(run.replicas)
    assert seen == [7, 9, 9, 9]


async def test_a_guard_stops_a_raise_but_not_giving_back(run):
    await run.open()
    await run.cycle()
    run.hold = Hold("BudgetExhausted", "no more today")
    after = await run.cycle(replicas_forecast=9)
    assert (run.replicas, after.status.reason) == (5, "BudgetExhausted")
    after = await run.cycles(20, 30, replicas_forecast=2, replicas_observed=2, probability=0.0)
    assert (run.replicas, after.status.phase) == (3, "Succeeded")


async def test_replicas_are_given_back_gradually_and_only_when_both_agree(run):
    await run.open(to=12)
    await run.cycle()
    for _ in range(20):  # observation alone does not suffice, nor does the forecast alone
        await run.cycle(30, replicas_forecast=12, replicas_observed=2, probability=0.1)
        await run.cycle(30, replicas_forecast=2, replicas_observed=12, probability=0.1)
    assert run.replicas == 12
    seen = []
    for _ in range(19):
        await run.cycle(30, replicas_forecast=2, replicas_observed=2, probability=0.0)
        seen.append(run.replicas)
    after = await run.cycle(30, replicas_forecast=2, replicas_observed=2, probability=0.0)
    # Ten cycles of 30 s span the stabilization window of 5 min; then one in ten, but at least one, a cycle.
    assert seen[:10] == [12] * 10
    assert seen[10:19] == [11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert (after.status.phase, after.status.reason) == ("Succeeded", "Released")
    assert len(after.status.steps) == 10


async def test_without_a_forecast_replicas_are_given_back_after_ten_minutes_of_observation(run):
    """Kind: what is held waits for a forecast, and none of a new series is scored while something is held."""
    await run.open()
    await run.cycle()
    young = {"replicas_forecast": None, "replicas_observed": 2, "probability": 0.0}
    await run.cycle(30, **{**young, "replicas_observed": 5})
    await run.cycles(19, 30, **young)
    assert run.replicas == 5
    await run.cycle(30, **young)
    assert run.replicas == 5, "ten minutes ago five were needed"
    after = await run.cycle(30, **young)
    assert run.replicas == 4
    assert after.status.steps[-1].because == ("there is no forecast, and observation has needed no more than 3 for 10m")


async def test_a_forecast_that_went_lost_in_the_window_makes_it_ten_minutes(run):
    await run.open()
    await run.cycle()
    calm = {"replicas_forecast": 2, "replicas_observed": 2, "probability": 0.0}
    await run.cycle(30, **{**calm, "replicas_forecast": None})
    await run.cycles(10, 30, **calm)
    assert run.replicas == 5, "the window of five minutes has one moment without a forecast"
    await run.cycle(30, **calm)
    assert run.replicas == 4


async def test_what_nobody_observes_is_not_given_back(run):
    await run.open()
    await run.cycle()
    await run.cycles(60, 30, replicas_forecast=None, replicas_observed=None, probability=0.0)
    assert run.replicas == 5


async def test_quick_cycles_give_back_no_faster(run):
    await run.open(to=12)
    await run.cycle()
    calm = {"replicas_forecast": 2, "replicas_observed": 2, "probability": 0.0}
    await run.cycles(31, 10, **calm)
    seen = []
    for _ in range(9):
        await run.cycle(10, **calm)
        seen.append(run.replicas)
    assert seen == [11, 10, 10, 10, 9, 9, 9, 8, 8]


async def test_giving_back_stops_at_the_most_that_was_needed_in_the_window(run):
    await run.open(to=12)
    await run.cycle()
    for minute in range(30):
        need = 8 if minute % 4 == 0 else 2
        await run.cycle(60, replicas_forecast=need, replicas_observed=2, probability=0.0)
    assert run.replicas == 8


async def test_stale_data_and_a_restart_begin_the_window_anew(run):
    await run.open()
    await run.cycle()
    calm = {"replicas_forecast": 2, "replicas_observed": 2, "probability": 0.0}
    await run.cycles(9, 30, **calm)
    await run.cycle(30, fresh=False, probability=float("nan"))
    await run.cycles(9, 30, **calm)
    run.restart()
    await run.cycles(10, 30, **calm)
    assert run.replicas == 5
    await run.cycle(30, **calm)
    assert run.replicas == 4


async def test_nothing_is_changed_while_paused(run):
    await run.open()
    await run.cycle()
    run.stopped = Hold("Paused", "maintenance")
    after = await run.cycles(30, 30, replicas_forecast=2, replicas_observed=2, probability=0.0)
    assert (run.replicas, after.status.reason) == (5, "Paused")
    assert [(step.to, step.done) for step in after.status.steps] == [(5, True)], "nor is it written down"
    run.stopped = None
    await run.cycle(30, replicas_forecast=2, replicas_observed=2, probability=0.0)
    assert run.replicas == 4, "when the pause is over, giving back goes on"


async def test_a_pause_that_comes_while_a_step_is_written_down_stops_the_step(run, world):
    await run.open()

    def stop(name):
        if name == "replace_status" and world.remediation().status.steps:
            run.stopped = Hold("Paused", "an incident")

    world.after_call = stop
    after = await run.cycle()
    assert (run.replicas, world.writes) == (3, [])
    assert [step.done for step in after.status.steps] == [False]
    after = await run.cycles(5, 30)
    assert (run.replicas, after.status.reason, after.status.phase) == (3, "Paused", "Executing")
    world.after_call, run.stopped = (lambda _: None), None
    after = await run.cycle()
    assert (run.replicas, [step.done for step in after.status.steps]) == (5, [True])


async def test_a_pause_outlasts_the_deadline_of_what_was_not_begun(run):
    await run.open()
    run.stopped = Hold("Paused", "an incident")
    after = await run.cycle()
    assert (run.replicas, after.status.reason) == (3, "Paused")
    after = await run.cycle(1900)
    assert (run.replicas, after.status.phase, after.status.reason) == (3, "Aborted", "DeadlineExceeded")


async def test_without_an_outlook_nothing_is_changed(run):
    await run.open()
    after = await run.advance(None)
    assert (run.replicas, after.status.phase, after.status.reason) == (3, "Pending", "DataNotFresh")


async def test_held_replicas_are_given_back_after_the_longest_time_even_at_risk(run):
    await run.open(action={"scale": {"maxReplicas": 12, "holdAtMost": "1h", "stabilizationWindow": "5m"}})
    await run.cycle()
    await run.cycle(probability=0.1)
    assert has_helped(await run.cycle(3580, replicas_forecast=5)) is True
    assert run.replicas == 5
    after = await run.cycles(4, 60, replicas_forecast=9)
    assert (run.replicas, after.status.phase) == (3, "Succeeded")


async def test_what_did_not_help_is_kept_until_it_is_calm_and_rolled_back_then(run):
    await run.open()
    await run.cycle()
    after = await run.cycle(299)
    assert (after.status.phase, has_helped(after)) == ("Verifying", None)
    after = await run.cycle(2)
    assert (after.status.phase, after.status.reason, has_helped(after)) == ("Holding", "NotHelped", False)
    assert run.replicas == 5
    assert "90%" in next(each.message for each in after.status.conditions if each.type == "Verified")
    await run.cycle(30, replicas_forecast=9)
    assert run.replicas == 5
    after = await run.cycles(14, 30, probability=0.0, replicas_forecast=1, replicas_observed=1)
    assert (run.replicas, after.status.phase, after.status.reason) == (3, "RolledBack", "NotHelped")


async def test_samples_from_before_completion_prove_nothing(run):
    await run.open()
    await run.cycle()
    completed = run.now
    after = await run.cycles(20, 60, probability=0.0, sampled_at=completed - 1)
    assert has_helped(after) is None


async def test_a_risk_that_returns_at_the_maximum_is_not_helped_in_the_end(run):
    await run.open(action={"scale": {"maxReplicas": 5, "stabilizationWindow": "5m"}})
    await run.cycle()
    assert has_helped(await run.cycle(probability=0.1)) is True
    assert has_helped(await run.cycle(3600, probability=0.95)) is None
    assert has_helped(await run.cycle(301, probability=0.95)) is False


async def test_replicas_that_somebody_else_changed_are_left_alone(run, world):
    await run.open()
    await run.cycle()
    world.change("Deployment", "checkout", {"spec": {"replicas": 8}})
    after = await run.cycle(replicas_forecast=12)
    assert (run.replicas, after.status.phase, after.status.reason) == (8, "Aborted", "Superseded")
    assert "left alone" in after.status.message


async def test_replicas_that_somebody_else_set_to_the_same_number_are_left_alone(run, world):
    await run.open()
    await run.cycle()
    taken = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    world.change("Deployment", "checkout", {"metadata": {"managedFields": [taken]}})
    after = await run.cycle(replicas_forecast=12)
    assert (run.replicas, after.status.phase, after.status.reason) == (5, "Aborted", "Superseded")
    assert "was set to 5 by somebody else" in after.status.message


async def test_a_number_that_somebody_else_set_while_the_step_was_not_made_is_theirs(run, world):
    await run.open()
    world.errors["write_scale"] = Unavailable("gone")
    assert not (await run.cycle()).status.steps[0].done
    world.errors.clear()
    taken = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    world.change("Deployment", "checkout", {"metadata": {"managedFields": [taken]}, "spec": {"replicas": 5}})
    after = await run.cycle()
    assert (run.replicas, after.status.reason, after.status.steps[0].done) == (5, "Superseded", False)
    assert "was changed from 3 to 5 by somebody else" in after.status.message


async def test_a_size_that_changed_before_the_action_is_left_alone(run, world):
    await run.open()
    world.change("Deployment", "checkout", {"spec": {"replicas": 4}})
    after = await run.cycle()
    assert (run.replicas, after.status.reason, after.status.steps) == (4, "Superseded", [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: world.objects.pop(("Deployment", "shop", "checkout")), "TargetGone"),
        (lambda world: world.change("Deployment", "checkout", {"metadata": {"uid": "d-2"}}), "TargetReplaced"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("action", [{}, RESTART])
async def test_a_target_that_is_gone_or_another_one_is_left_alone(run, world, change, reason, begun, action):
    await run.open(**action)
    if begun:
        await run.cycle()
    writes = len(world.writes)
    change(world)
    after = await run.cycle(replicas_forecast=9)
    assert (after.status.phase, after.status.reason, len(world.writes)) == ("Aborted", reason, writes)


async def test_the_floor_of_an_autoscaler_is_raised_and_given_back(run, world):
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}
    world.put(
        "HorizontalPodAutoscaler",
        "shop",
        "web",
        "h-1",
        spec={"scaleTargetRef": ref, "minReplicas": 3, "maxReplicas": 4},
    )
    await run.open()
    after = await run.cycle()
    assert run.replicas == 3
    assert world.objects["HorizontalPodAutoscaler", "shop", "web"]["spec"]["minReplicas"] == 4
    assert "minReplicas" in after.status.steps[0].change
    after = await run.cycles(14, 30, probability=0.0, replicas_forecast=1, replicas_observed=1)
    assert world.objects["HorizontalPodAutoscaler", "shop", "web"]["spec"]["minReplicas"] == 3
    assert after.status.phase == "Succeeded"


async def test_a_workload_that_keda_scales_is_left_alone(run, world):
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}
    world.put("HorizontalPodAutoscaler", "shop", "web", "h-1", spec={"scaleTargetRef": ref, "maxReplicas": 4})
    world.change("HorizontalPodAutoscaler", "web", {"metadata": {"labels": {"scaledobject.keda.sh/name": "web"}}})
    await run.open()
    assert (await run.cycle()).status.reason == "ScaledByKeda"
    assert world.writes == []


async def test_a_guard_is_asked_again_before_each_beginning(run):
    await run.open()
    run.hold = Hold("Blackout", "not on Fridays")
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, run.replicas) == ("Pending", "Blackout", 3)
    run.hold = None
    assert (await run.cycle()).status.phase == "Verifying"


async def test_guards_are_asked_at_authorization_and_again_right_before_the_action(run, world):
    await run.open()
    answers = iter([None, Hold("Paused", "just now")])

    async def guard(_):
        return next(answers)

    after = await run.reconciler.reconcile(world.remediation(), run.foresee(), guard, run.now)
    assert (after.status.phase, after.status.reason, run.replicas) == ("Authorized", "Paused", 3)


async def test_what_was_held_until_its_deadline_is_aborted_with_the_reason(run):
    await run.open()
    run.hold = Hold("Blackout", "not on Fridays")
    await run.cycle()
    after = await run.cycle(1800)
    assert (after.status.phase, after.status.reason) == ("Aborted", "DeadlineExceeded")
    assert "not on Fridays" in after.status.message


async def test_a_risk_that_goes_before_anything_was_done_ends_it(run):
    await run.open()
    run.hold = Hold("Blackout", "not on Fridays")
    await run.cycle()
    await run.cycle(probability=0.1)
    run.hold = None
    after = await run.cycle(probability=0.1)
    assert (after.status.reason, run.replicas) == ("RiskGone", 3)
    after = await run.cycle(109, probability=0.1)
    assert (after.status.phase, after.status.reason) == ("Pending", "RiskGone")
    after = await run.cycle(1, probability=0.1)  # two minutes after the first sample without the risk
    assert (after.status.phase, after.status.reason, run.replicas) == ("Aborted", "RiskGone", 3)


async def test_an_intent_is_not_given_up_before_the_episode_in_which_it_could_not_be_decided_again(run):
    """Kind: a rung that ended without being tried, and holds the ladder for the rest of the episode."""
    await run.open()
    run.hold = Hold("Blackout", "not on Fridays")
    await run.cycles(3, 120, probability=0.1, calm=300.0)
    run.hold = None
    assert (await run.cycle(10)).status.phase == "Verifying"


async def test_a_withdrawn_intent_ends_before_it_begins_and_stops_rising_after(run):
    await run.open()
    gone = Hold("PolicyGone", "policy checkout was deleted")
    after = await run.cycle(withdrawn=gone)
    assert (after.status.phase, after.status.reason, run.replicas) == ("Aborted", "PolicyGone", 3)


async def test_what_is_withdrawn_in_the_middle_rises_no_more_and_is_given_back(run):
    await run.open()
    await run.cycle()
    gone = Hold("PolicyGone", "policy checkout was deleted")
    await run.cycle(withdrawn=gone, replicas_forecast=9)
    assert run.replicas == 5
    after = await run.cycles(14, 30, withdrawn=gone, probability=0.0, replicas_forecast=1, replicas_observed=1)
    assert (run.replicas, after.status.phase) == (3, "Succeeded")


async def test_when_the_policy_says_something_else_nothing_is_begun_or_raised_by_it(run):
    edited = Hold("Withdrawn", "policy checkout was changed")
    await run.open()
    await run.cycle()
    after = await run.cycle(edited=edited, replicas_forecast=9)
    assert (run.replicas, after.status.phase) == (5, "Verifying"), "what was done is held all the same"
    run.world.objects.pop(("Remediation", "shop", after.name))
    await run.open(episode=2, **{"from": 5, "to": 9})
    after = await run.cycle(edited=edited)
    assert (after.status.phase, after.status.reason, run.replicas) == ("Aborted", "Withdrawn", 5)


async def test_mode_observe_never_acts(run):
    await run.open(mode="Observe")
    assert (await run.cycle()).status.reason == "ObserveOnly"
    assert run.replicas == 3


async def test_approval_is_waited_for_and_recorded(run, world):
    await run.open(**APPROVE)
    after = await run.cycle()
    assert (after.status.phase, run.replicas) == ("AwaitingApproval", 3)
    assert f"approve {after.name} -n shop" in after.status.message
    assert (await run.cycle()).status.phase == "AwaitingApproval"
    approve(world)
    after = await run.cycle()
    assert (after.status.phase, run.replicas) == ("Verifying", 5)
    assert next(each.message for each in after.status.conditions if each.type == "Approved") == "by kim: so be it"


async def test_an_approval_in_time_outlasts_a_guard_that_holds(run, world):
    await run.open(**APPROVE)
    await run.cycle()
    approve(world)
    run.hold = Hold("Blackout", "not on Fridays")
    assert (await run.cycle()).status.reason == "Blackout"
    assert not newly_approved(world.remediation(), run.now), "it is on record"
    run.hold = None
    assert (await run.cycle(700)).status.phase == "Verifying"


async def test_a_rejection_ends_it(run, world):
    await run.open(**APPROVE)
    await run.cycle()
    approve(world, "Rejected")
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, run.replicas) == ("Aborted", "Rejected", 3)
    assert "kim rejected it: so be it" in after.status.message


@pytest.mark.parametrize("late", [False, True])
async def test_an_approval_that_comes_too_late_or_never_does_nothing(run, world, late):
    await run.open(**APPROVE)
    await run.cycle()
    if late:
        approve(world)
    after = await run.cycle(600)
    assert (after.status.phase, after.status.reason, run.replicas) == ("Aborted", "ApprovalExpired", 3)


@pytest.mark.parametrize(("expires", "counts"), [(START + 1, True), (START, False), (None, False)])
async def test_an_approval_counts_only_before_it_expires(run, world, expires, counts):
    """What was decided without a time until which it can be approved, by a person's edit, is not approved."""
    await run.open(**{**APPROVE, "approvalExpires": expires and stamp(expires)})
    approve(world)
    assert newly_approved(world.remediation(), START) is counts


async def test_an_approval_that_is_recorded_as_not_given_does_not_count(run, world):
    await run.open(**APPROVE)
    approve(world)
    refused = {"type": "Approved", "status": "False", "reason": "x", "message": "x"}
    world.change("Remediation", world.remediation().name, {"status": {"conditions": [refused]}})
    assert newly_approved(world.remediation(), START)


async def test_nothing_is_begun_without_fresh_data(run):
    await run.open()
    after = await run.cycle(fresh=False)
    assert (after.status.phase, after.status.reason, run.replicas) == ("Pending", "DataNotFresh", 3)


async def test_a_change_that_can_not_be_looked_at_is_waited_for_beyond_the_deadline(run, world):
    await run.open(deadline=stamp(START + 60))
    await run.cycle()
    world.errors["find"] = Forbidden("you may not list its autoscalers")
    after = await run.cycle(3600)
    assert (after.status.phase, after.status.reason, run.replicas) == ("Verifying", "Forbidden", 5)


async def test_a_missing_right_is_waited_for_with_what_is_missing(run, world):
    """Kind: what could not be done is not tried."""
    await run.open()
    user = "system:serviceaccount:forestall-system:forestall"
    world.errors["write_scale"] = Forbidden(f'User "{user}" cannot patch resource "deployments/scale"')
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, after.status.steps) == ("Executing", "Forbidden", [])
    assert "deployments/scale" in after.status.message
    assert (
        "kubectl create rolebinding forestall-workloads --clusterrole=forestall-workloads "
        "--serviceaccount=forestall-system:forestall -n shop" in after.status.message
    )
    world.errors.clear()
    after = await run.cycle(1700)
    assert (after.status.phase, run.replicas) == ("Verifying", 5), "as soon as the right is there"


async def test_a_right_that_nobody_grants_is_given_up_at_the_deadline_and_has_not_failed(run, world):
    await run.open()
    world.errors["write_scale"] = Forbidden("cannot patch")
    after = await run.cycles(19, 100)
    assert (after.status.phase, after.status.reason) == ("Aborted", "DeadlineExceeded")
    assert "cannot patch" in after.status.message


async def test_a_right_to_read_that_is_taken_away_is_waited_for_until_the_deadline(run, world):
    await run.open(deadline=stamp(START + 60))
    world.errors["write_scale"] = Unavailable("gone")
    assert (await run.cycle(10)).status.phase == "Executing"
    world.errors["find"] = Forbidden("you may not list its autoscalers")
    after = await run.cycle(49)
    assert (after.status.phase, after.status.reason) == ("Executing", "Forbidden")
    after = await run.cycle(1)
    assert (after.status.phase, after.status.reason) == ("Aborted", "Forbidden")


async def test_what_admission_refuses_has_not_failed(run, world):
    await run.open()
    world.errors["write_scale"] = Denied("not on a Friday")
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "Refused")


@pytest.mark.parametrize("error", [Throttled("wait"), Unavailable("gone")])
async def test_a_cluster_that_does_not_answer_is_asked_again(run, world, error):
    await run.open()
    world.errors["write_scale"] = error
    after = await run.cycle()
    assert (after.status.phase, after.status.steps[0].done, run.replicas) == ("Executing", False, 3)
    world.errors.clear()
    assert (await run.cycle()).status.phase == "Verifying"
    assert run.replicas == 5


async def test_a_step_that_could_not_be_made_is_given_up_at_the_deadline_when_no_write_is_under_way(run, world):
    await run.open(deadline=stamp(START + 60))
    world.errors["write_scale"] = Unavailable("gone")
    assert (await run.cycle(55)).status.phase == "Executing"
    assert (await run.cycle(10)).status.phase == "Executing"
    after = await run.cycle(6)
    assert (after.status.phase, after.status.reason, after.status.steps) == ("Aborted", "DeadlineExceeded", [])


async def test_a_release_that_was_written_down_is_not_made_when_the_need_has_come_back(run, world):
    await run.open()
    await run.cycle()
    calm = {"replicas_forecast": 2, "replicas_observed": 2, "probability": 0.0}
    await run.cycles(10, 30, **calm)
    world.errors["write_scale"] = Unavailable("gone")
    after = await run.cycle(30, **calm)
    assert [(step.to, step.done) for step in after.status.steps] == [(5, True), (4, False)]
    world.errors.clear()
    after = await run.cycle(30, replicas_forecast=8)
    assert run.replicas == 8
    assert [(step.to, step.done) for step in after.status.steps] == [(5, True), (8, True)]


async def test_a_release_that_may_yet_arrive_is_waited_for(run, world):
    await run.open()
    await run.cycle()
    calm = {"replicas_forecast": 2, "replicas_observed": 2, "probability": 0.0}
    await run.cycles(10, 30, **calm)
    world.errors["write_scale"] = Unavailable("no answer")
    await run.cycle(30, **calm)
    world.errors.clear()
    after = await run.cycle(5, replicas_forecast=8)
    assert (run.replicas, after.status.steps[-1].to, after.status.steps[-1].done) == (5, 4, False)
    world.change("Deployment", "checkout", {"spec": {"replicas": 4}})
    after = await run.cycle(5, replicas_forecast=8)
    assert (run.replicas, after.status.phase) == (8, "Verifying")


async def test_only_the_last_steps_are_kept(run):
    await run.open(action={"scale": {"maxReplicas": 100}})
    after = await run.cycle()
    for need in (round(6 * 1.1**n) for n in range(30)):
        after = await run.cycle(replicas_forecast=need)
    assert (len(after.status.steps), run.replicas) == (20, 95)


async def test_a_floor_does_not_follow_every_small_change(run):
    await run.open(action={"scale": {"maxReplicas": 100, "stabilizationWindow": "1m"}}, to=50)
    await run.cycle()
    for need in (52, 51, 47, 50, 46, 48) * 5:
        await run.cycle(30, replicas_forecast=need, replicas_observed=need, probability=0.0)
    assert run.replicas == 50
    await run.cycle(30, replicas_forecast=53, replicas_observed=50)
    assert run.replicas == 53, "more than a twentieth above"
    await run.cycles(5, 30, replicas_forecast=47, replicas_observed=40, probability=0.0)
    assert run.replicas == 48, "more than a tenth below"


async def test_a_quiet_cycle_writes_nothing(run, world):
    await run.open()
    before = await run.cycles(3, 30)
    after = await run.cycle(30, probability=0.91)
    assert after.metadata.resource_version == before.metadata.resource_version


# Restart


def rolled_out(world):
    world.change("Deployment", "checkout", {"metadata": {"generation": 2}, "status": {"observedGeneration": 2}})


async def test_a_restart_marks_the_template_once_and_waits_for_the_rollout(run, world):
    opened = await run.open(**RESTART)
    world.change("Deployment", "checkout", {"metadata": {"generation": 2}})
    after = await run.cycle()
    template = world.objects["Deployment", "shop", "checkout"]["spec"]["template"]
    assert template["metadata"]["annotations"] == {RESTARTED_BY: opened.uid}
    assert template["metadata"]["labels"] == {"app": "checkout"}
    assert (after.status.phase, after.status.reason) == ("Executing", "InProgress")
    rolled_out(world)
    assert (await run.cycle()).status.phase == "Verifying"
    after = await run.cycle(probability=0.1)
    assert (after.status.phase, after.status.reason) == ("Succeeded", "Verified")
    assert len(world.writes) == 1


async def test_a_restart_that_does_not_help_fails_and_says_that_it_cannot_be_undone(run):
    await run.open(**RESTART)
    await run.cycle()
    after = await run.cycle(301)
    assert (after.status.phase, after.status.reason) == ("Failed", "NotHelped")
    assert "can't be undone" in after.status.message


async def test_a_restart_without_data_afterwards_is_not_called_a_success(run):
    await run.open(**RESTART)
    await run.cycle()
    after = await run.cycle(1800, fresh=False, probability=float("nan"))
    assert (after.status.phase, after.status.reason) == ("Failed", "NotVerified")


async def test_a_rollout_that_is_stuck_fails(run, world):
    await run.open(**RESTART)
    world.change("Deployment", "checkout", {"status": {"updatedReplicas": 1}})
    await run.cycle()
    stuck = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "no progress for 600 s"}]
    world.change("Deployment", "checkout", {"status": {"conditions": stuck}})
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Failed", "RolloutStuck")
    assert "no progress for 600 s" in after.status.message


async def test_a_rollout_that_takes_too_long_fails_at_the_deadline(run, world):
    await run.open(**RESTART)
    world.change("Deployment", "checkout", {"status": {"updatedReplicas": 1}})
    await run.cycle()
    assert (await run.cycle(1789)).status.reason == "InProgress"
    after = await run.cycle(1)
    assert (after.status.phase, after.status.reason) == ("Failed", "DeadlineExceeded")


def crashing(world, count: int = 1) -> None:
    """Let the rollout be incomplete because of pods that crash."""
    labels = {"matchLabels": {"app": "checkout"}}
    world.change("Deployment", "checkout", {"spec": {"selector": labels}, "status": {"updatedReplicas": 1}})
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    main = {"name": "main", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    for number in range(count):
        name = f"new-{number}"
        metadata = {"name": name, "namespace": "shop", "labels": {"app": "checkout"}, "creationTimestamp": stamp(START)}
        world.put("Pod", "shop", name, f"n-{number}", metadata=metadata, status={"containerStatuses": [main]})


async def test_a_rollout_whose_pods_crash_says_so_at_once_and_when_it_fails(run, world):
    """Kind: a rollout that is not complete, without a word about why."""
    await run.open(**RESTART)
    crashing(world, 2)
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Executing", "CrashLooping")
    assert "2 pods of deployment shop/checkout crash (new-0, new-1): container main" in after.status.message
    after = await run.cycle(1800)
    assert (after.status.phase, after.status.reason) == ("Failed", "DeadlineExceeded")
    assert "was not complete by the deadline: 2 pods of deployment shop/checkout crash" in after.status.message


async def test_a_restart_after_which_the_pods_crash_has_not_helped_although_the_risk_is_gone(run, world):
    """Kind: a verdict by the indicator alone."""
    await run.open(**RESTART)
    assert (await run.cycle()).status.phase == "Verifying"
    crashing(world)
    after = await run.cycle(probability=0.01)
    assert (after.status.phase, after.status.reason) == ("Verifying", "Verifying")
    after = await run.cycle(300, probability=0.01)
    assert (after.status.phase, after.status.reason) == ("Failed", "NotHelped")
    assert "did not help: the breach probability is 1%, but 1 pod of deployment shop/check" in after.status.message


async def test_a_restart_after_which_the_pods_crash_once_and_serve_then_has_helped(run, world):
    await run.open(**RESTART)
    await run.cycle()
    crashing(world)
    assert (await run.cycle(probability=0.01)).status.phase == "Verifying"
    world.change("Deployment", "checkout", {"status": {"updatedReplicas": 3}})
    assert (await run.cycle(probability=0.01)).status.phase == "Succeeded"


async def test_a_patch_whose_rollout_is_stuck_is_set_back(run, world):
    """Kind: what can be reverted stays when the step does not take effect."""
    memory = {"name": "main", "resources": {"limits": {"memory": "64Mi"}}}
    world.change("Deployment", "checkout", {"spec": {"template": {"spec": {"containers": [memory]}}}})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "resource": "deployments", "name": "checkout"}
    field = "/spec/template/spec/containers/name=main/resources/limits/memory"
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout", "uid": "d-1"}
    await run.open(
        action={"patch": {"target": target, "field": field, "value": "1Mi"}}, target=ref, **{"from": None, "to": None}
    )
    crashing(world)
    assert (await run.cycle()).status.reason == "CrashLooping"
    stuck = [{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "no progress for 600 s"}]
    world.change("Deployment", "checkout", {"status": {"conditions": stuck}})
    after = await run.cycles(2, 10)
    assert (after.status.phase, after.status.reason) == ("RolledBack", "RolloutStuck")
    assert "no progress for 600 s: 1 pod of deployment shop/checkout crashes" in after.status.message
    (container,) = world.objects["Deployment", "shop", "checkout"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "64Mi"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({"paused": True}, "TargetPaused"), ({"updateStrategy": {"type": "OnDelete"}}, "NotRestartable")],
)
async def test_what_cannot_be_restarted_is_left_alone(run, world, spec, reason):
    await run.open(**RESTART)
    world.change("Deployment", "checkout", {"spec": spec})
    after = await run.cycle()
    assert (after.status.phase, after.status.reason, world.writes) == ("Aborted", reason, [])


# Cordon


def is_cordoned(world):
    return world.objects["Node", "", "n1"]["spec"].get("unschedulable", False)


async def test_a_node_is_cordoned_and_given_back_when_it_has_been_healthy(run, world):
    await run.open(**CORDON)
    assert (await run.cycle()).status.phase == "Verifying"
    assert is_cordoned(world)
    await run.cycle(30, probability=0.1)
    await run.cycle(30, probability=0.9)
    await run.cycle(30, probability=0.1)
    await run.cycle(59, probability=0.1)
    assert is_cordoned(world)
    await run.cycle(1, probability=0.1)
    after = await run.cycle(30, probability=0.1)
    assert not is_cordoned(world)
    assert world.objects["Node", "", "n1"]["metadata"]["annotations"] == {}
    assert (after.status.phase, after.status.reason) == ("Succeeded", "Released")


async def test_data_that_goes_missing_is_no_health(run, world):
    await run.open(**CORDON)
    await run.cycle()
    await run.cycle(30, probability=0.1)
    await run.cycle(30, fresh=False, probability=0.1)
    await run.cycle(30, probability=0.1)
    assert is_cordoned(world)


async def test_a_node_is_given_back_at_the_deadline_whatever_the_risk(run, world):
    await run.open(**CORDON)
    await run.cycle()
    await run.cycle(1790)
    after = await run.cycle()
    assert not is_cordoned(world)
    assert (after.status.phase, after.status.reason) == ("RolledBack", "Contained")


async def test_a_node_that_somebody_else_cordoned_stays_cordoned(run, world):
    await run.open(**CORDON)
    world.change("Node", "n1", {"spec": {"unschedulable": True}}, namespace="")
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "AlreadyCordoned")
    assert is_cordoned(world)
    assert world.writes == []


async def test_a_node_that_somebody_uncordoned_is_not_cordoned_again(run, world):
    await run.open(**CORDON)
    await run.cycle()
    world.change("Node", "n1", {"spec": {"unschedulable": None}}, namespace="")
    after = await run.cycle()
    assert (after.status.phase, after.status.reason) == ("Aborted", "Superseded")
    assert not is_cordoned(world)


async def test_a_node_that_somebody_uncordoned_and_cordoned_stays_cordoned(run, world):
    await run.open(**CORDON)
    await run.cycle()
    node = world.objects["Node", "", "n1"]
    node["metadata"]["managedFields"][0]["fieldsV1"].pop("f:spec")
    after = await run.cycles(20, 60, probability=0.0)
    assert (after.status.phase, after.status.reason) == ("Aborted", "AlreadyCordoned")
    assert is_cordoned(world)


async def test_a_right_that_is_taken_away_while_it_is_needed_may_come_back(run, world):
    await run.open(**CORDON)
    await run.cycle()
    await run.cycle(probability=0.1)
    world.errors["patch"] = Forbidden("cannot patch resource nodes")
    after = await run.cycle(70, probability=0.1)
    assert (after.status.phase, after.status.reason) == ("Verifying", "Forbidden")
    world.errors.clear()
    await run.cycle(probability=0.1)
    assert not is_cordoned(world)
