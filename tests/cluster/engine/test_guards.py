"""Guards that hold an action on a real API server: maintenance windows, protection, disruption budgets, storms, low
traffic.
"""

import json
import time

import pytest

from forestall.ports import Answer, Sample

# The clock begins on 2027-01-15 at 08:00 UTC, a Friday.
MORNING = {"cron": "0 8 * * 1-5", "duration": "1h"}
LATER = {"cron": "30 10 * * *", "duration": "1h", "timeZone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("windows", "reason"),
    [
        ({"blackoutWindows": [LATER, MORNING]}, "BlackoutWindow"),
        ({"maintenanceWindows": [LATER]}, "OutsideMaintenanceWindow"),
        ({"blackoutWindows": [{**MORNING, "actions": ["Restart"]}], "maintenanceWindows": [LATER, MORNING]}, ""),
    ],
)
async def test_maintenance_windows_of_a_policy(world, windows, reason):
    world.policy(**windows)
    await world.cycle(2)
    assert world.replicas == (2 if reason else 6)
    if reason:
        assert world.decision == reason
        world.now += 3600 if reason == "BlackoutWindow" else 5400
        await world.cycle(2)
        assert world.replicas == 6, "it is only put off"


async def test_window_that_opens_before_the_action_begins_holds_it(world):
    world.now -= 5
    world.policy(mode="Approve", blackoutWindows=[MORNING])
    await world.cycle()
    (remediation,) = world.remediations
    approval = {"spec": {"approval": {"decision": "Approved", "by": "jo"}}}
    merge = ("--type=merge", "-p", json.dumps(approval))
    world.control.kubectl("patch", "remediation", remediation.name, "-n", world.namespace, *merge)
    await world.cycle(2)
    assert world.replicas == 2
    assert world.remediations[0].status.reason == "BlackoutWindow"


@pytest.mark.parametrize("what", ["deployment/checkout", "namespace"])
async def test_protected_workload_is_left_alone(world, what):
    world.policy()
    place = ["namespace", world.namespace] if what == "namespace" else [what, "-n", world.namespace]
    world.control.kubectl("annotate", *place, "forestall.dev/protected=true")
    await world.cycle(2)
    assert (world.decision, world.replicas) == ("Protected", 2)
    world.control.kubectl("annotate", *place, "forestall.dev/protected-")
    await world.cycle(2)
    assert world.replicas == 6


async def test_restart_waits_for_a_disruption_budget(world):
    wait = ("rollout", "status", "deployment/checkout", "-n", world.namespace, "--timeout=240s")
    world.control.kubectl(*wait)
    budget = {"selector": {"matchLabels": {"app": "checkout"}}, "minAvailable": 2}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "checkout"}, "spec": budget}
    world.control.apply(body, namespace=world.namespace)
    looked = "--for=jsonpath={.status.observedGeneration}=1"
    world.control.kubectl("wait", looked, "pdb/checkout", "-n", world.namespace, "--timeout=180s")
    world.policy(actions=[{"restart": {}}])
    await world.cycle(2)
    assert (world.decision, world.remediations) == ("DisruptionNotAllowed", [])
    looser = ("--type=merge", "-p", json.dumps({"spec": {"minAvailable": 1}}))
    world.control.kubectl("patch", "pdb", "checkout", "-n", world.namespace, *looser)
    looked = "--for=jsonpath={.status.disruptionsAllowed}=1"
    world.control.kubectl("wait", looked, "pdb/checkout", "-n", world.namespace, "--timeout=180s")
    await world.cycle(2)
    assert len(world.remediations) == 1


async def test_restart_waits_until_pods_are_ready_again(world):
    here = ("-n", world.namespace)
    world.control.kubectl("rollout", "status", "deployment/checkout", *here, "--timeout=240s")
    world.control.set_start_up(600)
    try:
        world.control.kubectl("set", "image", "deployment/checkout", "*=y", *here)
        world.control.kubectl("scale", "deployment/checkout", "--replicas=20", *here)
        world.policy(actions=[{"restart": {}}])
        await world.cycle()
        assert (world.decision, world.remediations) == ("TooFewReady", [])
    finally:
        world.control.set_start_up(0)


