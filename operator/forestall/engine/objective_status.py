"""Builds an objective's status and conditions: messages and rounded figures for people."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from forestall.api import Resource, ServiceLevelObjective
from forestall.api.meta import Condition, condition
from forestall.api.remediation import ObjectRef
from forestall.api.service_level_objective import (
    Decision,
    Episode,
    IndicatorStatus,
    RiskCause,
    ServiceLevelObjectiveStatus,
)
from forestall.api.times import seconds, stamp
from forestall.core.duration import exact_duration, format_duration
from forestall.core.precision import format_percent, format_value_and_limit
from forestall.core.risk import ObjectiveState, Risk, Signal, carried_message, printable_labels, worst_signal
from forestall.core.slo import budget_remaining, burn_rate, percent_decimals
from forestall.engine.readings import ErrorRatios, Reading, blind

INTERNAL_ERROR: Final = "InternalError"
"""The reason of an unexpected error: nothing is done for the object that it concerns."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an objective can't be observed or remediated. `reason` is a condition's reason."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of one cycle for one objective."""

    slo: ServiceLevelObjective
    risk: Risk
    problem: Problem | None = None
    """The problem to fix before the objective can be observed or remediated."""
    readings: Sequence[Reading] = ()
    signals: Sequence[Signal] = ()
    ratios: ErrorRatios = ErrorRatios()
    decisions: tuple[Decision, ...] = ()
    episode: Episode = Episode()
    victim_of: str | None = None
    """The objective at risk that this one depends on, and that explains its risk."""
    warnings: tuple[str, ...] = ()
    """Advice for the author of an objective that works."""

    @property
    def budget(self) -> float:
        """The remaining share of the error budget; NaN where it is unknown."""
        return budget_remaining(self.ratios.window, self.slo.spec.objective)

    @property
    def state(self) -> ObjectiveState:
        """The state to show: an objective without remaining error budget is never healthy."""
        is_exhausted = self.risk.state is ObjectiveState.HEALTHY and self.budget <= 0
        return ObjectiveState.EXHAUSTED if is_exhausted else self.risk.state

    def without_evidence(self, failure: str) -> "Findings":
        """Return the findings after an unexpected error left it open what they rest on: no series counts as fresh."""
        return replace(
            self,
            risk=Risk(ObjectiveState.UNKNOWN, math.nan, None),
            problem=Problem(INTERNAL_ERROR, failure),
            signals=tuple(replace(signal, fresh=False) for signal in self.signals),
        )


def named(subject: Resource | ObjectRef) -> str:
    """Return the name of an object for logs, such as `RemediationPolicy shop/early`."""
    kind = subject.kind if isinstance(subject, ObjectRef) else subject.KIND
    return f"{kind} {subject.namespace}/{subject.name}" if subject.namespace else f"{kind} {subject.name}"


HEARTBEAT: Final = 600.0
"""Seconds after which an unchanged status is written again, to show that the operator is alive. With 1,000 objectives
of which nothing else changes, that is under two writes a second; with more, the publisher's own limit bounds it."""


def status_of(
    findings: Findings, now: float, before: ServiceLevelObjectiveStatus | None = None, lease: str | None = None
) -> ServiceLevelObjectiveStatus:
    """Return the status for these findings; `before` is the previous status, by default the one that was read.

    `lease` names the Lease of the operator that writes.
    """
    slo, risk = findings.slo, findings.risk
    before = before or slo.status
    looked = seconds(before.last_evaluated)
    ratios = findings.ratios
    burning = _number(burn_rate(ratios.long, slo.spec.objective))
    return ServiceLevelObjectiveStatus(
        observed_generation=slo.metadata.generation,
        state=findings.state.value,
        sli=_percent(1.0 - ratios.window, percent_decimals(slo.spec.objective)),
        budget_remaining=_percent(findings.budget),
        burn_rate=burning,
        burn_rate_window=_window(ratios.long_window) if burning else None,
        breach_probability=_percent(risk.probability),
        time_to_breach=_time(risk.cause.likely_time_to_breach()[0]) if risk.cause else None,
        cause=cause_of(risk.cause) if risk.cause else None,
        indicators=_indicators(findings) or None,
        decisions=list(findings.decisions),
        episode=findings.episode,
        last_evaluated=before.last_evaluated if looked is not None and 0 <= now - looked < HEARTBEAT else stamp(now),
        evaluated_by=lease,
        conditions=settle(before.conditions, _conditions(findings), slo.metadata.generation, now),
    )


