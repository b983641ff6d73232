"""The recommended objects for a service.

An objective with the traffic as leading indicator, and a policy that raises `minReplicas` of its autoscaler.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forestall.api import API_VERSION, Guardrail, MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.core.duration import exact_duration
from forestall.engine.indicator_queries import TRAFFIC
from forestall.registry import Namespace, Registry
from forestall.sim.metrics import LOAD, ModelIndicator, sli_indicators
from forestall.sim.operator import OperatorSetup
from forestall.sim.run import SimulatedService

WINDOW: Final = 30 * 86400.0
SOURCE: Final = "default"


@dataclass(frozen=True, slots=True)
class PolicyTuning:
    """The tunable parameters of a policy."""

    headroom: float = 0.0
    probability: float = 0.5
    objective: float = 99.0
    stabilization: float = 600.0
    lead: float = 30.0
    """Forecast horizon (s) beyond the start-up: for measuring, deciding and syncing."""


def objective(service: SimulatedService, tuning: PolicyTuning, workload: str = "service") -> dict[str, Any]:
    """Return the ServiceLevelObjective: at risk when the load passes the capacity of the minimum replicas."""
    lead = _lead(service, tuning)
    return {
        "apiVersion": API_VERSION,
        "kind": ServiceLevelObjective.KIND,
        "metadata": {"name": workload},
        "spec": {
            "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
            "indicator": {"ratio": {"bad": 'requests_total{code="503"}', "total": "requests_total"}},
            "objective": tuning.objective,
            "window": exact_duration(round(WINDOW)),
            "leadingIndicators": [
                {
                    "name": LOAD,
                    "query": "sum(rate(requests_total[1m]))",
                    "limit": service.parameters.capacity * service.min_replicas * (1 - tuning.headroom),
                    "horizon": exact_duration(round(max(lead, 60.0))),
                }
            ],
        },
    }


def policy(service: SimulatedService, tuning: PolicyTuning, workload: str = "service") -> dict[str, Any]:
    """Return the RemediationPolicy: as many replicas as the upper bound of the forecast needs after their start-up."""
    lead = _lead(service, tuning)
    return {
        "apiVersion": API_VERSION,
        "kind": RemediationPolicy.KIND,
        "metadata": {"name": workload},
        "spec": {
            "mode": "Auto",
            "when": {"probability": tuning.probability, "within": exact_duration(round(lead))},
            "actions": [
                {
                    "scale": {
                        "maxReplicas": service.max_replicas,
                        "capacity": {
                            "type": "Declared",
                            "perReplica": service.parameters.capacity,
                            "indicator": LOAD,
                            "headroom": tuning.headroom,
                        },
                        "stabilizationWindow": exact_duration(round(tuning.stabilization)),
                        "holdAtMost": "30d",
                    }
                }
            ],
            "verification": {
                "within": exact_duration(round(service.parameters.start_up) + 300),
                "probability": min(0.5, tuning.probability),
            },
            "cooldown": "0s",
            "deadline": "1h",
        },
    }


def recommended_setup(
    services: Sequence[SimulatedService], tunings: Sequence[PolicyTuning], *, autoscalers: bool, interval: float = 30.0
) -> OperatorSetup:
    """Return the setup of services with the recommended objects."""
    objects = [
        (objective(service, tuning), policy(service, tuning)) for service, tuning in zip(services, tunings, strict=True)
    ]
    return assemble(objects, {LOAD: LOAD}, autoscalers=autoscalers, interval=interval)


def assemble(
    objects: Sequence[tuple[dict[str, Any], dict[str, Any]]],
    indicators: Mapping[str, str],
    *,
    autoscalers: bool,
    interval: float,
    per: str | None = None,
) -> OperatorSetup:
    """Return the setup of services with an objective and a policy each.

    `indicators`: the model's quantity of each leading indicator, with a series for every value of the label `per`.
    """
    registry = Registry()
    model_indicators: dict[Hashable, ModelIndicator] = {}
    locations = {}
    for number, (slo, policy_body) in enumerate(objects):
        namespace = f"service-{number:04d}"
        locations[namespace] = (number, "service")
        _put(registry, Namespace.KIND, {"metadata": {"name": namespace, "labels": {}}})
        _put(registry, ServiceLevelObjective.KIND, slo, namespace)
        _put(registry, RemediationPolicy.KIND, policy_body, namespace)
        uid = _uid(ServiceLevelObjective.KIND, namespace, "service")
        model_indicators |= {
            (uid, name): ModelIndicator(number, quantity, per=per) for name, quantity in indicators.items()
        }
        model_indicators |= {(uid, TRAFFIC): ModelIndicator(number, LOAD), **sli_indicators(uid, number)}
    stale = exact_duration(math.ceil(max(120.0, 2 * interval)))
    _put(
        registry,
        MetricSource.KIND,
        {"metadata": {"name": SOURCE}, "spec": {"url": "http://model", "staleAfter": stale, "trustedLabels": ["node"]}},
    )
    # The services are independent runs: that they are at risk at the same time is no storm,
    # and each may have a cordoned node.
    rules = {
        "allow": [{"actions": ["Scale", "Restart", "Cordon"]}],
        "nodes": {"maxCordonedPercent": 100},
        "storm": {"objectives": 1_000_000, "share": 1.0},
    }
    _put(registry, Guardrail.KIND, {"metadata": {"name": "model"}, "spec": rules})
    return OperatorSetup(registry, model_indicators, locations, WINDOW, interval, autoscalers)


def _lead(service: SimulatedService, tuning: PolicyTuning) -> float:
    return service.parameters.start_up + service.parameters.warm_up + tuning.lead


def _put(registry: Registry, kind: str, body: dict[str, Any], namespace: str = "") -> None:
    name = body["metadata"]["name"]
    metadata = {**body["metadata"], "uid": _uid(kind, namespace, name), "generation": 1}
    if namespace:
        metadata["namespace"] = namespace
    entry = registry.put(kind, {"apiVersion": API_VERSION, **body, "metadata": metadata})
    if entry is None or not hasattr(entry, "metadata"):
        raise ValueError(f"{kind} {name} does not match its schema: {entry}")


def _uid(kind: str, namespace: str, name: str) -> str:
    return f"{kind}/{namespace}/{name}"
