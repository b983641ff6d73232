"""`forestall pause` and `forestall resume`: nothing is changed for a while.

They write objects and nothing else, so they work also while the operator is down or busy: it reads them before it
changes anything.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from forestall.api import API_VERSION, Guardrail, Pause
from forestall.api.remediation import ObjectRef
from forestall.cli import options
from forestall.cli.active_pauses import standing
from forestall.cli.caller import caller, written
from forestall.cli.objects import FIELDS, KINDS_BY_FIELD, find, parse_name, read
from forestall.core.duration import format_duration
from forestall.errors import Conflict, Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forestall.cli.wiring import Session

NAME: Final = "pause"
"""The Guardrail that `forestall pause` writes."""
_WHOLE: Final = "all"
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """What is paused: a namespace, or one object in it."""

    namespace: str
    field: str = ""
    name: str = ""

    @property
    def ref(self) -> ObjectRef:
        """The Pause that stands for it."""
        name = f"{self.field}-{self.name}" if self.field else _WHOLE
        return ObjectRef(api_version=API_VERSION, kind=Pause.KIND, namespace=self.namespace, name=name)

    def __str__(self) -> str:
        """Say it in words."""
        prefix = f"{self.field} {self.name} in " if self.field else ""
        return f"{prefix}namespace {self.namespace}"


GUARDRAIL: Final = ObjectRef(api_version=API_VERSION, kind=Guardrail.KIND, name=NAME)


def _object(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    named = parse_name(value, tuple(FIELDS))
    return FIELDS[named.kind], named.name


def _duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    seconds = options.seconds_of(value)
    if not 1 <= seconds <= 366 * 86400:
        raise click.BadParameter("a pause lasts from 1s to 366d; leave --for out for one without an end.")
    return seconds


_subject_argument = click.argument("subject", metavar="[slo/NAME|policy/NAME]", required=False, callback=_object)
_namespace = options.namespace_of(
    "The namespace. Default: the whole cluster, or with an object the context's namespace."
)


@click.command
@_subject_argument
@_namespace
@click.option(
    "--for",
    "lasting",
    callback=_duration,
    metavar="DURATION",
    help="The duration of the pause, such as 2h. Default: until `resume`.",
)
@click.option("--reason", default="", help="The reason that `status` and `explain` show. Default: none.")
@options.connected
async def pause(
    session: Session, *, subject: tuple[str, str] | None, namespace: str | None, lasting: float | None, reason: str
) -> None:
    """Pause forestall: it changes nothing any more, and reverts nothing.

    Without arguments it pauses the whole cluster, which needs a cluster admin; with -n a namespace, with an object an
    objective or a policy. It takes effect within a second, also for remediations under way, and ends after --for.

    \b
    Examples:
      forestall pause --for 2h --reason "network maintenance"
      forestall pause -n shop
      forestall pause -n shop policy/early --for 30m
    """
    scope = _scope(session, subject, namespace)
    if scope is not None:
        await _must_exist(session, scope)
    now, user = session.now(), await caller(session.cluster)
    end = None if lasting is None else written(now + lasting)
    pause_fields = {"by": user, "at": written(now), "until": end, "reason": reason[:1024]}
    if scope is None:
        spec = {"paused": True, **{_IN_GUARDRAIL[key]: value for key, value in pause_fields.items()}}
        await _write(session, GUARDRAIL, spec, user)
    else:
        spec = {**pause_fields, **({scope.field: scope.name} if scope.field else {})}
        await _write(session, scope.ref, spec, user)
    length = f"for {format_duration(lasting)}, until {end}" if lasting is not None else "until `forestall resume`"
    click.echo(f"{scope or 'everything'} is paused {length}")


_IN_GUARDRAIL: Final = {"by": "pausedBy", "at": "pausedAt", "until": "pauseUntil", "reason": "pauseReason"}


@click.command
@_subject_argument
@_namespace
@options.connected
async def resume(session: Session, *, subject: tuple[str, str] | None, namespace: str | None) -> int:
    """End a pause of the same scope, and list other pauses.

    It exits with 1 if another pause still applies.
    """
    scope = _scope(session, subject, namespace)
    ended = await (_end_in_cluster(session) if scope is None else _end(session, scope))
    if scope is not None and not ended:
        await _must_exist(session, scope)
    click.echo(f"{scope or 'everything'} {'goes on' if ended else 'was not paused by `forestall pause`'}")
    left = await standing(session, scope.namespace if scope else "")
    mine = [text for text, only in left if not only or (scope and only == (scope.field, scope.name))]
    for text, _ in left:
        click.echo(f"still paused: {text}", err=True)
    return 1 if mine else 0


def _scope(session: Session, subject: tuple[str, str] | None, namespace: str | None) -> Scope | None:
    if subject is None:
        return None if namespace is None else Scope(namespace)
    return Scope(namespace or session.namespace, *subject)


async def _must_exist(session: Session, scope: Scope) -> None:
    """Refuse to pause what is not there: who mistypes a name at night must not believe that it is stopped.

    Raises:
        click.ClickException: there is no such object; the message names what is like it.
    """
    if not scope.field:
        return
    kind = KINDS_BY_FIELD[scope.field]
    # Who may pause but not read pauses all the same.
    with contextlib.suppress(Forbidden):
        await read(session.cluster, kind, scope.namespace, scope.name)


async def _write(session: Session, ref: ObjectRef, spec: Mapping[str, Any], user: str) -> None:
    """Create the object, or change it where it is there already."""
    metadata = {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}
    fields = {key: value for key, value in spec.items() if value is not None}
    body = {"apiVersion": API_VERSION, "kind": ref.kind, "metadata": metadata, "spec": fields}
    for left in reversed(range(_TRIES)):
        try:
            current = await _read(session, ref)
            if current is None:
                await session.cluster.create(body)
            else:
                await session.cluster.patch(ref, {"spec": spec}, current["metadata"]["resourceVersion"])
        except Conflict:
            if not left:
                raise
        except Forbidden as error:
            raise Forbidden(f"{_needed(ref, user)}. {error}") from error
        except NotFound as error:
            await find(session.cluster, ref.kind, ref.namespace)  # says so where the kind is not known
            missing = f"There is no namespace {ref.namespace}." if ref.namespace else str(error)
            raise click.ClickException(missing) from error
        else:
            return


def _needed(ref: ObjectRef, user: str) -> str:
    if ref.kind == Guardrail.KIND:
        return (
            f"You ({user or 'unknown'}) may not pause the whole cluster: it needs the verbs `create` and `patch` on "
            "guardrails.forestall.dev. With -n you can pause your own namespace"
        )
    return (
        f"You ({user or 'unknown'}) may not pause anything in namespace {ref.namespace}: it needs the verbs `create`, "
        "`patch` and `delete` on pauses.forestall.dev"
    )


async def _read(session: Session, ref: ObjectRef) -> Mapping[str, Any] | None:
    try:
        return await session.cluster.read(ref)
    except NotFound:
        return None


async def _end_in_cluster(session: Session) -> bool:
    current = await _read(session, GUARDRAIL)
    if current is None or not current["spec"].get("paused"):
        return False
    # What else the Guardrail says stays in force.
    cleared: dict[str, Any] = dict.fromkeys(_IN_GUARDRAIL.values())
    await _write(session, GUARDRAIL, {"paused": False, **cleared}, await caller(session.cluster))
    return True


async def _end(session: Session, scope: Scope) -> bool:
    current = await _read(session, scope.ref)
    if current is None:
        return False
    try:
        await session.cluster.delete(scope.ref, current["metadata"]["resourceVersion"])
    except NotFound:
        return False
    except Forbidden as error:
        raise Forbidden(f"{_needed(scope.ref, await caller(session.cluster))}. {error}") from error
    return True
