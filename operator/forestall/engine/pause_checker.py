"""Checks whether people have paused an action: read again before each change, not once a cycle."""

from collections.abc import Iterator

from forestall.api import API_VERSION, Guardrail, Pause, Remediation, Resource
from forestall.api.meta import Timestamp, lasts
from forestall.core.decision import Hold
from forestall.engine.concurrency import gather_all
from forestall.errors import ClusterError
from forestall.ports import Reader
from forestall.registry import Registry


class PauseChecker:
    """Reads the pauses of Guardrails and of namespaces.

    Watches usually deliver pauses within milliseconds, but a watch that is late or cut off is not noticed. So the
    pauses are also listed from the API server before anything is changed: changes are rare, and the lists are short.
    """

    def __init__(self, registry: Registry, cluster: Reader) -> None:
        self._registry = registry
        self._cluster = cluster
        self.skewed: str | None = None
        """Why this process's clock is wrong: then nothing is changed, not even reverted."""

    async def __call__(self, remediation: Remediation, now: float) -> Hold | None:
        """Return why nothing may be changed for `remediation` at `now` (s), not even reverted; None where it may."""
        intent = remediation.spec.intent
        return await self.check(intent.objective.namespace, intent.objective.name, intent.policy.name, now)

    async def check(self, namespace: str, objective: str, policy: str, now: float) -> Hold | None:
        """As `paused_by`, with the pauses listed from the API server, unless a pause is known already."""
        if self.skewed is not None:
            return Hold("ClockSkew", self.skewed)
        paused_by = self.paused_by(namespace, objective, policy, now)
        if paused_by is None:
            try:
                await gather_all((self._refresh(Guardrail, ""), self._refresh(Pause, namespace)))
            except ClusterError as error:
                return Hold("PauseUnknown", f"it could not be asked whether it is paused: {error}")
            paused_by = self.paused_by(namespace, objective, policy, now)
        return None if paused_by is None else Hold("Paused", paused_by)

    def paused_by(self, namespace: str, objective: str, policy: str, now: float) -> str | None:
        """Return why nothing may be changed for this objective by this policy, as far as watches have told; None where
        it may.
        """
        return next(self._pauses(namespace, objective, policy, now), None)

    async def _refresh(self, kind: type[Resource], namespace: str) -> None:
        for body in await self._cluster.find(API_VERSION, kind.KIND, namespace=namespace):
            self._registry.put(kind.KIND, body)

    def _pauses(self, namespace: str, objective: str, policy: str, now: float) -> Iterator[str]:
        # What an unreadable object holds back is not known: all that it might is held until it is mended.
        yield from self._unreadable(Guardrail, "", "everything is paused")
        for guardrail in self._registry.all(Guardrail):
            limits = guardrail.spec
            if limits.paused and lasts(limits.pause_until, now):
                scope = f"everything is paused (Guardrail {guardrail.name})"
                yield scope + _particulars(limits.pause_until, limits.paused_by, limits.pause_reason)
        yield from self._unreadable(Pause, namespace, f"namespace {namespace} is paused")
        for pause in self._registry.all(Pause, namespace):
            spec = pause.spec
            if not lasts(spec.until, now):
                continue
            if spec.objective in (None, objective) and spec.policy in (None, policy):
                yield f"{pause.scope} is paused" + _particulars(spec.until, spec.by, spec.reason)

    def _unreadable(self, kind: type[Resource], namespace: str, scope: str) -> Iterator[str]:
        names = [unreadable.ref.name for unreadable in self._registry.unreadable(kind, namespace)]
        if names:
            yield f"{scope}: {kind.KIND} {names[0]} is invalid"


def _particulars(until: Timestamp | None, by: str, reason: str) -> str:
    return (f" until {until}" if until else "") + (f" by {by}" if by else "") + (f": {reason}" if reason else "")
