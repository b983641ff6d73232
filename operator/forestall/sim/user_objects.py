"""The user's own objective and policies, prepared for a simulation."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from forestall.api import API_VERSION, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation_policy import Capacity
from forestall.core.duration import exact_duration
from forestall.errors import InvalidInput
from forestall.inputs.manifests import Manifest, build_registry
from forestall.registry import Namespace, Registry
from forestall.sim.metrics import LOAD, LOAD_PER_REPLICA, ModelIndicator, sli_indicators
from forestall.sim.operator import OperatorSetup


@dataclass(frozen=True, slots=True)
class UserObjects:
    """An objective and the policies that select it."""

    slo: ServiceLevelObjective
    policies: tuple[RemediationPolicy, ...]
    sizing: Capacity
    indicator: str
    """The leading indicator that is the traffic, or the traffic per replica."""
    notes: tuple[str, ...]

    @property
    def per_replica(self) -> float | None:
        """Capacity of one replica, where the policy declares it."""
        return self.sizing.per_replica

    @property
    def max_replicas(self) -> int:
        """`maxReplicas` of the policy."""
        return max(rung.scale.max_replicas for policy in self.policies for rung in policy.spec.actions if rung.scale)


def read_user_objects(manifests: Sequence[Manifest], namespace: str, interval: float) -> UserObjects:
    """Return the objective in the files, with the policies that scale its target.

    Raises:
        InvalidInput: there is not exactly one objective, no policy scales for it, or it is unclear which leading
            indicator is the traffic.
    """
    registry = build_registry(manifests, namespace, 2 * interval)
    slos = registry.all(ServiceLevelObjective)
    if len(slos) != 1:
        raise InvalidInput(f"there are {len(slos)} objectives in the files: give exactly one")
    slo = slos[0]
    policies = tuple(
        policy
        for policy in registry.all(RemediationPolicy, slo.namespace)
        if policy.spec.objectives.matches(slo.metadata.labels) and any(rung.scale for rung in policy.spec.actions)
    )
    if not policies:
        raise InvalidInput(f"no policy in the files scales for the objective {slo.name}")
    sizing = next(rung.scale.capacity for policy in policies for rung in policy.spec.actions if rung.scale)
    leading = [
        indicator.name
        for indicator in slo.spec.leading_indicators
        if indicator.trend == "Load" and indicator.direction == "Above"
    ]
    name = sizing.indicator or (leading[0] if len(leading) == 1 else None)
    if name is None or name not in leading:
        raise InvalidInput(
            f"which leading indicator of {slo.name} is the traffic? Name it in the policy's `capacity.indicator`"
        )
    unused = [indicator.name for indicator in slo.spec.leading_indicators if indicator.name != name]
    notes = tuple(f"the model has no {indicator}: the objective is simulated without it" for indicator in unused)
    return UserObjects(slo, policies, sizing, name, notes)


def user_setup(objects: UserObjects, services: int, capacity: float, interval: float) -> OperatorSetup:
    """Return the setup of identical services with these objects; a replica answers `capacity` requests a second."""
    registry, locations = Registry(), {}
    model_indicators: dict[Hashable, ModelIndicator] = {}
    indicator = next(
        candidate for candidate in objects.slo.spec.leading_indicators if candidate.name == objects.indicator
    )
    if objects.per_replica is not None:
        quantity, factor = LOAD, objects.per_replica / capacity
    else:  # at the limit a replica is at its capacity
        quantity, factor = LOAD_PER_REPLICA, indicator.limit / capacity
    for number in range(services):
        namespace = f"service-{number:04d}"
        locations[namespace] = (number, objects.slo.spec.target.name)
        _put(registry, Namespace.KIND, {"metadata": {"name": namespace, "uid": namespace, "labels": {}}})
        slo = objects.slo.model_dump(by_alias=True, exclude_none=True, exclude={"status"})
        slo["spec"]["leadingIndicators"] = [indicator.model_dump(by_alias=True, exclude_none=True)]
        slo["spec"]["dependsOn"] = []
        uid = f"{namespace}/{objects.slo.name}"
        _put(registry, ServiceLevelObjective.KIND, _in_namespace(slo, namespace, uid))
        for policy in objects.policies:
            body = policy.model_dump(by_alias=True, exclude_none=True, exclude={"status"})
            body["spec"] |= {"mode": "Auto", "suspend": False}
            _put(registry, RemediationPolicy.KIND, _in_namespace(body, namespace, f"{namespace}/{policy.name}"))
        model_indicators |= {
            (uid, objects.indicator): ModelIndicator(number, quantity, factor),
            **sli_indicators(uid, number),
        }
    add_source_and_guardrail(registry, objects.slo.spec.source, interval)
    return OperatorSetup(registry, model_indicators, locations, objects.slo.spec.window.seconds, interval)


def add_source_and_guardrail(registry: Registry, source: str, interval: float) -> None:
    """Add a metric source, and a Guardrail that allows scaling and restarts."""
    stale = exact_duration(max(120, round(2 * interval)))
    spec = {"url": "http://model", "staleAfter": stale, "trustedLabels": ["node"]}
    _put(registry, "MetricSource", {"metadata": {"name": source, "uid": source, "generation": 1}, "spec": spec})
    allow = {"allow": [{"namespaces": {}, "actions": ["Scale", "Restart"]}]}
    _put(registry, "Guardrail", {"metadata": {"name": "model", "uid": "model", "generation": 1}, "spec": allow})


def _in_namespace(body: dict[str, object], namespace: str, uid: str) -> dict[str, object]:
    metadata = body["metadata"]
    labels = metadata.get("labels", {}) if isinstance(metadata, dict) else {}
    name = metadata["name"] if isinstance(metadata, dict) else ""
    return {
        **body,
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "generation": 1, "labels": labels},
    }


def _put(registry: Registry, kind: str, body: dict[str, object]) -> None:
    entry = registry.put(kind, {"apiVersion": API_VERSION, "kind": kind, **body})
    if entry is None or not hasattr(entry, "metadata"):
        raise InvalidInput(f"{kind}: {getattr(entry, 'message', 'it can not be used')}")
