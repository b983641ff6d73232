"""The page about a workload: which objectives and policies are about it, and what was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.cli.explanations import parts
from forestall.cli.explanations.dossier import Dossier
from forestall.cli.output import Page, console
from forestall.core.wording import did_you_mean

if TYPE_CHECKING:
    from forestall.api import Remediation
    from forestall.cli.objects import Named
    from forestall.cli.wiring import Session


async def explain(session: Session, namespace: str, what: Named, form: str | None) -> None:
    """Write the page about a workload, or in `form` the objects that it is made from.

    Raises:
        click.ClickException: no objective is about it, and nothing was done to it.
    """
    dossier, mine = Dossier(), (what.kind.lower(), what.name)

    def is_done_to_it(each: Remediation) -> bool:
        target = each.spec.intent.target
        return (target.kind.lower(), target.name) == mine

    def is_about_it(each: ServiceLevelObjective) -> bool:
        return (each.spec.target.kind.lower(), each.spec.target.name) == mine

    objectives = await dossier.all(session, ServiceLevelObjective, namespace)
    dossier.objectives = objectives.only(is_about_it)
    policies = await dossier.all(session, RemediationPolicy, namespace)
    labels = [each.metadata.labels for each in dossier.objectives.read]
    dossier.policies = policies.only(lambda each: any(each.spec.objectives.matches(some) for some in labels))
    await dossier.done(session, namespace, is_done_to_it)
    await dossier.stops(session, namespace)
    if not dossier.objectives.read and not dossier.remediations.read and not dossier.unread:
        targets = {(each.spec.target.kind, each.spec.target.name) for each in objectives.read}
        known = sorted({name for kind, name in targets if kind.lower() == mine[0]} or {name for _, name in targets})
        raise click.ClickException(
            f"No objective in namespace {namespace} is about {what.kind}/{what.name}, and nothing was done to it."
            + (did_you_mean(what.name, known) or " Is this the right --namespace?")
        )
    if form:
        click.echo(dossier.as_document({"workload": f"{what.kind}/{what.name}"}, form))
        return
    _write(what, namespace, dossier, Page(console()), session.now())


def _write(what: Named, namespace: str, dossier: Dossier, page: Page, now: float) -> None:
    page.title(f"{what.kind}/{what.name} in {namespace}", "")
    parts.stops(page, dossier)
    page.heading("Which objectives are about it")
    for each in dossier.objectives.read:
        parts.headline(page, each)
    if not dossier.objectives.read:
        page.say("None.")
    page.heading("Which policies may act on it")
    for policy in dossier.policies.read:
        for each in dossier.objectives.read:
            if policy.spec.objectives.matches(each.metadata.labels):
                parts.decided(page, each, policy)
    if not dossier.policies.read:
        page.say("None: nothing is done about a risk.")
    parts.deeds(page, dossier.remediations.read, now)
    parts.unread(page, dossier)
