"""The page about an objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.cli import remediations
from forestall.cli.explanations import parts
from forestall.cli.explanations.dossier import Dossier, Some, read_one
from forestall.cli.objectives import STYLES, burning
from forestall.cli.output import Page, console, without_managers
from forestall.cli.words import ago
from forestall.core.wording import plural

if TYPE_CHECKING:
    from forestall.api.service_level_objective import (
        Indicator,
        IndicatorStatus,
        RiskCause,
        ServiceLevelObjectiveStatus,
    )
    from forestall.cli.wiring import Session


async def explain(session: Session, namespace: str, name: str, form: str | None) -> None:
    """Write the page about an objective, or in `form` the objects that it is made from."""
    objective, body = await read_one(session, ServiceLevelObjective, namespace, name)
    dossier = Dossier(Some([objective], [body]))
    labels = objective.metadata.labels
    policies = await dossier.all(session, RemediationPolicy, namespace)
    dossier.policies = policies.only(lambda policy: policy.spec.objectives.matches(labels))
    await dossier.add_remediations(
        session, namespace, lambda remediation: remediation.spec.intent.objective.uid == objective.uid
    )
    await dossier.stops(session, namespace)
    if form:
        click.echo(dossier.as_document({"objective": without_managers(body)}, form, "objectives"))
        return
    _Explanation(objective, dossier, session.now(), Page(console())).write()


class _Explanation:
    def __init__(self, objective: ServiceLevelObjective, dossier: Dossier, now: float, page: Page) -> None:
        self.objective = objective
        self.dossier = dossier
        self.now = now
        self.page = page

    def write(self) -> None:
        objective, page = self.objective, self.page
        state = objective.status.state
        style = STYLES.get(state or "", "bold")
        page.title(f"{objective.name} in {objective.namespace}", parts.STATES[state], style)
        self._promise()
        parts.stops(page, self.dossier)
        self._risk()
        self._indicators()
        self._waiting()
        self._decisions()
        parts.remediation_history(page, self.dossier.remediations.read, self.now)
        self._checks()
        parts.unread(page, self.dossier)

    def _promise(self) -> None:
        spec, status = self.objective.spec, self.objective.status
        target = f"{spec.target.kind}/{spec.target.name}"
        self.page.say(f"{target}: {spec.objective:g} % over {spec.window} of {_indicator(spec.indicator)}.")
        if spec.description:
            self.page.say(spec.description)
        if status.sli:
            figures = [f"SLI {status.sli}"]
            figures += [f"error budget left {status.budget_remaining}"] if status.budget_remaining else []
            figures += [f"burn rate {burn}"] if (burn := burning(status)) else []
            self.page.say(", ".join(figures) + ".")

    def _risk(self) -> None:
        status = self.objective.status
        state = status.state
        self.page.heading(
            {"AtRisk": "Why it is at risk", "Breached": "Why it is in breach"}.get(state or "", "What is forecast")
        )
        if state is None:
            self.page.say("The operator has not evaluated it yet. Is it running, and is a leader elected?")
            return
        if status.cause:
            self.page.say(_cause(status.cause))
        elif status.breach_probability:
            self.page.say(f"A breach within the horizon has the probability {status.breach_probability}.")
        else:
            self.page.say("Nothing: see the checks below.")
        since = _episode(status, self.now)
        if since:
            self.page.say(since)

    def _indicators(self) -> None:
        indicators = self.objective.status.indicators or []
        silent = {indicator.name for indicator in self.objective.spec.leading_indicators} - {
            indicator.indicator for indicator in indicators
        }
        if not indicators and not silent:
            return
        self.page.heading("Its indicators")
        for indicator in indicators:
            self.page.item(
                "•", _standing(indicator), style="green" if indicator.fresh and not indicator.reason else "yellow"
            )
            self.page.say(f"asked: {' '.join(indicator.query.split())}", indent=5, style="dim")
        if silent:
            self.page.item("•", f"{', '.join(sorted(silent))}: not evaluated yet.")

    def _waiting(self) -> None:
        for remediation in self.dossier.remediations.read:
            left = remediations.waiting(remediation, self.now)
            if left:
                self.page.heading("Waits for approval")
                self.page.say(f"{remediations.deed(remediation)} waits for approval {left}:")
                for command in remediations.decision_commands(remediation):
                    self.page.say(command, indent=4, style="bold")

    def _decisions(self) -> None:
        self.page.heading("What the policies decided")
        decisions = self.objective.status.decisions or []
        modes = {policy.name: policy.spec.mode for policy in self.dossier.policies.read}
        for decision in decisions:
            mode = f" ({modes[decision.policy]})" if decision.policy in modes else ""
            parts.decision(self.page, f"{decision.policy}{mode}", decision)
        silent = [name for name in modes if name not in {decision.policy for decision in decisions}]
        if silent:
            self.page.item("•", f"{', '.join(silent)}: not evaluated yet.")
        if not decisions and not silent:
            self.page.say(
                "No policy selects this objective: nothing is done about a risk. "
                "Add a RemediationPolicy to this namespace, in mode Observe to begin with."
            )

    def _checks(self) -> None:
        objective = self.objective
        self.page.heading("Checks")
        parts.conditions(self.page, objective.status.conditions)
        observed = objective.status.observed_generation
        if observed is not None and observed < objective.metadata.generation:
            self.page.item("!", "The last change of the objective has not been looked at yet.", style="yellow")
        for policy in self.dossier.policies.read:
            bad = [condition for condition in policy.status.conditions if parts.is_bad(condition)]
            if bad:
                self.page.say(f"RemediationPolicy {policy.name}:")
                parts.conditions(self.page, bad)


def _cause(cause: RiskCause) -> str:
    text = parts.name_of(cause)
    text += f" is {cause.value}" if cause.value else ""
    if cause.time_to_breach == "0s":
        return f"{text}, past its limit of {cause.limit}."
    text += f"; its limit is {cause.limit}" if cause.limit else ""
    text += f". It passes the limit{parts.likely(cause)}" if cause.probability else ""
    text += f". Within its horizon it may reach {cause.forecast}" if cause.forecast else ""
    return f"{text}."


def _standing(status: IndicatorStatus) -> str:
    """Return how one indicator stands: value, limit, probability, and whether it is fresh or why not."""
    text = f"{parts.name_of(status)}: {status.value or 'no value'}, limit {status.limit}"
    if status.value and status.time_to_breach == "0s":
        text = f"{parts.name_of(status)}: {status.value}, past its limit of {status.limit}"
    elif status.probability:
        text += f"; passes it{parts.likely(status)}"
    text += f"; the worst of {plural(status.series, 'series', 'series')}" if (status.series or 0) > 1 else ""
    text += "; fresh" if status.fresh else "; not fresh"
    return text + (f". {status.reason}: {status.message}" if status.reason else "")


def _episode(status: ServiceLevelObjectiveStatus, now: float) -> str:
    episode = status.episode
    if episode is None or not episode.since:
        return ""
    calm = f"; calm for {ago(episode.calm_since, now)}" if episode.calm_since else ""
    return f"At risk for {ago(episode.since, now)}{calm} (episode {episode.number})."


def _indicator(indicator: Indicator) -> str:
    if indicator.latency:
        return f"requests within {indicator.latency.threshold} ({indicator.latency.histogram})"
    if indicator.ratio:
        return f"good events ({indicator.ratio.total})"
    if indicator.threshold:
        sign = {"lt": "<", "lte": "≤", "gt": ">", "gte": "≥"}[indicator.threshold.operator]
        return f"time with {indicator.threshold.query} {sign} {indicator.threshold.value:g}"
    return "good events (computed elsewhere)"
