"""What an objective or a policy says that is likely not meant, as far as its own text tells.

`forestall validate` tells it before an object is applied, the operator in its condition Ready.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from forestall.api.findings import Finding, Path
from forestall.api.remediation_policy import RemediationPolicy, Rung, ScaleAction
from forestall.api.service_level_objective import LeadingIndicator, ServiceLevelObjective
from forestall.core import promql
from forestall.core.duration import format_duration
from forestall.core.risk import SLI
from forestall.core.wording import did_you_mean

_CYCLES: Final = 2
"""A breach nearer than so many intervals can't be forecast and acted on."""
_SHOWN: Final = 200
"""How many characters of a query are shown."""


def about_objective(slo: ServiceLevelObjective, interval: float) -> list[Finding]:
    """Return what of an objective is likely not meant, for an operator that looks every `interval` s.

    Its queries must be right: see `query_texts`.
    """
    findings: list[Finding] = []
    for number, indicator in enumerate(slo.spec.leading_indicators):
        at: Path = ("spec", "leadingIndicators", number)
        findings += _labels(indicator, at)
        if indicator.horizon.seconds < _CYCLES * interval:
            message = (
                f"{indicator.horizon} is shorter than {_CYCLES} of the operator's intervals of "
                f"{format_duration(interval)}: a breach would be there before it is acted on; write 10m"
            )
            findings.append(Finding("warning", (*at, "horizon"), message))
    return findings


def about_policy(
    policy: RemediationPolicy, objectives: Iterable[ServiceLevelObjective], start_up: float | None = None
) -> list[Finding]:
    """Return what of a policy does not suit the objectives that it selects, all of its own namespace.

    Their queries must be right. `start_up` is how long (s) a new replica takes to serve, where that is known.
    """
    findings: list[Finding] = []
    for slo in objectives:
        for number, rung in enumerate(policy.spec.actions):
            at: Path = ("spec", "actions", number)
            findings += _named(rung, slo, at)
            if rung.scale is not None:
                findings += _sized(rung, rung.scale, slo, at)
                findings += _late(rung, slo, at, start_up)
    return list(dict.fromkeys(findings))


def rivals(policy: RemediationPolicy, other_policies: Iterable[RemediationPolicy], slo: ServiceLevelObjective) -> str:
    """Return in words which policies select the same objective, and which of them acts; empty: none does."""
    names = sorted(
        {policy.name, *(other.name for other in other_policies if other.spec.objectives.matches(slo.metadata.labels))}
    )
    if len(names) < 2:
        return ""
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} all select {slo.name}: where several would act at once, the first by name does, here {names[0]}"


def _labels(indicator: LeadingIndicator, at: Path) -> Iterator[Finding]:
    """Yield where `per` names what the query does not keep, or nothing although it keeps something."""
    labels = promql.result_labels(indicator.query)
    if labels is None:
        return
    names = ", ".join(sorted(labels))
    if indicator.per is not None and indicator.per not in labels:
        other = f"write per: {names}, or keep" if len(labels) == 1 else "keep"
        kept_labels = (
            f"keeps only the label {names}" if len(labels) == 1 else f"keeps {names}" if labels else "keeps no label"
        )
        message = f"the query {kept_labels}, not {indicator.per}: {other} it by `by ({indicator.per})` in the query"
        yield Finding("error", (*at, "per"), message)
    if indicator.per is None and labels:
        message = (
            f"the query may give a series for each {names}: name it in `per`, or aggregate, for example with max()"
        )
        yield Finding("warning", (*at, "query"), message)


def _named(rung: Rung, slo: ServiceLevelObjective, at: Path) -> Iterator[Finding]:
    """Yield the leading indicators that a rung names and the objective lacks."""
    names = [indicator.name for indicator in slo.spec.leading_indicators]
    for position, name in enumerate(rung.indicators):
        if name != SLI and name not in names:
            yield Finding("warning", (*at, "indicators", position), _lacking(name, slo, [*names, SLI]))
    if rung.scale is not None and (name := rung.scale.capacity.indicator or "") and name not in names:
        yield Finding("error", (*at, "scale", "capacity", "indicator"), _lacking(name, slo, names))


def _lacking(name: str, slo: ServiceLevelObjective, names: Sequence[str]) -> str:
    existing = f"there are {', '.join(names)}" if len(names) > 1 else f"there is {names[0]}" if names else "it has none"
    return f"the objective {slo.name} has no leading indicator {name}; {existing}.{did_you_mean(name, names)}".rstrip(
        "."
    )


def _sized(rung: Rung, scale: ScaleAction, slo: ServiceLevelObjective, at: Path) -> Iterator[Finding]:
    """Yield the totals that would be sized in proportion."""
    capacity = scale.capacity
    if capacity.type != "Proportional":
        return
    for indicator in slo.spec.leading_indicators:
        sizes = indicator.name == capacity.indicator or (
            capacity.indicator is None and (not rung.indicators or indicator.name in rung.indicators)
        )
        if sizes and promql.is_total(indicator.query):
            message = (
                f"{indicator.name} of {slo.name} is a total, {shortened(indicator.query)}, which does not fall as "
                "replicas are added: Proportional sizing would ask for more and more. Write what one replica carries, "
                "capacity: {type: Declared, perReplica: …}, or divide the query by the replicas"
            )
            yield Finding("warning", (*at, "scale", "capacity"), message)


def _late(rung: Rung, slo: ServiceLevelObjective, at: Path, start_up: float | None) -> Iterator[Finding]:
    """Yield the horizons that end before a new replica serves."""
    for indicator in slo.spec.leading_indicators:
        applies = not rung.indicators or indicator.name in rung.indicators
        if start_up is not None and applies and indicator.horizon.seconds < start_up:
            message = (
                f"a new replica takes {format_duration(start_up)} to serve, and {indicator.name} of {slo.name} is "
                f"forecast only {indicator.horizon} ahead: it comes too late; raise the horizon of {indicator.name} to "
                f"{format_duration(2 * start_up)} or more"
            )
            yield Finding("warning", (*at, "scale"), message)


def shortened(query: str) -> str:
    """Return a query in one line, as long as a message can take."""
    line = " ".join(query.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