def cause_of(signal: Signal) -> RiskCause:
    """Return the description of a signal."""
    return RiskCause.model_validate(_in_words(signal))


def _in_words(signal: Signal) -> dict[str, Any]:
    median, low, high = signal.likely_time_to_breach()
    value, limit = format_value_and_limit(signal.value, signal.limit)
    return {
        "indicator": signal.indicator,
        "labels": printable_labels(signal.labels),
        "value": value if math.isfinite(signal.value) else "",
        "limit": limit,
        "probability": _percent(signal.probability()) or "",
        "time_to_breach": _time(median) or "",
        "time_to_breach_bounds": f"{_time(low)} to {_time(high) or 'later'}" if math.isfinite(low) else "",
        "forecast": _number(signal.bound()) or "",
        "horizon": _time(signal.horizon) or "",
    }


def _indicators(findings: Findings) -> list[IndicatorStatus]:
    """Return the status of each indicator, from its series with the highest breach probability."""
    of: dict[str, list[Signal]] = {}
    for signal in findings.signals:
        of.setdefault(signal.indicator, []).append(signal)
    return [_indicator(reading, of.get(reading.watched.indicator, [])) for reading in findings.readings]


def _indicator(reading: Reading, signals: Sequence[Signal]) -> IndicatorStatus:
    watched, problem = reading.watched, reading.problem
    signal = worst_signal(signals) or next(iter(signals), None)
    values = _in_words(signal) if signal else {"indicator": watched.indicator, "limit": _number(watched.limit) or ""}
    reason, message = (problem.reason, problem.message) if problem else ("", "")
    if problem is None and signal is not None and signal.no_forecast_reason is not None:
        reason, message = "NoForecast", signal.no_forecast_reason
    # What was checked once need not be checked again, for each indicator in each cycle.
    return IndicatorStatus.model_construct(
        **values,
        query=watched.query.expr,
        series=len(reading.values),
        fresh=reading.fresh,
        reason=reason,
        message=message,
    )


def settle(before: Iterable[Condition], now_true: Iterable[Condition], generation: int, now: float) -> list[Condition]:
    """Return the new conditions, each with its last transition time."""
    conditions = list(before)
    result = []
    for condition_now in now_true:
        old = condition(conditions, condition_now.type)
        if old is None or old.status != condition_now.status or old.last_transition_time is None:
            since = stamp(now)
        elif (old.reason, old.message, old.observed_generation) == (
            condition_now.reason,
            condition_now.message,
            generation,
        ):
            result.append(old)  # as mostly: a copy takes its time
            continue
        else:
            since = old.last_transition_time
        update = {"last_transition_time": since, "observed_generation": generation}
        result.append(condition_now.model_copy(update=update))
    return result


def fingerprint(status: ServiceLevelObjectiveStatus) -> tuple[object, ...]:
    """Return the part of a status whose changes are written at once; changes of figures may wait."""
    return (
        status.observed_generation,
        status.state,
        tuple((item.type, item.status, item.reason) for item in status.conditions),
        tuple((item.policy, item.verdict, item.reason, item.remediation) for item in status.decisions or ()),
        (status.episode.number, status.episode.since, *status.episode.decided) if status.episode else None,
        tuple((item.name, item.uid, item.body) for item in status.records),
        status.cause.indicator if status.cause and status.state in ("AtRisk", "Breached") else None,
    )


