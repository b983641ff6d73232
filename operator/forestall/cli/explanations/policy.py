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
from forestall.core.guards import Debt
from forestall.core.guards.budget import tokens
from forestall.core.wording import plural
from forestall.engine.terms import buckets, surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forestall.api.meta import LabelSelector
    from forestall.api.remediation_policy import Rung
    from forestall.cli.wiring import Session


async def explain(session: Session, namespace: str, name: str, form: str | None) -> None:
    """Write the page about a policy, or in `form` the objects that it is made from."""
    found, body = await read_one(session, RemediationPolicy, namespace, name)
    dossier = Dossier(policies=Some([found], [body]))
    everything = await dossier.all(session, ServiceLevelObjective, namespace)
    dossier.objectives = everything.only(lambda each: found.spec.objectives.matches(each.metadata.labels))
    await dossier.done(session, namespace, lambda each: each.spec.intent.policy.name == name)
    await dossier.stops(session, namespace)
    guardrails = (await dossier.all(session, Guardrail, "")).read
    now = session.now()
    left = list(_budgets(guardrails, dossier, namespace, now))
    dossier.stopped += _windows(guardrails, found, now)
    if form:
        click.echo(dossier.as_document({"policy": without_managers(body), "budgets": left}, form, "policies"))
        return
    page = Page(console())
    page.title(f"policy {found.name} in {namespace}", found.spec.mode, "bold")
    _terms(page, found, len(dossier.objectives.read), len(everything.read))
    parts.stops(page, dossier)
    page.heading("What it selects, and decided last")
    for each in dossier.objectives.read:
        parts.headline(page, each)
        parts.decided(page, each, found, indent=5)
    if not dossier.objectives.read:
        page.say("Nothing: no objective of this namespace has these labels.")
    page.heading("What is left of the budgets")
    for text in left or ["No Guardrail that you may read sets one."]:
        page.say(text)
    parts.deeds(page, dossier.remediations.read, now)
    page.heading("Checks")
    parts.conditions(page, found.status.conditions)
    observed = found.status.observed_generation
    if observed is not None and observed < found.metadata.generation:
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
    words = [f"{key}={value}" for key, value in selector.match_labels.items()]
    for each in selector.match_expressions:
        values = f" ({', '.join(each.values)})" if each.values else ""
        words.append(f"{each.key} {each.operator}{values}")
    return ", ".join(words) or "all of the namespace"


def _rung(rung: Rung) -> str:
    text = rung.name + (f" up to {plural(rung.scale.max_replicas, 'replica')}" if rung.scale else "")
    return text + (f", for {', '.join(rung.indicators)}" if rung.indicators else "")


def _budgets(guardrails: Sequence[Guardrail], dossier: Dossier, namespace: str, now: float) -> Iterator[str]:
    debts = {
        (one.uid, each.namespace): Debt(each.used, seconds(each.at) or now)
        for one in guardrails
        for each in one.status.spent
    }
    # What was spent is written down in the Guardrail before each action, so it tells of all namespaces.
    for bucket in buckets(guardrails, dossier.remediations.read, namespace, debts):
        left = max(0, math.floor(tokens(bucket, now)))
        yield f"{bucket.whose}: {left} of {plural(bucket.size, 'action')} per {format_duration(bucket.per)}"


def _windows(guardrails: Sequence[Guardrail], policy: RemediationPolicy, now: float) -> list[str]:
    """Return in words which windows forbid the policy's actions now."""
    told: dict[str, None] = {}
    for rung in policy.spec.actions:
        around = surroundings(guardrails, policy, rung.name)
        for window in around.blackouts:
            if (stretch := window.open_until(now)) is not None:
                until, ends = stretch
                told[f"{window.whose} forbids {rung.name} until {clock(until)}{'' if ends else ' or later'}"] = None
        for windows in around.maintenance:
            if all(window.closes(now) is None for window in windows):
                opens = min((at for each in windows if (at := each.opens(now)) is not None), default=None)
                when = "never" if opens is None else f"at {clock(opens)}"
                told[
                    f"outside the maintenance windows of {windows[0].whose} for {rung.name}; the next opens {when}"
                ] = None
    return list(told)