NOWHERE = '{"spec":{"template":{"spec":{"nodeSelector":{"example.com/none":"x"}}}}}'


def protect(world, available):
    budget = {"selector": {"matchLabels": {"app": "checkout"}}, "minAvailable": available}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "checkout"}, "spec": budget}
    world.control.apply(body, namespace=world.namespace)


async def test_rollback_does_not_wait_for_the_budget_that_the_bad_rollout_has_used_up(world):
    """Kind: a guard that the failure itself keeps holding. Of four pods one may be missing, and one is."""
    here = ("-n", world.namespace)
    change = {"spec": {"replicas": 4, "strategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}}}
    world.control.kubectl("patch", "deployment", "checkout", *here, "--type=merge", "-p", json.dumps(change))
    world.control.kubectl("rollout", "status", "deployment/checkout", *here, "--timeout=240s")
    protect(world, 3)
    world.control.kubectl("patch", "deployment", "checkout", *here, "--type=merge", "-p", NOWHERE)
    ready = "--for=jsonpath={.status.readyReplicas}=3"
    world.control.kubectl("wait", ready, "deployment/checkout", *here, "--timeout=240s")
    spent = "--for=jsonpath={.status.disruptionsAllowed}=0"
    world.control.kubectl("wait", spent, "pdb/checkout", *here, "--timeout=240s")
    world.now = time.time() + 5
    world.policy(actions=[{"rollback": {"within": "1h"}}])
    await world.cycle(2)
    (rollback,) = world.remediations
    assert rollback.status.phase in ("Executing", "Verifying"), world.slo.status.decisions
    world.control.kubectl("rollout", "status", "deployment/checkout", *here, "--timeout=240s")


async def test_restart_is_not_held_where_no_pod_is_ready(world):
    here = ("-n", world.namespace)
    protect(world, 2)
    recreate = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
    world.control.kubectl("patch", "deployment", "checkout", *here, "--type=merge", "-p", json.dumps(recreate))
    world.control.kubectl("patch", "deployment", "checkout", *here, "--type=merge", "-p", NOWHERE)
    gone = "--for=jsonpath={.status.unavailableReplicas}=2"
    world.control.kubectl("wait", gone, "deployment/checkout", *here, "--timeout=240s")
    world.policy(actions=[{"restart": {}}])
    await world.cycle(2)
    (restart,) = world.remediations
    assert restart.status.phase == "Executing", world.slo.status.decisions


async def test_storm_holds_actions(world):
    names = [f"part-{number}" for number in range(4)]
    for name in names:
        world.apply("ServiceLevelObjective", name, world.spec())
    guardrail = f"storm-{world.namespace}"
    world.apply("Guardrail", guardrail, {"storm": {"objectives": 5, "share": 1, "within": "1m"}})
    world.policy()
    try:
        await world.cycle(2)
        assert (world.decision, world.replicas, world.remediations) == ("Storm", 2, [])
        world.apply("Guardrail", guardrail, {"storm": {"objectives": 6, "share": 1, "within": "1m"}})
        await world.cycle(2)
        assert world.replicas == 6
    finally:
        world.control.kubectl("delete", "guardrail", guardrail)


async def test_restart_waits_for_low_traffic_before_the_breach(world):
    start: float = world.now

    def leak(at: float) -> float:
        return 60 + (at - start) / 75  # at its limit in 50 minutes

    def traffic(at: float) -> float:
        return 10.0 if 600 <= (at - start) % 86400 < 2400 else 100.0

    world.script.says["load"] = lambda at: Answer((Sample((), leak(at)),), at)
    world.script.past |= {"load": leak, "traffic": traffic}
    leaking = [{"name": "load", "query": "sum(load)", "limit": 100, "horizon": "1h", "trend": "Saturation"}]
    world.apply("ServiceLevelObjective", "checkout", {**world.spec(), "leadingIndicators": leaking})
    quick = {"deadline": "10m", "approvalExpiry": "10m"}
    world.policy(actions=[{"restart": {}}], **quick)
    await world.cycle(3)
    assert world.decision == "WaitingForLowTraffic", world.slo.status.decisions
    assert world.remediations == []
    world.policy(actions=[{"restart": {"timing": "Now"}}], **quick)
    await world.cycle(2)
    assert len(world.remediations) == 1