def _conditions(findings: Findings) -> list[Condition]:
    return [
        _ready(findings),
        _data_fresh(findings),
        _budget_known(findings),
        _prediction_ready(findings),
        _at_risk(findings),
    ]


def warned(message: str, warnings: Sequence[str]) -> str:
    """Return a condition's message followed by warnings, cut to the longest message allowed."""
    return f"{message}. Warning: {'; '.join(warnings)}"[:1024] if warnings else message


def _ready(findings: Findings) -> Condition:
    problem, unseen = findings.problem, blind(findings.readings)
    if problem is not None:
        return Condition(type="Ready", status="False", reason=problem.reason, message=problem.message)
    for reading in unseen:
        if reading.problem is not None:
            message = (
                f"the objective is watched in part: nothing is known of {_names(unseen)}: {reading.problem.message}"
            )
            return Condition(type="Ready", status="False", reason=reading.problem.reason, message=message[:1024])
    message = warned("the objective is watched", findings.warnings)
    return Condition(type="Ready", status="True", reason="Monitoring", message=message)


def _names(readings: Iterable[Reading]) -> str:
    return ", ".join(reading.watched.indicator for reading in readings)


def _data_fresh(findings: Findings) -> Condition:
    if not findings.readings:
        return Condition(type="DataFresh", status="Unknown", reason="NotQueried", message="no query was sent")
    lacking = [reading for reading in findings.readings if reading.problem is not None]
    if not lacking:
        return Condition(type="DataFresh", status="True", reason="Fresh", message="every query returns fresh data")
    first = lacking[0].problem
    message = "; ".join(
        f"{reading.watched.indicator}: {reading.problem.message}" for reading in lacking if reading.problem
    )
    return Condition(
        type="DataFresh", status="False", reason=first.reason if first else "NoData", message=message[:1024]
    )


def _budget_known(findings: Findings) -> Condition:
    """Return the condition that says whether SLI, error budget and burn rate are known; they may be missing while all
    else is fresh.
    """
    ratios, window = findings.ratios, findings.slo.spec.window
    if (lacking := ratios.whole_problem) is not None:
        message = f"the SLI over {window}, and with it the error budget, is not known: {lacking.message}"
        return Condition(type="BudgetKnown", status="False", reason=lacking.reason, message=message[:1024])
    if not math.isfinite(ratios.window):
        return Condition(type="BudgetKnown", status="Unknown", reason="NotQueried", message="no query was sent")
    if (lacking := ratios.long_problem) is not None:
        message = (
            f"computed over {window}; the burn rate over {_window(ratios.long_window)} is not known: {lacking.message}"
        )
        return Condition(type="BudgetKnown", status="True", reason="BurnRateUnknown", message=message[:1024])
    return Condition(type="BudgetKnown", status="True", reason="Computed", message=f"computed over {window}")


def _prediction_ready(findings: Findings) -> Condition:
    signals, lacking = findings.signals, _lacking(findings)
    if lacking is not None:
        message = f"there is nothing to forecast from: {lacking.message}"
        return Condition(type="PredictionReady", status="False", reason=lacking.reason, message=message[:1024])
    heard = {signal.indicator for signal in signals if signal.no_forecast_reason is None}
    silent = [signal for signal in signals if signal.indicator not in heard]
    if heard and not silent:
        return Condition(
            type="PredictionReady", status="True", reason="Forecasting", message="every indicator is forecast"
        )
    message = (
        "; ".join(sorted({f"{signal.indicator}: {signal.no_forecast_reason}" for signal in silent})) or "no series yet"
    )
    return Condition(type="PredictionReady", status="False", reason="NoForecast", message=message[:1024])


