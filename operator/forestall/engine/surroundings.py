"""What is around an intended action, for the guards to look at: windows, storms, protection, pods to spare."""

from dataclasses import replace

from forestall.actions import ACTIONS, Unsuited
from forestall.actions.base import title
from forestall.actions.protection import is_protected, protects
from forestall.api import MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.api.remediation import ObjectRef
from forestall.core.guards import Pods, Surroundings
from forestall.core.risk import Signal
from forestall.engine import terms
from forestall.engine.permissions import Permissions
from forestall.engine.scene import Scene
from forestall.engine.trust import distrust
from forestall.engine.workload import Workload, budgets_of
from forestall.errors import ClusterError
from forestall.ports import Cluster
from forestall.registry import Registry


class Lookout:
    """Gathers what is around an action."""

    def __init__(self, cluster: Cluster, registry: Registry) -> None:
        self.permissions = Permissions(cluster)
        """What the operator may do at all."""
        self._cluster = cluster
        self._registry = registry

    async def around(
        self, scene: Scene, policy: RemediationPolicy, action: str, target: ObjectRef, workload: Workload
    ) -> Surroundings:
        """Return what is around `action` on `target` for the objective that `workload` is the target of."""
        told = terms.surroundings(scene.guardrails, policy, action, scene.storms)
        protected = await self._protected(policy.namespace, target, workload)
        replaced = ACTIONS[action].traits.disruption == "workload"
        pods = await self._pods(policy.namespace, workload) if replaced else None
        return replace(told, protected=protected, pods=pods)

    async def distrust(self, slo: ServiceLevelObjective, cause: Signal, workload: ObjectRef) -> Unsuited | None:
        """Return why the node that the cause names is none of the objective's business; None where it is.

        Raises:
            ClusterError: the cluster could not say.
        """
        source = self._registry.get(MetricSource, slo.spec.source)
        return await distrust(self._cluster, slo, source, cause, workload)

    async def _protected(self, namespace: str, target: ObjectRef, workload: Workload) -> str | None:
        if protects(self._registry.annotations(namespace)):
            return f"namespace {namespace}"
        if workload.protected:
            return "the objective's workload"
        if target.kind != "Node":
            return None
        try:
            node = await self._cluster.read(target)
        except ClusterError:
            return None  # whether nodes can be read at all is another guard's matter
        return title(target) if is_protected(node) else None

    async def _pods(self, namespace: str, workload: Workload) -> Pods | None:
        if workload.pods is None or workload.pods.ready <= 0:
            return workload.pods  # which budgets there are makes no difference
        try:
            budgets = await self._cluster.find("policy/v1", "PodDisruptionBudget", namespace=namespace)
        except ClusterError:
            return None
        return replace(workload.pods, budgets=budgets_of(workload.labels, budgets))
