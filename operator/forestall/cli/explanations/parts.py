"""The sections that several pages have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from forestall.api.times import readable
from forestall.cli import remediations
from forestall.cli.reasons import advice
from forestall.cli.status import STYLES
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
    "Exhausted": "ERROR BUDGET GONE",
    "AtRisk": "AT RISK",
    "Breached": "IN BREACH",
    "Unknown": "UNKNOWN",
    None: "NOT LOOKED AT YET",
}
_VERDICTS: Final = {"Act": ("acts", "bold green"), "WouldAct": ("would act", "cyan"), "Hold": ("holds", "yellow")}


def stops(page: Page, dossier: Dossier) -> None:
    """Write what holds it by the word of people, whatever was decided; nothing where nothing does."""
    if dossier.stopped:
        page.heading("What holds it at present")
        for text in dossier.stopped:
            page.item("!", text, style="yellow")


def unread(page: Page, dossier: Dossier) -> None:
    """Write what could not be read."""
    for text in dossier.unread:
        page.item("!", f"could not be read: {text}", style="yellow")


def decision(page: Page, whose: str, made: Decision, indent: int = 2) -> None:
    """Write one decision, and what can be done about a hold."""
    verdict, style = _VERDICTS[made.verdict]
    what = f": {made.action}" if made.action else ""
    page.item("•", f"{whose} {verdict}{what}. {made.reason}: {made.message}", style=style, indent=indent)
    if made.verdict == "Hold" and (hint := advice(made.reason)):
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
    whose = f"{policy.name} ({policy.spec.mode}) for {objective.name}"
    for each in objective.status.decisions or []:
        if each.policy == policy.name:
            decision(page, whose, each, indent)
            return
    page.item("•", f"{whose}: not asked yet.", indent=indent)


def deeds(page: Page, done: Sequence[Remediation], now: float) -> None:
    """Write what was done, the last of what has ended; nothing where nothing was."""
    if not done:
        return
    page.heading("What was done")
    under_way = [each for each in done if not each.ended]
    ended = [each for each in done if each.ended]
    for each in (*under_way, *ended[:SHOWN]):
        style = remediations.STYLES.get(each.status.phase, "cyan")
        page.item("•", f"{remediations.deed(each)}  ({each.name})", style=style)
        page.say(remediations.stand(each, now), indent=5)
        if each.spec.intent.evidence.reason:
            page.say(f"Because {each.spec.intent.evidence.reason}", indent=5)
        if approval := each.spec.approval:
            comment = f": {approval.comment}" if approval.comment else ""
            said = f"{approval.decision} by {approval.by or 'somebody'} at {readable(approval.at)}{comment}"
            page.say(said, indent=5)
        if undo := each.undo:
            page.say(f"Undo asked for by {undo.by or 'somebody'} at {readable(undo.at)}: {undo.comment}", indent=5)
        for step in each.status.steps[-_BUDGET_OF_STEPS:]:
            page.say(remediations.line(step), indent=7)
        if remediations.can_be_undone(each):
            program = click.get_current_context().find_root().info_name
            page.say(f"To have it back now: {program} undo -n {each.namespace} {each.name} --comment WHY", indent=5)
    if more := len(ended[SHOWN:]):
        page.say(f"… and {plural(more, 'earlier one')}: kubectl get remediations.")


def conditions(page: Page, some: Iterable[Condition]) -> None:
    """Write conditions, and what can be done about bad ones."""
    none = True
    for each in some:
        none = False
        mark, style = ("!", "yellow") if is_bad(each) else ("✓", "green")
        said = f" {each.reason}: {each.message}" if each.message else f" {each.reason}"
        page.item(mark, f"{each.type}={each.status}{said}", style=style)
        if is_bad(each) and (hint := advice(each.reason)):
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
