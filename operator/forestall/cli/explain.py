"""`forestall explain`: why something stands as it does, what was decided and why not, what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
from forestall.cli import options
from forestall.cli.explanations import objective, policy, workload
from forestall.cli.headlines import unattended
from forestall.cli.objects import FORMS, Named, is_name, kind_of, parse_name
from forestall.cli.remediation_page import show_one
from forestall.core.wording import closest

if TYPE_CHECKING:
    from forestall.cli.wiring import Session


def _subject(_: click.Context, __: click.Parameter, value: str) -> Named:
    word, slash, name = value.rpartition("/")
    forms = [form for forms in FORMS.values() for form in forms]
    other = slash and word.isalnum() and kind_of(word) is None
    # Objectives may be about workloads of any kind; a word that is like a known one is misspelt.
    if other and is_name(name) and closest(word, forms) is None:
        return Named(word, name)
    return parse_name(value, tuple(FORMS), ServiceLevelObjective.KIND)


@click.command
@click.argument("subject", metavar="[KIND/]NAME", callback=_subject)
@options.namespace
@click.option(
    "-o", "--output", "form", type=click.Choice(["json", "yaml"]), help="Output format for scripts. Default: text."
)
@options.connected
async def explain(session: Session, *, subject: Named, namespace: str | None, form: str | None) -> None:
    """Explain the state of an object: its risk, the decisions of policies with their reasons, and what was done.

    For an objective (slo/NAME, or NAME): its indicators with their queries, its risk, the decision of each policy. For
    a policy (policy/NAME): the objectives that it selects, what holds it, its budgets. For a workload (deployment/NAME,
    or another kind): its objectives and policies. For a remediation (remediation/NAME): its lifecycle.

    \b
    Examples:
      forestall explain -n shop checkout
      forestall explain -n shop policy/early
      forestall explain -n shop deployment/checkout
    """
    subject_namespace = namespace or session.namespace
    if form is None and subject.kind != Remediation.KIND and (unseen := await unattended(session, subject_namespace)):
        click.echo(unseen, err=True)
    match subject.kind:
        case ServiceLevelObjective.KIND:
            await objective.explain(session, subject_namespace, subject.name, form)
        case RemediationPolicy.KIND:
            await policy.explain(session, subject_namespace, subject.name, form)
        case Remediation.KIND:
            await show_one(session, subject_namespace, subject.name, form)
        case _:
            await workload.explain(session, subject_namespace, subject, form)
