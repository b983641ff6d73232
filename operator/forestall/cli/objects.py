"""Reading forestall's objects, with the errors that a person at a terminal needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from pydantic import ValidationError

from forestall.api import API_VERSION, Resource
from forestall.api.remediation import ObjectRef
from forestall.core.wording import closest
from forestall.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forestall.ports import Reader

NOT_INSTALLED = (
    "This cluster does not know forestall's objects. Install the chart, or the objects alone: "
    "`forestall crds | kubectl apply --server-side -f -`."
)

R = TypeVar("R", bound=Resource)
_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
FORMS: Final[dict[str, tuple[str, ...]]] = {
    "ServiceLevelObjective": ("slo", "fslo", "objective", "servicelevelobjective"),
    "RemediationPolicy": ("policy", "rempol", "remediationpolicy"),
    "Remediation": ("remediation", "remed"),
    "Deployment": ("deployment", "deploy"),
    "StatefulSet": ("statefulset", "sts"),
    "DaemonSet": ("daemonset", "ds"),
    "Node": ("node", "no"),
}
"""How people write a kind before a name, the shortest first; plurals and `-o name`'s form with the group go too."""
FIELDS: Final = {"ServiceLevelObjective": "objective", "RemediationPolicy": "policy"}
"""The kinds that Pauses and Remediations name, and the field that does."""
KINDS_BY_FIELD: Final = {field: kind for kind, field in FIELDS.items()}


@dataclass(frozen=True, slots=True)
class Named:
    """An object as a person names it on the command line."""

    kind: str
    name: str


def parse_name(text: str, kinds: Sequence[str], default: str | None = None) -> Named:
    """Return what `NAME` or `KIND/NAME` names; a name alone is of the kind `default`.

    Raises:
        click.BadParameter: it has another form, or names a kind that is not among `kinds`.
    """
    word, slash, name = text.rpartition("/")
    kind = kind_of(word) if slash else default
    if kind is not None and kind in kinds and _NAME.fullmatch(name):
        return Named(kind, name)
    forms = [f"{FORMS[kind][0]}/NAME" for kind in kinds]
    if default is not None:
        forms.insert(0, f"the name of a {FORMS[default][-1]}")
    allowed_forms = [form for kind in kinds for form in FORMS[kind]]
    close = closest(word, allowed_forms) if slash and kind not in kinds else None
    hint = f" Did you mean {close}/{name}?" if close else ""
    raise click.BadParameter(f"{text!r} is not {', '.join(forms[:-1])}{' or ' if forms[1:] else ''}{forms[-1]}.{hint}")


def kind_of(word: str) -> str | None:
    """Return the kind that a word such as `slo`, `policies` or `remediation.forestall.dev` stands for."""
    plain = word.lower().partition(".")[0]
    singular = (plain, plain.removesuffix("s"), plain.removesuffix("ies") + "y")
    return next((kind for kind, forms in FORMS.items() if any(form in forms for form in singular)), None)


def is_name(text: str) -> bool:
    """Say whether `text` can be the name of an object."""
    return _NAME.fullmatch(text) is not None


async def find(cluster: Reader, kind: str, namespace: str) -> Sequence[Mapping[str, Any]]:
    """Return all objects of one of forestall's kinds.

    Raises:
        click.ClickException: the CRDs are not installed.
        ClusterError: as the port says.
    """
    try:
        return await cluster.find(API_VERSION, kind, namespace)
    except NotFound as error:
        raise click.ClickException(NOT_INSTALLED) from error


async def read(cluster: Reader, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
    """Return one object of one of forestall's kinds.

    Raises:
        click.ClickException: it is not there; the message names what is like it.
        ClusterError: as the port says.
    """
    try:
        return await cluster.read(ObjectRef(api_version=API_VERSION, kind=kind, namespace=namespace, name=name))
    except NotFound:
        names = [str(body["metadata"]["name"]) for body in await find(cluster, kind, namespace)]
    close = closest(name, names) or next(iter(names), None)
    hint = f"Did you mean {close}?" if close else "There is none at all: is this the right --namespace?"
    raise click.ClickException(f"There is no {kind} {name} in namespace {namespace}. {hint}")


def understood(kind: type[R], body: Mapping[str, Any]) -> R:
    """Return the object that the API server gave.

    Raises:
        click.ClickException: it does not fit this version.
    """
    try:
        return kind.read(body)
    except ValidationError as error:
        name = body["metadata"]["name"]
        raise click.ClickException(f"{kind.KIND} {name} does not fit this version of forestall.") from error
