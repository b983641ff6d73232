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


async def explain(session: Session, namespace: str, subject: Named, form: str | None) -> None:
    """Write the page about a workload, or in `form` the objects that it is made from.

    Raises:
        click.ClickException: no objective is about it, and nothing was done to it.
    """
    dossier, mine = Dossier(), (subject.kind.lower(), subject.name)

    def targets_workload(remediation: Remediation) -> bool:
        target = remediation.spec.intent.target
        return (target.kind.lower(), target.name) == mine

    def concerns_workload(objective: ServiceLevelObjective) -> bool:
        return (objective.spec.target.kind.lower(), objective.spec.target.name) == mine

    objectives = await dossier.all(session, ServiceLevelObjective, namespace)
    dossier.objectives = objectives.only(concerns_workload)
    policies = await dossier.all(session, RemediationPolicy, namespace)
    labels = [objective.metadata.labels for objective in dossier.objectives.read]
    dossier.policies = policies.only(
        lambda policy: any(policy.spec.objectives.matches(labels_of_objective) for labels_of_objective in labels)
    )
    await dossier.add_remediations(session, namespace, targets_workload)
    await dossier.stops(session, namespace)
    if not dossier.objectives.read and not dossier.remediations.read and not dossier.unread:
        targets = {(objective.spec.target.kind, objective.spec.target.name) for objective in objectives.read}
        names = sorted({name for kind, name in targets if kind.lower() == mine[0]} or {name for _, name in targets})
        raise click.ClickException(
            f"No objective in namespace {namespace} is about {subject.kind}/{subject.name}, and nothing was done to it."
            + (did_you_mean(subject.name, names) or " Is this the right --namespace?")
        )
    if form:
        click.echo(dossier.as_document({"workload": f"{subject.kind}/{subject.name}"}, form))
        return
    _write(subject, namespace, dossier, Page(console()), session.now())


def _write(subject: Named, namespace: str, dossier: Dossier, page: Page, now: float) -> None:
    page.title(f"{subject.kind}/{subject.name} in {namespace}", "")
    parts.stops(page, dossier)
    page.heading("Which objectives are about it")
    for objective in dossier.objectives.read:
        parts.headline(page, objective)
    if not dossier.objectives.read:
        page.say("None.")
    page.heading("Which policies may act on it")
    for policy in dossier.policies.read:
        for objective in dossier.objectives.read:
            if policy.spec.objectives.matches(objective.metadata.labels):
                parts.decided(page, objective, policy)
    if not dossier.policies.read:
        page.say("None: nothing is done about a risk.")
    parts.remediation_history(page, dossier.remediations.read, now)
    parts.unread(page, dossier)
