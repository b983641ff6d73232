"""Decides which rung of a policy is tried: whether the probability is past the threshold, and at how many replicas."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from forestall.core.decision import Act, Hold
from forestall.core.duration import format_duration
from forestall.core.precision import format_percent, format_percent_pair, format_value_and_limit
from forestall.core.risk import SLI, Signal, carried_message, printable_labels, worst_signal
from forestall.core.sizing import ReplicaCapacity, bounded_replicas, replicas_for
from forestall.core.wording import is_or_are, plural


@dataclass(frozen=True, slots=True)
class Trigger:
    """How probable, how near and how lasting a breach must be before the policy acts."""

    probability: float
    within: float | None
    """The time ahead (s) that counts; None: the indicator's horizon."""
    sustained: float
    """How long (s) the risk must have lasted."""


@dataclass(frozen=True, slots=True)
class ScaleBounds:
    """The bounds of a scale-out."""

    max_replicas: int
    min_replicas: int
    max_step: int | None
    capacity: ReplicaCapacity
    indicator: str | None
    """The indicator that sizes the scale-out; None: the one that is the cause."""


@dataclass(frozen=True, slots=True)
class RungSpec:
    """One rung of the ladder."""

    action: str
    """Its name, such as Scale."""
    indicators: frozenset[str]
    """The indicators that this rung responds to; empty: all."""
    scale: ScaleBounds | None = None


@dataclass(frozen=True, slots=True)
class TargetScale:
    """The scale of the target workload, as last read; None where its kind has no such field."""

    replicas: int | None
    ready: int | None
    max_replicas: int | None = None
    """The maximum of its autoscaler; None where it has no autoscaler."""


@dataclass(frozen=True, slots=True)
class EpisodeState:
    """The state of the current episode."""

    risk_since: float | None
    """Since when (s) the trigger has been met without interruption."""
    now: float
    spent: frozenset[int]
    """The rungs that did not help in this episode, or do not suit it."""


@dataclass(frozen=True, slots=True)
class ReplicaDemand:
    """The replicas that the sizing indicator needs, by forecast and by the current value; None where unknown."""

    forecast: int | None
    observed: int | None
    signal: Signal | None


def triggering_signal(signals: Sequence[Signal], trigger: Trigger) -> Signal | None:
    """Return the signal that meets the trigger, the most probable breach of several; None where none does."""
    cause = worst_signal(signals, trigger.within)
    if cause is None or cause.probability(trigger.within) < trigger.probability:
        return None
    return cause


def replica_demand(
    bounds: ScaleBounds, cause_indicator: str, signals: Sequence[Signal], ready: int | None, within: float | None
) -> ReplicaDemand:
    """Return how many replicas `signals` need, by forecast and by the current value.

    Of several series of the sizing indicator the most demanding one counts.
    """
    name = bounds.indicator or cause_indicator
    candidates = [signal for signal in signals if signal.indicator == name and signal.is_valid and signal.above]
    best = ReplicaDemand(None, None, None)
    for signal in candidates:
        is_forecast = signal.no_forecast_reason is None
        load = signal.expected(within, bounds.capacity.confidence)
        forecast = replicas_for(load, signal.limit, ready or 0, bounds.capacity) if is_forecast else None
        observed = replicas_for(signal.value, signal.limit, ready or 0, bounds.capacity)
        if best.signal is None or (forecast or 0, observed or 0) > (best.forecast or 0, best.observed or 0):
            best = ReplicaDemand(forecast, observed, signal)
    return best


def plan(
    trigger: Trigger,
    rungs: Sequence[RungSpec],
    signals: Sequence[Signal],
    target: TargetScale,
    episode: EpisodeState,
    cause: Signal | None = None,
) -> Act | Hold:
    """Return the decision of a policy on `signals`: the first rung for the cause that is not spent, or why none.

    `cause` is one of the signals that meet the trigger; by default the worst. Guards are checked afterwards.
    """
    cause = cause or triggering_signal(signals, trigger)
    if cause is None:
        return below_trigger(trigger, signals)
    lasted = episode.now - (episode.now if episode.risk_since is None else episode.risk_since)
    if lasted < trigger.sustained:
        return not_sustained(cause, trigger, lasted)
    answering = matching_rungs(rungs, cause)
    if not answering:
        return Hold(
            "NoRungForCause", f"{_describe(cause, trigger)}, but no action of the policy answers this indicator"
        )
    open_rungs = [number for number in answering if number not in episode.spent]
    if not open_rungs:
        return Hold(
            "LadderExhausted",
            f"{_describe(cause, trigger)}; all actions of the policy were tried without success or rejected: "
            "investigate it yourself",
        )
    return _rung(open_rungs[0], rungs[open_rungs[0]], cause, trigger, signals, target)


def matching_rungs(rungs: Sequence[RungSpec], cause: Signal) -> list[int]:
    """Return the numbers of the rungs that respond to the cause."""
    return [number for number, rung in enumerate(rungs) if not rung.indicators or cause.indicator in rung.indicators]


def not_sustained(cause: Signal, trigger: Trigger, lasted: float) -> Hold:
    """Return the Hold for a risk that has lasted for `lasted` s only."""
    return Hold(
        "NotSustained",
        f"{_describe(cause, trigger)}, but only for {format_duration(lasted)}; the policy waits for "
        f"{format_duration(trigger.sustained)}",
    )


