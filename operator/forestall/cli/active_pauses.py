"""The pauses that hold now, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click
from pydantic import ValidationError

from forestall.api import Guardrail, Pause, Resource
from forestall.api.meta import lasts
from forestall.cli.objects import find
from forestall.cli.words import ago, until
from forestall.core.wording import printable
from forestall.errors import Forbidden

if TYPE_CHECKING:
    from forestall.cli.wiring import Session

R = TypeVar("R", bound=Resource)


async def standing(session: Session, namespace: str) -> list[tuple[str, tuple[str, str] | None]]:
    """Return each pause that holds now, in words, and the object that it is about where it is about one.

    Those of the cluster, where the caller may see them, and of `namespace`; all where it is empty.
    """
    now = session.now()
    pauses: list[tuple[str, tuple[str, str] | None]] = []
    for guardrail in await _read_all(session, Guardrail, ""):
        spec = guardrail.spec
        if spec.paused and lasts(spec.pause_until, now):
            particulars = _particulars(spec.pause_until, spec.paused_by, spec.paused_at, spec.pause_reason, now)
            pauses.append((f"everything (Guardrail {guardrail.name}){particulars}", None))
    for pause in await _read_all(session, Pause, namespace):
        if lasts(pause.spec.until, now):
            only = next(((key, name) for key in ("objective", "policy") if (name := getattr(pause.spec, key))), None)
            location = f" in namespace {pause.namespace}" if only else ""
            pauses.append(
                (
                    pause.scope
                    + location
                    + _particulars(pause.spec.until, pause.spec.by, pause.spec.at, pause.spec.reason, now),
                    only,
                )
            )
    return pauses


async def holding(session: Session, namespace: str, *, objective: str, policy: str) -> list[str]:
    """Return in words the pauses that keep this policy from changing anything for this objective now."""
    subjects = (None, ("objective", objective), ("policy", policy))
    return [text for text, only in await standing(session, namespace) if only in subjects]


async def _read_all(session: Session, kind: type[R], namespace: str) -> list[R]:
    """Return the objects of a kind; none where the caller may not see them."""
    try:
        bodies = await find(session.cluster, kind.KIND, namespace)
    except Forbidden:
        return []
    matches = []
    for body in bodies:
        try:
            matches.append(kind.read(body))
        except ValidationError:
            location = f" in namespace {body['metadata']['namespace']}" if kind.NAMESPACED else ""
            click.echo(
                f"warning: {kind.KIND} {body['metadata']['name']}{location} is invalid, which pauses it", err=True
            )
    return matches


def _particulars(end: str | None, by: str, at: str | None, reason: str, now: float) -> str:
    left, since = until(end, now), ago(at, now)
    parts = [f" for another {left}" if left else "", f" by {by}" if by else "", f" since {since}" if since else ""]
    return printable("".join(parts) + (f": {reason}" if reason else ""))
