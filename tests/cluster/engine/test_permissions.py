"""A missing role binding, on a real API server. The kind: an action without permission is not tried."""

import pytest
from tests.support.settings import PatientSettings

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder
from forestall.api import RemediationPolicy
from forestall.engine import Engine

OWN = (
    "remediations.forestall.dev,remediations.forestall.dev/status,servicelevelobjectives.forestall.dev/status,"
    "remediationpolicies.forestall.dev/status,events"
)


@pytest.fixture
async def unbound(world, monkeypatch):
    """An engine that may read everything and keep its own objects, and change no workload."""
    monkeypatch.setattr("forestall.engine.permissions._REFUSED", 0.0)
    control, name = world.control, world.namespace
    account = f"--serviceaccount={name}:default"
    control.kubectl("create", "clusterrole", name, "--verb=get,list,watch", "--resource=*.*")
    control.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
    control.kubectl("create", "role", "own", "-n", name, "--verb=create,update,patch", f"--resource={OWN}")
    control.kubectl("create", "rolebinding", "own", "-n", name, "--role=own", account)
    access = await Access.find(str(control.kubeconfig_for(name, "default")))
    async with Api(access) as api, Recorder(api, "test") as recorder:
        world.engine = Engine(
            world.script, KubernetesCluster(api, recorder, "default"), world.registry, PatientSettings(interval=10.0)
        )
        yield world
    control.kubectl("delete", "clusterrolebinding", name)
    control.kubectl("delete", "clusterrole", name)


@pytest.mark.parametrize("mode", ["Auto", "Approve"])
async def test_missing_binding_is_reported_before_approval_and_has_no_effect_once_created(unbound, mode):
    unbound.policy(mode=mode)
    await unbound.cycle(3)
    assert (unbound.decision, unbound.remediations) == ("Forbidden", [])
    name, subject = unbound.namespace, f"--serviceaccount={unbound.namespace}:default"
    policy = unbound.registry.get(RemediationPolicy, "early", name)
    permitted = unbound.condition("Permitted", policy)
    assert (permitted.status, permitted.reason) == ("False", "Forbidden")
    for words in (permitted.message, unbound.slo.status.decisions[0].message):
        assert 'cannot patch resource "deployments/scale" in API group "apps"' in words
        assert f"{subject} -n {name}`" in words
    rights = ("--verb=get,patch", "--resource=deployments.apps,deployments.apps/scale")
    unbound.control.kubectl("create", "role", "workloads", "-n", name, *rights)
    unbound.control.kubectl("create", "rolebinding", "workloads", "-n", name, "--role=workloads", subject)
    for _ in range(30):  # the API server's authorizer sees a new binding within moments
        await unbound.cycle()
        if unbound.remediations:
            break
    (remediation,) = unbound.remediations
    if mode == "Auto":
        await unbound.cycle()
        assert unbound.replicas == 6
    else:
        assert remediation.status.phase == "AwaitingApproval"
    policy = unbound.registry.get(RemediationPolicy, "early", name)
    assert unbound.condition("Permitted", policy).status == "True"


async def test_policy_in_mode_observe_needs_no_permission(unbound):
    unbound.policy(mode="Observe")
    await unbound.cycle(2)
    assert unbound.slo.status.decisions[0].verdict == "WouldAct"
    policy = unbound.registry.get(RemediationPolicy, "early", unbound.namespace)
    assert "Permitted" not in {each.type for each in policy.status.conditions}


async def test_undeclared_total_does_not_scale_without_bound_and_a_declared_one_is_covered(world):
    """Kind: each scale-out makes the next one look too small."""
    world.policy(actions=[{"scale": {"maxReplicas": 40}}])
    for _ in range(8):
        await world.cycle()
        size = ("rollout", "status", "deployment/checkout", "-n", world.namespace, "--timeout=240s")
        world.control.kubectl(*size)
    (remediation,) = world.remediations
    assert (world.replicas, remediation.status.reason) == (8, "IndicatorIsTotal"), remediation.status
    assert world.decision == "IndicatorIsTotal"
    assert "type: Declared" in world.slo.status.decisions[0].message


async def test_objective_is_not_at_risk_after_a_sufficient_scale_out(world):
    world.policy()
    await world.cycle(2)
    assert world.replicas == 6
    world.control.kubectl("rollout", "status", "deployment/checkout", "-n", world.namespace, "--timeout=240s")
    await world.cycle(2)
    assert world.reason("AtRisk") != "BreachForecast", "there is no history yet, so nothing more can be said"
    assert world.replicas == 6, "it is held"
