"""The objects that are recommended for a service.

An objective that watches its traffic, and a policy that keeps a floor under its autoscaler.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forestall.api import API_VERSION, Guardrail, MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.core.duration import exact_duration
from forestall.engine.questions import TRAFFIC
from forestall.registry import Namespace, Registry
from forestall.sim.metrics import LOAD, Meaning, meanings_of_sli
from forestall.sim.operator import Setup
from forestall.sim.run import Service

WINDOW: Final = 30 * 86400.0
SOURCE: Final = "default"


@dataclass(frozen=True, slots=True)
class Tuning:
    """What of a policy is open to choice."""

    headroom: float = 0.0
    probability: float = 0.5
    objective: float = 99.0
    stabilization: float = 600.0
    lead: float = 30.0
    """Seconds beyond the start-up that the forecast looks ahead: for measuring, deciding and syncing."""


def objective(service: Service, tuning: Tuning, workload: str = "service") -> dict[str, Any]:
    """Return the ServiceLevelObjective: at risk when the load passes what the least replicas carry."""
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
                    "limit": service.terms.capacity * service.least * (1 - tuning.headroom),
                    "horizon": exact_duration(round(max(lead, 60.0))),
                }
            ],
        },
    }


def policy(service: Service, tuning: Tuning, workload: str = "service") -> dict[str, Any]:
    """Return the RemediationPolicy: as many replicas as the forecast's upper bound needs when they could serve."""
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
                        "maxReplicas": service.most,
                        "capacity": {
                            "type": "Declared",
                            "perReplica": service.terms.capacity,
                            "indicator": LOAD,
                            "headroom": tuning.headroom,
                        },
                        "stabilizationWindow": exact_duration(round(tuning.stabilization)),
                        "holdAtMost": "30d",
                    }
                }
            ],
            "verification": {
                "within": exact_duration(round(service.terms.start_up) + 300),
                "probability": min(0.5, tuning.probability),
            },
            "cooldown": "0s",
            "deadline": "1h",
        },
    }


def setup(
    services: Sequence[Service], tunings: Sequence[Tuning], *, autoscalers: bool, interval: float = 30.0
) -> Setup:
    """Return the recommended objects for each service, ready for a run."""
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
) -> Setup:
    """Return an objective and a policy for each service, ready for a run.

    `indicators`: what their leading indicators are in the model, each a series for every value of the label `per`.
    """
    registry = Registry()
    meanings: dict[Hashable, Meaning] = {}
    places = {}
    for number, (slo, rungs) in enumerate(objects):
        namespace = f"service-{number:04d}"
        places[namespace] = (number, "service")
        _put(registry, Namespace.KIND, {"metadata": {"name": namespace, "labels": {}}})
        _put(registry, ServiceLevelObjective.KIND, slo, namespace)
        _put(registry, RemediationPolicy.KIND, rungs, namespace)
        uid = _uid(ServiceLevelObjective.KIND, namespace, "service")
        meanings |= {(uid, name): Meaning(number, what, per=per) for name, what in indicators.items()}
        meanings |= {(uid, TRAFFIC): Meaning(number, LOAD), **meanings_of_sli(uid, number)}
    stale = exact_duration(math.ceil(max(120.0, 2 * interval)))
    _put(
        registry,
        MetricSource.KIND,
        {"metadata": {"name": SOURCE}, "spec": {"url": "http://model", "staleAfter": stale, "trustedLabels": ["node"]}},
    )
    # Services side by side are no cluster: that they come at risk together is no storm,
    # and each may have a node cordoned.
    rules = {
        "allow": [{"actions": ["Scale", "Restart", "Cordon"]}],
        "nodes": {"maxCordonedPercent": 100},
        "storm": {"objectives": 1_000_000, "share": 1.0},
    }
    _put(registry, Guardrail.KIND, {"metadata": {"name": "model"}, "spec": rules})
    return Setup(registry, meanings, places, WINDOW, interval, autoscalers)


def _lead(service: Service, tuning: Tuning) -> float:
    return service.terms.start_up + service.terms.warm_up + tuning.lead


def _put(registry: Registry, kind: str, body: dict[str, Any], namespace: str = "") -> None:
    name = body["metadata"]["name"]
    metadata = {**body["metadata"], "uid": _uid(kind, namespace, name), "generation": 1}
    if namespace:
        metadata["namespace"] = namespace
    entry = registry.put(kind, {"apiVersion": API_VERSION, **body, "metadata": metadata})
    if entry is None or not hasattr(entry, "metadata"):
        raise ValueError(f"{kind} {name} does not fit its schema: {entry}")


def _uid(kind: str, namespace: str, name: str) -> str:
    return f"{kind}/{namespace}/{name}"
