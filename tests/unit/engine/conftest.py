"""Fixtures that make objects as the API server returns them."""

from typing import Any

import pytest

from forestall.api import Guardrail, Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.core.forecast import Limit, SeriesForecast
from forestall.core.risk import Signal

SCALE = {"scale": {"maxReplicas": 8, "capacity": {"headroom": 0.1, "confidence": 0.95}}}
SLO = {
    "metadata": {"name": "checkout", "namespace": "shop", "uid": "o-1", "generation": 1, "labels": {"team": "shop"}},
    "spec": {
        "target": {"name": "checkout"},
        "indicator": {"raw": {"errorRatio": "x"}},
        "objective": 99.0,
    },
}
POLICY: dict[str, Any] = {
    "metadata": {"name": "early", "namespace": "shop", "uid": "p-1", "generation": 1},
    "spec": {"mode": "Auto", "actions": [SCALE, {"restart": {}}]},
}


@pytest.fixture
def slo():
    return ServiceLevelObjective.read(SLO)


@pytest.fixture
def make_policy():
    return lambda **spec: RemediationPolicy.read({**POLICY, "spec": {**POLICY["spec"], **spec}})


@pytest.fixture
def make_guardrail():
    return lambda name="all", **spec: Guardrail.read({"metadata": {"name": name, "uid": name}, "spec": spec})


@pytest.fixture
def make_remediation():
    def make(phase="Verifying", *, verified=None, rung=0, episode=1, action=None, created="1970-01-01T00:01:40Z", **to):
        ref = {"apiVersion": "forestall.dev/v1alpha1", "namespace": "shop"}
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout", "uid": "d-1"}
        conditions = [] if verified is None else [{"type": "Verified", "status": verified, "reason": "x"}]
        intent = {
            "policy": {**ref, "kind": "RemediationPolicy", "name": "early", "uid": "p-1"},
            "policyGeneration": 1,
            "objective": {**ref, "kind": "ServiceLevelObjective", "name": "checkout", "uid": "o-1"},
            "episode": episode,
            "rung": rung,
            "target": {**target, **to},
            "action": action or SCALE,
            "mode": "Auto",
            "evidence": {"indicator": "load"},
            "created": created,
            "deadline": "1970-01-01T01:00:00Z",
        }
        return Remediation.read(
            {
                "metadata": {"name": f"early-{rung}-{episode}", "namespace": "shop", "uid": f"r-{rung}-{episode}"},
                "spec": {"intent": intent},
                "status": {"phase": phase, "conditions": conditions},
            }
        )

    return make


@pytest.fixture
def make_signal():
    def make(value=90.0, *, probability=0.9, upper=150.0, fresh=True, abstained=None, labels=()):
        forecast = SeriesForecast(
            horizons=(600.0,),
            coverage=0.9,
            probability=(probability,),
            lower=(50.0,),
            median=(80.0,),
            upper=(upper,),
            time_to_breach=300.0,
            earliest_breach=100.0,
            latest_breach=500.0,
            abstained=abstained,
            last=value,
            age=0.0,
            limit=Limit(100.0),
        )
        return Signal("load", tuple(labels), value, 100.0, True, 600.0, 1000.0, fresh, forecast)

    return make