def _lacking(findings: Findings) -> Problem | None:
    """Return what to fix before there can be a forecast; None where it only takes time."""
    if findings.problem is not None and not findings.readings:
        return Problem("NotQueried", "no query was sent, see the condition Ready")
    silent = [reading for reading in findings.readings if reading.problem is not None and not reading.fresh]
    if not silent:
        return None
    return Problem("NoDataToForecast", f"{_names(silent)} can't be read, see the condition DataFresh")


def _lacking_subjects(findings: Findings) -> Problem | None:
    """Return which readings lack subjects that were at risk."""
    lacking = [reading for reading in findings.readings if reading.silent]
    if not lacking:
        return None
    return Problem("SubjectSilent", f"{_names(lacking)} lacks what was at risk, see the condition DataFresh")


def _at_risk(findings: Findings) -> Condition:
    risk = findings.risk
    match findings.state:
        case ObjectiveState.UNKNOWN:
            lacking = _lacking(findings) or _lacking_subjects(findings)
            message = f"nothing can be said: {lacking.message}" if lacking else "nothing can be said yet"
            reason = lacking.reason if lacking else "NoForecast"
            return Condition(type="AtRisk", status="Unknown", reason=reason, message=message)
        case ObjectiveState.HEALTHY if math.isnan(risk.probability):
            message = carried_message(findings.signals)[:1024]
            return Condition(type="AtRisk", status="False", reason="CapacitySufficient", message=message)
        case ObjectiveState.HEALTHY:
            return Condition(type="AtRisk", status="False", reason="Healthy", message="no breach is forecast")
        case ObjectiveState.EXHAUSTED:
            message = f"no breach is forecast, but the error budget of {findings.slo.spec.window} is gone"
            return Condition(type="AtRisk", status="False", reason="ErrorBudgetExhausted", message=message)
        case ObjectiveState.BREACHED:
            return Condition(type="AtRisk", status="True", reason="Breached", message="the error budget burns fast now")
        case ObjectiveState.AT_RISK:
            name = risk.cause.indicator if risk.cause else ""
            passed = risk.cause is not None and risk.cause.breached
            message = f"{name} {'has passed' if passed else 'is forecast to pass'} its limit"
            reason = "LimitPassed" if passed else "BreachForecast"
            return Condition(type="AtRisk", status="True", reason=reason, message=message)


def _percent(share: float, digits: int = 0) -> str | None:
    return format_percent(share, digits) if math.isfinite(share) else None


def _number(value: float) -> str | None:
    return f"{value:.4g}" if math.isfinite(value) else None


def _window(seconds: float) -> str | None:
    return exact_duration(round(seconds)) if math.isfinite(seconds) else None


def _time(seconds: float) -> str | None:
    return format_duration(seconds) if math.isfinite(seconds) else None


def headline(findings: Findings) -> str:
    """Return the summary of an objective in one line."""
    match findings.state:
        case ObjectiveState.HEALTHY if math.isnan(findings.risk.probability):
            return carried_message(findings.signals)
        case ObjectiveState.HEALTHY:
            return "no breach is forecast any more"
        case ObjectiveState.EXHAUSTED:
            return f"the error budget of {findings.slo.spec.window} is gone; no breach is forecast"
        case ObjectiveState.UNKNOWN:
            return "the data is missing or too old: nothing can be said, and nothing is done"
        case ObjectiveState.BREACHED:
            return "the error budget burns fast now"
        case ObjectiveState.AT_RISK:
            cause = cause_of(findings.risk.cause) if findings.risk.cause else None
            if cause is None:
                return "a breach is forecast"
            soon = f" in {cause.time_to_breach}" if cause.time_to_breach else ""
            label_text = f" ({', '.join(f'{k}={v}' for k, v in cause.labels.items())})" if cause.labels else ""
            if findings.risk.cause is not None and findings.risk.cause.breached:
                return f"{cause.indicator}{label_text} is {cause.value}, past its limit of {cause.limit}"
            return f"{cause.indicator}{label_text} is forecast to pass {cause.limit}{soon}, with {cause.probability}"
