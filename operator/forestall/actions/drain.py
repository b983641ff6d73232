"""Cordon a node and move its pods elsewhere, and give it back when it has been healthy for a while.

The node is cordoned first, as the action `cordon` does. Then its pods are evicted, cycle after cycle, each by its UID
and as its PodDisruptionBudget allows, until none is left but those that `kubectl drain` leaves. No pod is ever deleted.
What was evicted stays where it is when the node is given back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from forestall.actions import pods
from forestall.actions.base import Aim, Unsuited, World, title
from forestall.actions.cordon import Cordon
from forestall.actions.pods import Pod, Sorted
from forestall.actions.protection import protected_from_above
from forestall.api.remediation import ObjectRef, Remediation
from forestall.api.remediation_policy import DrainAction
from forestall.core.decision import Hold
from forestall.errors import ClusterError, Conflict, Denied, Forbidden, Halted, NotFound, Throttled, Unavailable
from forestall.ports import Cluster

AT_ONCE: Final = 50
"""How many evictions are asked for in one cycle."""
_NAMED: Final = 5


class Drain(Cordon):
    """The action `drain`."""

    name: ClassVar[str] = "Drain"
    undo: ClassVar[str] = "uncordon the node, if it was this remediation that cordoned it; its pods stay where they are"
    _verb: ClassVar[str] = "drain"
    _verbs: ClassVar[str] = "draining"

    async def aim(self, cluster: Cluster, aim: Aim) -> ObjectRef | Hold:
        """Return the node that the indicator's label `node` names, unless it has pods that must not be evicted."""
        node = await super().aim(cluster, aim)
        if isinstance(node, Hold):
            return node
        return _refused(node, await _pods(cluster, node, aim.rung.drain)) or node

    async def look(self, cluster: Cluster, remediation: Remediation) -> World | Hold:
        """Return whether the node is cordoned by this remediation, and which pods are left on it."""
        world = await super().look(cluster, remediation)
        if isinstance(world, Hold) or remediation.status.phase in ("Verifying", "RollingBack"):
            return world
        begun = bool(remediation.status.steps)
        if begun and world.level == 0:
            return world
        found = await _pods(cluster, world.subject, remediation.spec.intent.action.drain)
        if not begun:
            return _refused(world.subject, found) or world
        rest = [_ref(pod) for pod in found.to_evict]
        settled = not (found.to_evict or found.going or found.refused)
        return replace(world, settled=settled, rest=rest, left=_left(found))

    async def proceed(self, cluster: Cluster, remediation: Remediation, world: World) -> Hold:
        """Ask for the eviction of each pod that is left; return what stands in the way of those that stay.

        What is said of one pod is said of that one: the others are asked for all the same.
        """
        del remediation
        evictions = _Evictions()
        for pod in world.rest[:AT_ONCE]:
            if pod.namespace not in evictions.silent:
                await evictions.ask(cluster, pod)
        name = title(world.subject)
        if not evictions.kept:
            return Hold("Draining", f"{name} is being drained; {world.left}")
        if not evictions.gone and all(_lacks_right(error) for error in evictions.kept):
            raise evictions.kept[0]
        more = f" (and so do {len(evictions.kept) - 1} more)" if len(evictions.kept) > 1 else ""
        first = next((error for error in evictions.kept if not isinstance(error, Throttled)), evictions.kept[0])
        return Hold(
            "Throttled" if isinstance(first, Throttled) else "EvictionRefused",
            f"{name} is being drained, but a pod has to wait{more}: {first}",
        )


_SILENT: Final = 3
"""In how many namespaces evictions may go unanswered in one round; each costs the whole time of a request."""


@dataclass(slots=True)
class _Evictions:
    """The evictions that are asked for in one cycle."""

    gone: int = 0
    kept: list[ClusterError] = field(default_factory=list)
    """What was said of each pod that stays."""
    silent: set[str] = field(default_factory=set)
    """The namespaces whose pods wait for the next round, as a webhook of theirs may not answer."""

    async def ask(self, cluster: Cluster, pod: ObjectRef) -> None:
        """Ask for one eviction."""
        try:
            await cluster.evict(pod)
        except (NotFound, Conflict):
            self.gone += 1  # it went by itself
        except Halted:
            raise
        except Unavailable as error:
            self.kept.append(error)
            if not error.answered:
                self.silent.add(pod.namespace)
                if len(self.silent) == _SILENT:
                    raise
        except ClusterError as error:
            self.kept.append(error)
        else:
            self.gone += 1


def _lacks_right(error: ClusterError) -> bool:
    return isinstance(error, Forbidden) and not isinstance(error, Denied)


async def _pods(cluster: Cluster, node: ObjectRef, terms: DrainAction | None) -> Sorted:
    flags = terms or DrainAction()
    found = await cluster.find("v1", "Pod", field_selector=f"spec.nodeName={node.name}")
    moving = [pod for pod in found if not pods.stays(pod)]
    kept = await protected_from_above(cluster, (pod for pod in moving if not pods.is_terminating(pod)))
    left = [pod for pod in moving if pod["metadata"]["uid"] not in kept]
    return pods.sort(left, force=flags.force, delete_empty_dir_data=flags.delete_empty_dir_data)


def _refused(node: ObjectRef, found: Sorted) -> Unsuited | None:
    if not found.refused:
        return None
    words = [f"{pods.title(pod)}: {why}" for pod, why in found.refused]
    return Unsuited("PodsInTheWay", f"{title(node)} has pods that the policy does not let go: {_some(words)}")


def _left(found: Sorted) -> str:
    """Return in words what is still on the node."""
    parts = [
        f"{len(some)} {what}: {_some([pods.title(pod) for pod in some])}"
        for some, what in (
            (found.to_evict, "to be evicted"),
            (found.going, "about to go"),
            ([pod for pod, _ in found.refused], "that the policy does not let go"),
        )
        if some
    ]
    return f"pods that are left: {'; '.join(parts)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _ref(pod: Pod) -> ObjectRef:
    metadata = pod["metadata"]
    return ObjectRef(
        api_version="v1", kind="Pod", namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"]
    )
