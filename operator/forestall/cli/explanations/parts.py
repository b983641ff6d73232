"""The sections that several pages have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from forestall.api.times import readable
from forestall.cli import remediations
from forestall.cli.objectives import STYLES
from forestall.cli.reasons import advice
from forestall.core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forestall.api import Remediation, RemediationPolicy, ServiceLevelObjective
    from forestall.api.meta import Condition
    from forestall.api.service_level_objective import Decision, RiskCause
    from forestall.cli.explanations.dossier import Dossier
    from forestall.cli.output import Page

SHOWN: Final = 3
"""How many ended remediations are shown."""
_BUDGET_OF_STEPS: Final = 5
STATES: Final = {
    "Healthy": "HEALTHY",
    "Exhausted": "ERROR BUDGET EXHAUSTED",
    "AtRisk": "AT RISK",
    "Breached": "IN BREACH",
    "Unknown": "UNKNOWN",
    None: "NOT EVALUATED YET",
}
_VERDICTS: Final = {"Act": ("acts", "bold green"), "WouldAct": ("would act", "cyan"), "Hold": ("holds", "yellow")}


def stops(page: Page, dossier: Dossier) -> None:
    """Write what holds it by the word of people, whatever was decided; nothing where nothing does."""
    if dossier.stopped:
        page.heading("Held by")
        for text in dossier.stopped:
            page.item("!", text, style="yellow")


def unread(page: Page, dossier: Dossier) -> None:
    """Write what could not be read."""
    for text in dossier.unread:
        page.item("!", f"could not be read: {text}", style="yellow")


def decision(page: Page, subject: str, outcome: Decision, indent: int = 2) -> None:
    """Write one decision, and what can be done about a hold."""
    verdict, style = _VERDICTS[outcome.verdict]
    action = f": {outcome.action}" if outcome.action else ""
    page.item("•", f"{subject} {verdict}{action}. {outcome.reason}: {outcome.message}", style=style, indent=indent)
    if outcome.verdict == "Hold" and (hint := advice(outcome.reason)):
        page.say(f"→ {hint}", indent=indent + 3)


def headline(page: Page, objective: ServiceLevelObjective) -> None:
    """Write in a line how an objective stands."""
    status, target = objective.status, objective.spec.target
    text = f"{objective.name} ({target.kind}/{target.name}): {STATES[status.state]}"
    if status.breach_probability:
        text += f", breach {status.breach_probability}"
    if status.cause and status.state in ("AtRisk", "Breached"):
        text += f" by {name_of(status.cause)}"
    page.item("•", text, style=STYLES.get(status.state or "", ""))


def decided(page: Page, objective: ServiceLevelObjective, policy: RemediationPolicy, indent: int = 2) -> None:
    """Write what a policy decided last about an objective that it selects."""
    subject = f"{policy.name} ({policy.spec.mode}) for {objective.name}"
    for outcome in objective.status.decisions or []:
        if outcome.policy == policy.name:
            decision(page, subject, outcome, indent)
            return
    page.item("•", f"{subject}: not evaluated yet.", indent=indent)


def remediation_history(page: Page, items: Sequence[Remediation], now: float) -> None:
    """Write what was done, the last of what has ended; nothing where nothing was."""
    if not items:
        return
    page.heading("What was done")
    under_way = [remediation for remediation in items if not remediation.ended]
    ended = [remediation for remediation in items if remediation.ended]
    for remediation in (*under_way, *ended[:SHOWN]):
        style = remediations.STYLES.get(remediation.status.phase, "cyan")
        page.item("•", f"{remediations.deed(remediation)}  ({remediation.name})", style=style)
        page.say(remediations.stand(remediation, now), indent=5)
        if remediation.spec.intent.evidence.reason:
            page.say(f"Because {remediation.spec.intent.evidence.reason}", indent=5)
        if approval := remediation.spec.approval:
            comment = f": {approval.comment}" if approval.comment else ""
            answer = remediations.answer(approval.decision, approval.by)
            page.say(f"{answer} at {readable(approval.at)}{comment}", indent=5)
        if undo := remediation.undo:
            page.say(f"Undo requested by {undo.by or 'somebody'} at {readable(undo.at)}: {undo.comment}", indent=5)
        for step in remediation.status.steps[-_BUDGET_OF_STEPS:]:
            page.say(remediations.line(step), indent=7)
        if remediations.can_be_undone(remediation):
            program = click.get_current_context().find_root().info_name
            page.say(
                f"To revert it now: {program} undo -n {remediation.namespace} {remediation.name} --comment WHY",
                indent=5,
            )
    if hidden := len(ended[SHOWN:]):
        page.say(f"… and {plural(hidden, 'earlier one')}: kubectl get remediations.")


def conditions(page: Page, shown_conditions: Iterable[Condition]) -> None:
    """Write conditions, and what can be done about bad ones."""
    none = True
    for condition in shown_conditions:
        none = False
        mark, style = ("!", "yellow") if is_bad(condition) else ("✓", "green")
        text = f" {condition.reason}: {condition.message}" if condition.message else f" {condition.reason}"
        page.item(mark, f"{condition.type}={condition.status}{text}", style=style)
        if is_bad(condition) and (hint := advice(condition.reason)):
            page.say(f"→ {hint}", indent=5)
    if none:
        page.say("None yet.")


def is_bad(condition: Condition) -> bool:
    """Whether a condition says that something is wrong; AtRisk and Locked are bad news when they are true."""
    return condition.status != ("False" if condition.type in {"AtRisk", "Locked"} else "True")


def name_of(cause: RiskCause) -> str:
    """Return an indicator, with the series that it is about."""
    series = ", ".join(f"{key}={value}" for key, value in cause.labels.items())
    name = "The SLI's error ratio" if cause.indicator == "sli" else cause.indicator
    return name + (f" of {series}" if series else "")


def likely(cause: RiskCause) -> str:
    """Return how sure and how near a breach is, such as ` within 15m with probability 93%, likely in 6m`."""
    text = (f" within {cause.horizon}" if cause.horizon else "") + f" with probability {cause.probability}"
    text += f", likely in {cause.time_to_breach}" if cause.time_to_breach else ""
    return text + (f" (bounds {cause.time_to_breach_bounds})" if cause.time_to_breach_bounds else "")
