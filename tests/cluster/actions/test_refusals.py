"""Refusals and pods that do not start, with the messages of the real API server, admission and scheduler."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

SCALE = {"scale": {"maxReplicas": 6, "stabilizationWindow": "1m"}}
IN_BREACH = {"breached": True, "replicas_forecast": 5, "replicas_observed": 5}
TERMS = {"from": 2, "to": 5, "verifyWithin": "1m"}


@pytest.fixture
def forbid(cluster: Any, namespace: str) -> Iterator[Callable[..., None]]:
    """Let a ValidatingAdmissionPolicy refuse matching requests, with one of its reasons."""

    def refuse(resource: str, verb: str, group: str = "", reason: str = "Forbidden", matches: str = "true") -> None:
        rules = [{"apiGroups": [group], "apiVersions": ["*"], "operations": [verb], "resources": [resource]}]
        policy = {
            "matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": f"!({matches})", "message": "not on a Friday", "reason": reason}],
        }
        here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": here}
        kinds = {"ValidatingAdmissionPolicy": policy, "ValidatingAdmissionPolicyBinding": binding}
        for kind, spec in kinds.items():
            body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": namespace}}
            cluster.apply({**body, "spec": spec})

    yield refuse
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        cluster.kubectl("delete", kind, namespace, "--ignore-not-found")


def enforced(life: Any, *change: str) -> Callable[[], bool]:
    """Wait until a dry-run change by a cluster admin is refused."""

    def refused() -> bool:
        where = ("-n", life.namespace, "--dry-run=server")
        return bool(life.cluster.kubectl(*change, *where, check=False).returncode)

    return refused


@pytest.mark.parametrize("reason", ["Forbidden", "Invalid", "RequestEntityTooLarge"])
async def test_refusal_by_an_admission_policy_is_no_missing_permission(guarded, forbid, eventually, reason):
    """Kind: who refused. A policy chooses the status code of its refusal, such as 403."""
    web = guarded.run(replicas=2)
    forbid("deployments/scale", "UPDATE", "apps", reason)
    await eventually(enforced(guarded, "scale", "deployment/web", "--replicas=3"))
    await guarded.open(web, SCALE, **TERMS)
    await guarded.cycle()
    assert guarded.end == ("Aborted", "Refused")
    assert "not on a Friday" in guarded.remediation.status.message
    assert "rolebinding" not in guarded.remediation.status.message


async def test_reversal_refused_by_a_policy_is_made_once_it_is_allowed(guarded, forbid, eventually):
    await guarded.open(guarded.run(replicas=2), SCALE, **TERMS)
    await guarded.until("Verifying")
    forbid("deployments/scale", "UPDATE", "apps")
    await eventually(enforced(guarded, "scale", "deployment/web", "--replicas=3"))
    calm = {"probability": 0.0, "replicas_forecast": 1, "replicas_observed": 1}
    for _ in range(30):
        await guarded.cycle(100, **calm)
    assert (*guarded.end, guarded.replicas()) == ("Verifying", "Refused", 5), "past its deadline, too"
    guarded.cluster.kubectl("delete", "validatingadmissionpolicybinding", guarded.namespace)
    await guarded.until("Succeeded", after=10, **calm)
    assert guarded.replicas() == 2


async def test_eviction_selected_by_two_disruption_budgets_waits_with_the_message_of_the_server(guarded):
    """Kind: who refused. The API server returns 500, although the PodDisruptionBudgets are the reason."""
    guarded.run(replicas=2)
    for name in ("one", "two"):
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
        budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
        guarded.cluster.apply(budget, namespace=guarded.namespace)
    uid, name = next(iter(guarded.pods().items()))
    await guarded.open(guarded.ref("v1", "Pod", name), {"evict": {}})
    await guarded.cycle()
    assert guarded.end == ("Executing", "Throttled")
    assert "more than one PodDisruptionBudget" in guarded.remediation.status.message
    assert uid in guarded.pods()
    guarded.cluster.kubectl("delete", "pdb", "two", "-n", guarded.namespace)
    await guarded.until("Verifying")
    assert uid not in guarded.pods()


async def settled(life: Any, ending: str) -> None:
    """Run cycles in breach until the scale-out to five has ended for this reason; return its message."""
    end = time.monotonic() + 90
    while life.remediation.status.reason != ending and time.monotonic() < end:
        await life.cycle(1, **IN_BREACH)
    assert life.end == ("Verifying", ending)
    await life.until("RolledBack", after=60, **IN_BREACH)
    assert (life.end[1], life.replicas()) == (ending, 2)


async def test_scale_out_beyond_a_quota_names_it_and_is_reverted(guarded):
    """Kind: replicas that can't start are kept for as long as the breach lasts, without a reason."""
    web = guarded.run(replicas=2)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": 2}}}
    guarded.cluster.apply(quota, namespace=guarded.namespace)
    guarded.cluster.kubectl(
        "wait", "--for=jsonpath={.status.used.pods}=2", "quota/small", "-n", guarded.namespace, "--timeout=180s"
    )
    await guarded.open(web, SCALE, **TERMS)
    await guarded.until("Verifying")
    await settled(guarded, "QuotaExceeded")
    assert "exceeded quota: small" in guarded.remediation.status.message


async def test_unschedulable_scale_out_names_the_scheduler_and_is_reverted(guarded):
    containers = [{"name": "main", "image": "example.com/main"}]  # one on each of three nodes
    labels = {"app": "web"}
    apart = [{"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}]
    spread = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}}
    pod = {"containers": containers, "affinity": spread}
    web = guarded.run(replicas=2, template={"metadata": {"labels": labels}, "spec": pod})
    await guarded.open(web, SCALE, **TERMS)
    await guarded.until("Verifying")
    end = time.monotonic() + 60
    while guarded.remediation.status.reason != "Unschedulable" and time.monotonic() < end:
        await guarded.cycle(1, **IN_BREACH)
    assert "nodes are available" in guarded.remediation.status.message
    await guarded.cycle(400, **IN_BREACH)
    assert guarded.replicas() == 5, "nodes may be on their way"
    await guarded.cycle(400, **IN_BREACH)
    assert (guarded.remediation.status.phase, guarded.replicas()) == ("RollingBack", 3), "the third serves"
