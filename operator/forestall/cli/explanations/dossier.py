"""What the API server knows about something, as far as the caller may read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from forestall.api import Remediation, RemediationPolicy, Resource, ServiceLevelObjective
from forestall.cli.active_pauses import standing
from forestall.cli.objects import find, read, understood
from forestall.cli.output import document, without_managers
from forestall.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from forestall.cli.wiring import Session

R = TypeVar("R", bound=Resource)


@dataclass(slots=True)
class Some(Generic[R]):
    """Objects of one kind, and as the API server gave them."""

    read: list[R] = field(default_factory=list)
    bodies: list[Mapping[str, Any]] = field(default_factory=list)

    def only(self, wanted: Callable[[R], bool]) -> Some[R]:
        """Return those that are wanted."""
        selected = [pair for pair in zip(self.read, self.bodies, strict=True) if wanted(pair[0])]
        return Some([item for item, _ in selected], [body for _, body in selected])


@dataclass(slots=True)
class Dossier:
    """All that is known about one subject, which is an objective, a policy or a workload."""

    objectives: Some[ServiceLevelObjective] = field(default_factory=Some)
    policies: Some[RemediationPolicy] = field(default_factory=Some)
    remediations: Some[Remediation] = field(default_factory=Some)
    """Those under way first, then the newest."""
    stopped: list[str] = field(default_factory=list)
    """What pauses and suspensions hold it, in words; also where something else keeps it from acting anyway."""
    unread: list[str] = field(default_factory=list)
    """What could not be read, and why."""

    async def all(self, session: Session, kind: type[R], namespace: str) -> Some[R]:
        """Return the objects of a kind that can be read; note what cannot."""
        objects: Some[R] = Some()
        try:
            bodies = await find(session.cluster, kind.KIND, namespace)
        except Forbidden as error:
            self.unread.append(f"{kind.PLURAL}: {error}")
            return objects
        for body in bodies:
            try:
                objects.read.append(kind.read(body))
            except ValidationError:
                self.unread.append(f"{kind.KIND} {body['metadata']['name']}: does not fit this version of forestall")
            else:
                objects.bodies.append(body)
        return objects

    async def add_remediations(self, session: Session, namespace: str, wanted: Callable[[Remediation], bool]) -> None:
        """Read the remediations that are wanted."""
        selected = (await self.all(session, Remediation, namespace)).only(wanted)
        pairs = sorted(
            zip(selected.read, selected.bodies, strict=True),
            key=lambda pair: (not pair[0].ended, pair[0].spec.intent.created),
            reverse=True,
        )
        self.remediations = Some([remediation for remediation, _ in pairs], [body for _, body in pairs])

    async def stops(self, session: Session, namespace: str) -> None:
        """Read what pauses and suspends the objectives and policies."""
        mine = {("objective", objective.name) for objective in self.objectives.read}
        mine |= {("policy", policy.name) for policy in self.policies.read}
        try:
            paused = await standing(session, namespace)
        except NotFound:
            paused = []
        self.stopped = [f"paused: {text}" for text, only in paused if only is None or only in mine]
        self.stopped += [
            f"policy {policy.name} is suspended (`spec.suspend`): it starts nothing new, and reverts its actions"
            for policy in self.policies.read
            if policy.spec.suspend
        ]

    def as_document(self, first: Mapping[str, Any], form: str, leave_out: str = "") -> str:
        """Return it for programs, `first` before all else, without the kind that `first` is one of."""
        parts: dict[str, Any] = {}
        for name in ("objectives", "policies", "remediations"):
            bodies: Sequence[Mapping[str, Any]] = getattr(self, name).bodies
            if name != leave_out:
                parts[name] = [without_managers(body) for body in bodies]
        return document({**first, **parts, "stopped": self.stopped, "unread": self.unread}, form)


async def read_one(session: Session, kind: type[R], namespace: str, name: str) -> tuple[R, Mapping[str, Any]]:
    """Return one object, and as the API server gave it.

    Raises:
        click.ClickException: it is not there, or does not fit this version.
    """
    body = await read(session.cluster, kind.KIND, namespace, name)
    return understood(kind, body), body
