"""`forestall explain`: why an objective is at risk, what was decided and why not, what was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from pydantic import ValidationError

from forestall.api import Remediation, RemediationPolicy, Resource, ServiceLevelObjective
from forestall.api.times import readable
from forestall.cli import options, remediations
from forestall.cli.objects import find, read
from forestall.cli.output import Page, console, document, without_managers
from forestall.cli.reasons import advice
from forestall.cli.status import STYLES, burning
from forestall.cli.words import ago, plural
from forestall.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forestall.api.meta import Condition
    from forestall.api.service_level_objective import Indicator, RiskCause, ServiceLevelObjectiveStatus
    from forestall.cli.wiring import Session
    from forestall.ports import Cluster

R = TypeVar("R", bound=Resource)

SHOWN: Final = 3
"""How many ended remediations are shown."""
_BUDGET_OF_STEPS: Final = 5
_STATES: Final = {
    "Healthy": "HEALTHY",
    "Exhausted": "ERROR BUDGET GONE",
    "AtRisk": "AT RISK",
    "Breached": "IN BREACH",
    "Unknown": "UNKNOWN",
    None: "NOT LOOKED AT YET",
}
_VERDICTS: Final = {"Act": ("acts", "bold green"), "WouldAct": ("would act", "cyan"), "Hold": ("holds", "yellow")}


@dataclass(slots=True)
class Dossier:
    """All that is known about one objective."""

    body: Mapping[str, Any]
    objective: ServiceLevelObjective
    policies: list[RemediationPolicy] = field(default_factory=list)
    remediations: list[Remediation] = field(default_factory=list)
    """The newest first."""
    bodies: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """The policies and remediations as the API server gave them."""
    unread: list[str] = field(default_factory=list)
    """What could not be read, and why."""


@click.command
@options.name("SLO", "ServiceLevelObjective")
@options.namespace
@click.option("-o", "--output", "form", type=click.Choice(["json", "yaml"]), help="For programs.")
@options.connected
async def explain(session: Session, *, slo: str, namespace: str | None, form: str | None) -> None:
    """Say why an objective is at risk, what each policy decided and why not, and what was done.

    \b
    Example:
      forestall explain -n shop checkout
    """
    dossier = await _gather(session.cluster, namespace or session.namespace, slo)
    if form:
        parts = {kind: [without_managers(each) for each in bodies] for kind, bodies in dossier.bodies.items()}
        click.echo(document({"objective": without_managers(dossier.body), **parts}, form))
        return
    _Explanation(dossier, session.now(), Page(console())).write()


async def _gather(cluster: Cluster, namespace: str, name: str) -> Dossier:
    body = await read(cluster, ServiceLevelObjective.KIND, namespace, name)
    try:
        dossier = Dossier(body, ServiceLevelObjective.read(body))
    except ValidationError as error:
        raise click.ClickException(f"ServiceLevelObjective {name} does not fit this version of forestall.") from error
    dossier.bodies["policies"] = []
    labels = dossier.objective.metadata.labels
    for policy, raw in await _all(cluster, RemediationPolicy, namespace, dossier):
        if policy.spec.objectives.matches(labels):
            dossier.policies.append(policy)
            dossier.bodies["policies"].append(raw)
    found = [
        (each, raw)
        for each, raw in await _all(cluster, Remediation, namespace, dossier)
        if each.spec.intent.objective.uid == dossier.objective.uid
    ]
    found.sort(key=lambda pair: (not pair[0].ended, pair[0].spec.intent.created), reverse=True)
    dossier.remediations = [each for each, _ in found]
    dossier.bodies["remediations"] = [raw for _, raw in found]
    return dossier


async def _all(cluster: Cluster, kind: type[R], namespace: str, dossier: Dossier) -> list[tuple[R, Mapping[str, Any]]]:
    """Return the objects that can be read; note in the dossier what cannot."""
    try:
        bodies = await find(cluster, kind.KIND, namespace)
    except Forbidden as error:
        dossier.unread.append(f"{kind.PLURAL}: {error}")
        return []
    found = []
    for body in bodies:
        try:
            found.append((kind.read(body), body))
        except ValidationError:
            dossier.unread.append(f"{kind.KIND} {body['metadata']['name']}: does not fit this version of forestall")
    return found


class _Explanation:
    """The page about one dossier."""

    def __init__(self, dossier: Dossier, now: float, page: Page) -> None:
        self.dossier = dossier
        self.now = now
        self.page = page

    def write(self) -> None:
        objective = self.dossier.objective
        state = objective.status.state
        self.page.title(f"{objective.name} in {objective.namespace}", _STATES[state], STYLES.get(state or "", "bold"))
        self._promise()
        self._risk()
        self._waiting()
        self._decisions()
        self._deeds()
        self._checks()
        for each in self.dossier.unread:
            self.page.item("!", f"could not be read: {each}", style="yellow")

    def _promise(self) -> None:
        spec = self.dossier.objective.spec
        status = self.dossier.objective.status
        target = f"{spec.target.kind}/{spec.target.name}"
        self.page.say(f"{target}: {spec.objective:g} % over {spec.window} of {_indicator(spec.indicator)}.")
        if spec.description:
            self.page.say(spec.description)
        if status.sli:
            parts = [f"SLI {status.sli}"]
            parts += [f"error budget left {status.budget_remaining}"] if status.budget_remaining else []
            parts += [f"burn rate {burn}"] if (burn := burning(status)) else []
            self.page.say(", ".join(parts) + ".")

    def _risk(self) -> None:
        status = self.dossier.objective.status
        state = status.state
        self.page.heading(
            {"AtRisk": "Why it is at risk", "Breached": "Why it is in breach"}.get(state or "", "What is forecast")
        )
        if state is None:
            self.page.say("The operator has not looked at it yet. Is it running, and the leader elected?")
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

    def _waiting(self) -> None:
        program = click.get_current_context().find_root().info_name
        for each in self.dossier.remediations:
            left = remediations.waiting(each, self.now)
            if left:
                self.page.heading("It waits for you")
                self.page.say(f"{remediations.deed(each)} waits for approval {left}:")
                where = f"-n {each.namespace} {each.name}"
                self.page.say(f"{program} approve {where}", indent=4, style="bold")
                self.page.say(f"{program} reject {where} --comment WHY", indent=4, style="bold")

    def _decisions(self) -> None:
        self.page.heading("What the policies decided")
        decisions = self.dossier.objective.status.decisions or []
        modes = {policy.name: policy.spec.mode for policy in self.dossier.policies}
        for each in decisions:
            verdict, style = _VERDICTS[each.verdict]
            mode = f" ({modes[each.policy]})" if each.policy in modes else ""
            what = f": {each.action}" if each.action else ""
            self.page.item("•", f"{each.policy}{mode} {verdict}{what}. {each.reason}: {each.message}", style=style)
            if each.verdict == "Hold" and (hint := advice(each.reason)):
                self.page.say(f"→ {hint}", indent=5)
        silent = [policy.name for policy in self.dossier.policies if policy.name not in {d.policy for d in decisions}]
        if silent:
            self.page.item("•", f"{', '.join(silent)}: not asked yet.")
        if not decisions and not silent:
            self.page.say(
                "No policy selects this objective: nothing is done about a risk. "
                "Add a RemediationPolicy to this namespace, in mode Observe to begin with."
            )

    def _deeds(self) -> None:
        if not self.dossier.remediations:
            return
        self.page.heading("What was done")
        under_way = [each for each in self.dossier.remediations if not each.ended]
        ended = [each for each in self.dossier.remediations if each.ended]
        for each in (*under_way, *ended[:SHOWN]):
            style = remediations.STYLES.get(each.status.phase, "cyan")
            self.page.item("•", f"{remediations.deed(each)}  ({each.name})", style=style)
            self.page.say(remediations.stand(each, self.now), indent=5)
            if each.spec.intent.evidence.reason:
                self.page.say(f"Because {each.spec.intent.evidence.reason}", indent=5)
            if approval := each.spec.approval:
                comment = f": {approval.comment}" if approval.comment else ""
                self.page.say(
                    f"{approval.decision} by {approval.by or 'somebody'} at {readable(approval.at)}{comment}", indent=5
                )
            for step in each.status.steps[-_BUDGET_OF_STEPS:]:
                self.page.say(remediations.line(step), indent=7)
        if more := len(ended[SHOWN:]):
            self.page.say(f"… and {plural(more, 'earlier one')}: kubectl get remediations.")

    def _checks(self) -> None:
        objective = self.dossier.objective
        self.page.heading("Checks")
        self._conditions(objective.status.conditions)
        observed = objective.status.observed_generation
        if observed is not None and observed < objective.metadata.generation:
            self.page.item("!", "The last change of the objective has not been looked at yet.", style="yellow")
        for policy in self.dossier.policies:
            bad = [each for each in policy.status.conditions if _bad(each)]
            if bad:
                self.page.say(f"RemediationPolicy {policy.name}:")
                self._conditions(bad)

    def _conditions(self, conditions: Sequence[Condition]) -> None:
        for each in conditions:
            mark, style = ("!", "yellow") if _bad(each) else ("✓", "green")
            said = f" {each.reason}: {each.message}" if each.message else f" {each.reason}"
            self.page.item(mark, f"{each.type}={each.status}{said}", style=style)
            if _bad(each) and (hint := advice(each.reason)):
                self.page.say(f"→ {hint}", indent=5)
        if not conditions:
            self.page.say("None yet.")


def _bad(condition: Condition) -> bool:
    """Whether a condition says that something is wrong; AtRisk and Locked are bad news when they are true."""
    return condition.status != ("False" if condition.type in {"AtRisk", "Locked"} else "True")


def _cause(cause: RiskCause) -> str:
    series = ", ".join(f"{key}={value}" for key, value in cause.labels.items())
    name = "The SLI's error ratio" if cause.indicator == "sli" else cause.indicator
    text = name + (f" of {series}" if series else "")
    text += f" is {cause.value}" if cause.value else ""
    if cause.time_to_breach == "0s":
        return f"{text}, past its limit of {cause.limit}."
    text += f"; its limit is {cause.limit}" if cause.limit else ""
    if cause.probability:
        text += ". It passes the limit" + (f" within {cause.horizon}" if cause.horizon else "")
        text += f" with probability {cause.probability}"
        text += f", likely in {cause.time_to_breach}" if cause.time_to_breach else ""
        text += f" (bounds {cause.time_to_breach_bounds})" if cause.time_to_breach_bounds else ""
    text += f". Within its horizon it may reach {cause.forecast}" if cause.forecast else ""
    return f"{text}."


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
