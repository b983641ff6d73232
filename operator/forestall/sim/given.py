"""A user's own objective and policy, ready for a run: what its indicators are in the model."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from forestall.api import API_VERSION, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation_policy import Capacity
from forestall.backtest.manifests import Manifest, build_registry
from forestall.core.duration import exact_duration
from forestall.errors import InvalidInput
from forestall.registry import Namespace, Registry
from forestall.sim.metrics import LOAD, LOAD_PER_REPLICA, Meaning, meanings_of_sli
from forestall.sim.operator import Setup


@dataclass(frozen=True, slots=True)
class Given:
    """An objective and the policies that select it."""

    slo: ServiceLevelObjective
    policies: tuple[RemediationPolicy, ...]
    sizing: Capacity
    indicator: str
    """The leading indicator that is the traffic, or the traffic for each replica."""
    notes: tuple[str, ...]

    @property
    def per_replica(self) -> float | None:
        """What one replica carries, where the policy declares it."""
        return self.sizing.per_replica

    @property
    def most(self) -> int:
        """`maxReplicas` of the policy."""
        return max(rung.scale.max_replicas for one in self.policies for rung in one.spec.actions if rung.scale)


def given(found: Sequence[Manifest], namespace: str, interval: float) -> Given:
    """Return the objective in the files, with the policies that scale for it.

    Raises:
        InvalidInput: there is not exactly one objective, or no policy that scales for it, or none of its indicators is
            one that the model has.
    """
    known = build_registry(found, namespace, 2 * interval)
    slos = known.all(ServiceLevelObjective)
    if len(slos) != 1:
        raise InvalidInput(f"there are {len(slos)} objectives in the files: give the one that is to be simulated")
    slo = slos[0]
    policies = tuple(
        one
        for one in known.all(RemediationPolicy, slo.namespace)
        if one.spec.objectives.matches(slo.metadata.labels) and any(rung.scale for rung in one.spec.actions)
    )
    if not policies:
        raise InvalidInput(f"no policy in the files scales for the objective {slo.name}")
    sizing = next(rung.scale.capacity for one in policies for rung in one.spec.actions if rung.scale)
    leading = [one.name for one in slo.spec.leading_indicators if one.trend == "Load" and one.direction == "Above"]
    name = sizing.indicator or (leading[0] if len(leading) == 1 else None)
    if name is None or name not in leading:
        raise InvalidInput(
            f"which leading indicator of {slo.name} is the traffic? Name it in the policy's `capacity.indicator`"
        )
    others = [one.name for one in slo.spec.leading_indicators if one.name != name]
    notes = tuple(f"the model has no {other}: the objective is simulated without it" for other in others)
    return Given(slo, policies, sizing, name, notes)


def setup(one: Given, services: int, capacity: float, interval: float) -> Setup:
    """Return the given objects for some services alike, of which a replica carries `capacity` requests a second."""
    registry_, places = Registry(), {}
    meanings: dict[Hashable, Meaning] = {}
    indicator = next(each for each in one.slo.spec.leading_indicators if each.name == one.indicator)
    if one.per_replica is not None:
        what, factor = LOAD, one.per_replica / capacity
    else:  # at its limit a replica carries what it can
        what, factor = LOAD_PER_REPLICA, indicator.limit / capacity
    for number in range(services):
        namespace = f"service-{number:04d}"
        places[namespace] = (number, one.slo.spec.target.name)
        _put(registry_, Namespace.KIND, {"metadata": {"name": namespace, "uid": namespace, "labels": {}}})
        slo = one.slo.model_dump(by_alias=True, exclude_none=True, exclude={"status"})
        slo["spec"]["leadingIndicators"] = [indicator.model_dump(by_alias=True, exclude_none=True)]
        slo["spec"]["dependsOn"] = []
        uid = f"{namespace}/{one.slo.name}"
        _put(registry_, ServiceLevelObjective.KIND, _moved(slo, namespace, uid))
        for policy in one.policies:
            body = policy.model_dump(by_alias=True, exclude_none=True, exclude={"status"})
            body["spec"] |= {"mode": "Auto", "suspend": False}
            _put(registry_, RemediationPolicy.KIND, _moved(body, namespace, f"{namespace}/{policy.name}"))
        meanings |= {(uid, one.indicator): Meaning(number, what, factor), **meanings_of_sli(uid, number)}
    surroundings(registry_, one.slo.spec.source, interval)
    return Setup(registry_, meanings, places, one.slo.spec.window.seconds, interval)


def surroundings(into: Registry, source: str, interval: float) -> None:
    """Put what every operator has around its objectives: a metric source, and a Guardrail that allows what is done."""
    stale = exact_duration(max(120, round(2 * interval)))
    spec = {"url": "http://model", "staleAfter": stale, "trustedLabels": ["node"]}
    _put(into, "MetricSource", {"metadata": {"name": source, "uid": source, "generation": 1}, "spec": spec})
    allow = {"allow": [{"namespaces": {}, "actions": ["Scale", "Restart"]}]}
    _put(into, "Guardrail", {"metadata": {"name": "model", "uid": "model", "generation": 1}, "spec": allow})


def _moved(body: dict[str, object], namespace: str, uid: str) -> dict[str, object]:
    metadata = body["metadata"]
    labels = metadata.get("labels", {}) if isinstance(metadata, dict) else {}
    name = metadata["name"] if isinstance(metadata, dict) else ""
    return {
        **body,
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "generation": 1, "labels": labels},
    }


def _put(into: Registry, kind: str, body: dict[str, object]) -> None:
    entry = into.put(kind, {"apiVersion": API_VERSION, "kind": kind, **body})
    if entry is None or not hasattr(entry, "metadata"):
        raise InvalidInput(f"{kind}: {getattr(entry, 'message', 'it can not be used')}")
