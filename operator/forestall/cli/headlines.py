"""What every screen says first: that the operator does not run, what is paused, what is suspended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
from pydantic import ValidationError

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.api.lease_annotations import INTERVAL, LAST_CYCLE
from forestall.api.remediation import ObjectRef
from forestall.api.times import seconds
from forestall.cli.active_pauses import standing
from forestall.cli.objects import find
from forestall.core.duration import format_duration, parse_duration
from forestall.core.untrusted import get_path, string
from forestall.errors import ClusterError, Forbidden, InvalidDuration, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forestall.cli.wiring import Session

    Objectives = Sequence[Mapping[str, Any]]

_MISSED: Final = 3
"""After how many intervals without a cycle the operator counts as not running."""
_COARSE: Final = 1800.0
"""The same in seconds, where only statuses tell it: they are written again every 10 minutes, or later where
there are thousands."""
_NEW: Final = 120.0
"""How old (s) an objective is before it is told that nobody has looked at it."""


async def headlines(session: Session, namespace: str, objectives: Objectives | None = None) -> list[str]:
    """Return what is to be said before all else about a namespace (all where it is empty), the gravest first.

    `objectives` are those of the namespace, where the caller has listed them.
    """
    unseen = await unattended(session, namespace, objectives)
    return [
        *([unseen] if unseen else []),
        *(f"PAUSED: {text}" for text, _ in await standing(session, namespace)),
        *(
            f"SUSPENDED: {name}: it starts nothing new; its actions stay in effect while the risk lasts "
            "(`forestall undo` reverts them now)"
            for name in await _suspended(session, namespace)
        ),
    ]


async def say_first(session: Session, namespace: str, objectives: Objectives | None = None) -> None:
    """Tell it beside what the screen prints, which programs may read."""
    for line in await headlines(session, namespace, objectives):
        click.echo(line, err=True)


async def unattended(session: Session, namespace: str, objectives: Objectives | None = None) -> str | None:
    """Return that, and since when, no operator evaluates the objectives of a namespace; None where one does."""
    try:
        bodies = (
            await find(session.cluster, ServiceLevelObjective.KIND, namespace) if objectives is None else objectives
        )
    except ClusterError:
        return None  # what is asked for next says it better
    looks = {seconds(string(get_path(body, "status", "lastEvaluated"))): body for body in bodies}
    times = [when for when in looks if when is not None]
    if not times:
        born = [seconds(string(get_path(body, "metadata", "creationTimestamp"))) for body in bodies]
        waiting = [when for when in born if when is not None and session.now() - when > _NEW]
        return _text(None, "") if waiting else None
    newest = max(times)
    name = string(get_path(looks[newest], "status", "evaluatedBy"))
    lease = await _lease(session, name)
    if lease is None:
        return _text(session.now() - newest, name) if session.now() - newest > _COARSE else None
    last = seconds(string(get_path(lease, "metadata", "annotations", LAST_CYCLE)))
    silent = session.now() - (newest if last is None else last)
    limit = _MISSED * _interval(lease)
    return _text(silent, name) if silent > limit else None


def _text(silent: float | None, lease: str) -> str:
    namespace = lease.partition("/")[0] or "forestall-system"
    cause = (
        f"the last evaluation was {format_duration(round(silent))} ago"
        if silent
        else "no operator has evaluated the objectives yet"
    )
    return (
        f"OPERATOR NOT RUNNING: {cause}. Nothing is forecast or done, and the state below is outdated. "
        f"See `kubectl get pods -n {namespace}` and `kubectl logs -n {namespace} -l app.kubernetes.io/name=forestall`."
    )


async def _lease(session: Session, name: str) -> Mapping[str, Any] | None:
    """Return the operator's Lease; None where the caller may not read it. One that is gone says nothing."""
    namespace, _, plain = name.partition("/")
    if not plain:
        return None
    ref = ObjectRef(api_version="coordination.k8s.io/v1", kind="Lease", namespace=namespace, name=plain)
    try:
        return await session.cluster.read(ref)
    except NotFound:
        return {}
    except ClusterError:
        return None


def _interval(lease: Mapping[str, Any]) -> float:
    try:
        return parse_duration(string(get_path(lease, "metadata", "annotations", INTERVAL)) or "30s")
    except InvalidDuration:
        return 30.0


async def _suspended(session: Session, namespace: str) -> list[str]:
    try:
        bodies = await find(session.cluster, RemediationPolicy.KIND, namespace)
    except Forbidden:
        return []
    headlines = []
    for body in bodies:
        try:
            policy = RemediationPolicy.read(body)
        except ValidationError:
            continue
        if policy.spec.suspend:
            headlines.append(f"policy {policy.name} in namespace {policy.namespace}")
    return headlines