def _rung(
    number: int, rung: RungSpec, cause: Signal, trigger: Trigger, signals: Sequence[Signal], target: TargetScale
) -> Act | Hold:
    if rung.scale is not None:
        return _scale(number, rung.scale, rung.action, cause, trigger, signals, target)
    return _act(number, rung.action, cause, _describe(cause, trigger))


def _scale(
    number: int,
    bounds: ScaleBounds,
    action: str,
    cause: Signal,
    trigger: Trigger,
    signals: Sequence[Signal],
    target: TargetScale,
) -> Act | Hold:
    why = _describe(cause, trigger)
    current = target.replicas
    if current is None:
        return Hold("NotScalable", f"{why}, but the target has no replicas to scale")
    if current < bounds.min_replicas:
        return Hold(
            "BelowMinimum",
            f"{why}, but the target has {plural(current, 'replica')} and the policy leaves "
            f"fewer than {bounds.min_replicas} alone",
        )
    maximum, owner = bounds.max_replicas, "the policy's"
    if target.max_replicas is not None and target.max_replicas < maximum:
        maximum, owner = target.max_replicas, "its autoscaler's"
    if current >= maximum:
        return Hold(
            "AtMaximum",
            f"{why}, but the target has {plural(current, 'replica')} already and {owner} maximum is {maximum}",
        )
    demand = replica_demand(bounds, cause.indicator, signals, target.ready, trigger.within)
    if demand.forecast is None or demand.signal is None:
        return Hold("DesiredReplicasUnknown", f"{why}, but {_size_unknown(bounds, cause, signals)}")
    load = demand.signal.expected(trigger.within, bounds.capacity.confidence)
    if demand.forecast <= current:
        ready = target.ready
        not_ready = f", of which {ready} {is_or_are(ready)} ready" if ready is not None and ready < current else ""
        carry = "carries" if current == 1 else "carry"
        return Hold(
            "SufficientReplicas",
            f"{why}, but {plural(current, 'replica')}{not_ready} {carry} the forecast of {_number(load)}",
        )
    replicas = bounded_replicas(demand.forecast, current, maximum, bounds.max_step)
    capped = f" (the forecast asks for {demand.forecast})" if replicas < demand.forecast else ""
    return _act(
        number,
        action,
        cause,
        f"{why}: scale from {current} to {plural(replicas, 'replica')}{capped} for "
        f"{demand.signal.indicator} of up to {_number(load)}",
        replicas=replicas,
    )


def _size_unknown(bounds: ScaleBounds, cause: Signal, signals: Sequence[Signal]) -> str:
    """Return why the number of replicas is unknown, and what to do."""
    names = sorted({signal.indicator for signal in signals if signal.indicator != SLI})
    available = f"there {'are' if len(names) > 1 else 'is'} {', '.join(names)}" if names else "it has none"
    if bounds.indicator is not None and bounds.indicator not in names:
        return (
            f"the objective has no leading indicator {bounds.indicator}, which `capacity.indicator` names; {available}"
        )
    if bounds.indicator is None:
        message = f"{cause.indicator} does not determine how many replicas are needed"
        return f"{message}: name a leading indicator in `capacity.indicator`; {available}"
    return f"{bounds.indicator}, which `capacity.indicator` names, does not determine now how many replicas are needed"


def below_trigger(trigger: Trigger, signals: Sequence[Signal]) -> Hold:
    """Return the Hold for signals of which none meets the trigger."""
    best = worst_signal(signals, trigger.within)
    if best is None and any(signal.is_carried for signal in signals):
        return Hold("CapacitySufficient", carried_message(signals))
    if best is None:
        silent = sorted(
            {f"{signal.indicator}: {signal.no_forecast_reason}" for signal in signals if signal.no_forecast_reason}
        )
        return Hold("NoForecast", "nothing can be said yet" + (f" ({'; '.join(silent[:4])})" if silent else ""))
    probability, threshold = format_percent_pair(best.probability(trigger.within), trigger.probability)
    message = f"the breach probability is {probability} ({best.indicator}); the policy acts from {threshold}"
    return Hold("BelowThreshold", message)


def _act(number: int, action: str, cause: Signal, message: str, replicas: int | None = None) -> Act:
    # A limit that is already passed is no forecast.
    return Act(number, action, "LimitPassed" if cause.breached else "BreachForecast", message, replicas)


def _describe(cause: Signal, trigger: Trigger) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in printable_labels(cause.labels).items())
    name = f"{cause.indicator} ({labels})" if labels else cause.indicator
    value, limit = format_value_and_limit(cause.value, cause.limit)
    if cause.breached:
        return f"{name} is {value}, past its limit of {limit}"
    within = min(trigger.within or cause.horizon, cause.horizon)
    median = cause.likely_time_to_breach(within)[0]
    soon = f", likely in {format_duration(median)}" if math.isfinite(median) else ""
    return (
        f"{name} is {value} and passes {limit} within {format_duration(within)} with a "
        f"probability of {format_percent(cause.probability(trigger.within))}{soon}"
    )


def _number(value: float) -> str:
    return f"{value:.4g}"
