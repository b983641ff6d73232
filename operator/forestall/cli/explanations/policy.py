"""The page about a policy: what it selects, what it decided, what holds it, what it did."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from forestall.api import Guardrail, RemediationPolicy, ServiceLevelObjective
from forestall.api.times import clock, seconds
from forestall.cli.explanations import parts
from forestall.cli.explanations.dossier import Dossier, Some, read_one
from forestall.cli.output import Page, console, without_managers
from forestall.core.duration import format_duration
from forestall.core.guards import RecordedUsage
from forestall.core.guards.budget import tokens_left
from forestall.core.wording import plural
from forestall.engine.policy_limits import buckets, policy_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forestall.api.meta import LabelSelector
    from forestall.api.remediation_policy import Rung
    from forestall.cli.wiring import Session


async def explain(session: Session, namespace: str, name: str, form: str | None) -> None:
    """Write the page about a policy, or in `form` the objects that it is made from."""
    policy, body = await read_one(session, RemediationPolicy, namespace, name)
    dossier = Dossier(policies=Some([policy], [body]))
    all_objectives = await dossier.all(session, ServiceLevelObjective, namespace)
    dossier.objectives = all_objectives.only(
        lambda objective: policy.spec.objectives.matches(objective.metadata.labels)
    )
    await dossier.add_remediations(session, namespace, lambda remediation: remediation.spec.intent.policy.name == name)
    await dossier.stops(session, namespace)
    guardrails = (await dossier.all(session, Guardrail, "")).read
    now = session.now()
    left = list(_budgets(guardrails, dossier, namespace, now))
    dossier.stopped += _windows(guardrails, policy, now)
    if form:
        click.echo(dossier.as_document({"policy": without_managers(body), "budgets": left}, form, "policies"))
        return
    page = Page(console())
    page.title(f"policy {policy.name} in {namespace}", policy.spec.mode, "bold")
    _terms(page, policy, len(dossier.objectives.read), len(all_objectives.read))
    parts.stops(page, dossier)
    page.heading("What it selects, and decided last")
    for objective in dossier.objectives.read:
        parts.headline(page, objective)
        parts.decided(page, objective, policy, indent=5)
    if not dossier.objectives.read:
        page.say("Nothing: no objective of this namespace has these labels.")
    page.heading("What is left of the budgets")
    for text in left or ["No Guardrail that you may read sets one."]:
        page.say(text)
    parts.remediation_history(page, dossier.remediations.read, now)
    page.heading("Checks")
    parts.conditions(page, policy.status.conditions)
    observed = policy.status.observed_generation
    if observed is not None and observed < policy.metadata.generation:
        page.item("!", "The last change of the policy has not been looked at yet.", style="yellow")
    parts.unread(page, dossier)


def _terms(page: Page, policy: RemediationPolicy, selected: int, count: int) -> None:
    spec, when = policy.spec, policy.spec.when
    page.say(f"Selects {selected} of {plural(count, 'objective')}: {_labels(spec.objectives)}.")
    within = f"within {when.within}" if when.within else "within the indicator's horizon"
    lasting = f", for {when.for_}" if when.for_.seconds else ""
    page.say(f"When a breach {within} has at least the probability {when.probability:g}{lasting}, it does:")
    for number, rung in enumerate(spec.actions, 1):
        page.say(f"{number}. {_rung(rung)}", indent=4)
    page.say(f"Cooldown {spec.cooldown}, deadline {spec.deadline}, verified within {spec.verification.within}.")


def _labels(selector: LabelSelector) -> str:
    requirements = [f"{key}={value}" for key, value in selector.match_labels.items()]
    for expression in selector.match_expressions:
        values = f" ({', '.join(expression.values)})" if expression.values else ""
        requirements.append(f"{expression.key} {expression.operator}{values}")
    return ", ".join(requirements) or "all of the namespace"


def _rung(rung: Rung) -> str:
    text = rung.name + (f" up to {plural(rung.scale.max_replicas, 'replica')}" if rung.scale else "")
    return text + (f", for {', '.join(rung.indicators)}" if rung.indicators else "")


def _budgets(guardrails: Sequence[Guardrail], dossier: Dossier, namespace: str, now: float) -> Iterator[str]:
    debts = {
        (guardrail.uid, budget.namespace): RecordedUsage(budget.used, seconds(budget.at) or now)
        for guardrail in guardrails
        for budget in guardrail.status.spent
    }
    # What was spent is written down in the Guardrail before each action, so it tells of all namespaces.
    for bucket in buckets(guardrails, dossier.remediations.read, namespace, debts):
        left = max(0, math.floor(tokens_left(bucket, now)))
        yield f"{bucket.owner}: {left} of {plural(bucket.size, 'action')} per {format_duration(bucket.per)}"


def _windows(guardrails: Sequence[Guardrail], policy: RemediationPolicy, now: float) -> list[str]:
    """Return in words which windows forbid the policy's actions now."""
    texts: dict[str, None] = {}
    for rung in policy.spec.actions:
        around = policy_limits(guardrails, policy, rung.name)
        for window in around.blackout_windows:
            if (stretch := window.open_until(now)) is not None:
                until, ends = stretch
                texts[f"{window.owner} forbids {rung.name} until {clock(until)}{'' if ends else ' or later'}"] = None
        for windows in around.maintenance_windows:
            if all(window.closes(now) is None for window in windows):
                opens = min((at for window in windows if (at := window.opens(now)) is not None), default=None)
                when = "never" if opens is None else f"at {clock(opens)}"
                texts[
                    f"outside the maintenance windows of {windows[0].owner} for {rung.name}; the next opens {when}"
                ] = None
    return list(texts)
