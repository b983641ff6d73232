"""Reading forestall's objects, with the errors that a person at a terminal needs."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from forestall.api import API_VERSION
from forestall.api.remediation import ObjectRef
from forestall.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forestall.ports import Cluster

NOT_INSTALLED = (
    "This cluster does not know forestall's objects. Install the chart, or the objects alone: "
    "`forestall crds | kubectl apply --server-side -f -`."
)


async def find(cluster: Cluster, kind: str, namespace: str) -> Sequence[Mapping[str, Any]]:
    """Return all objects of one of forestall's kinds.

    Raises:
        click.ClickException: the CRDs are not installed.
        ClusterError: as the port says.
    """
    try:
        return await cluster.find(API_VERSION, kind, namespace)
    except NotFound as error:
        raise click.ClickException(NOT_INSTALLED) from error


async def read(cluster: Cluster, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
    """Return one object of one of forestall's kinds.

    Raises:
        click.ClickException: it is not there; the message names what is like it.
        ClusterError: as the port says.
    """
    try:
        return await cluster.read(ObjectRef(api_version=API_VERSION, kind=kind, namespace=namespace, name=name))
    except NotFound:
        names = [str(each["metadata"]["name"]) for each in await find(cluster, kind, namespace)]
    close = difflib.get_close_matches(name, names, n=1) or names[:1]
    hint = f"Did you mean {close[0]}?" if close else "There is none at all: is this the right --namespace?"
    raise click.ClickException(f"There is no {kind} {name} in namespace {namespace}. {hint}")
