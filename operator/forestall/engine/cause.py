"""Finds the series that cause a risk, and those that show the effect of a remediation.

An action on one pod or node is decided and judged by the series of that pod or node. The series of other pods and nodes
show neither that it is needed nor that it helped.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from forestall.actions import ACTIONS, traits_of
from forestall.api import Remediation
from forestall.api.remediation import MOST_PODS, Evidence
from forestall.api.times import seconds
from forestall.core.plan import Trigger
from forestall.core.risk import Signal, worst_signal

Who = tuple[str, tuple[tuple[str, str], ...] | None]
"""An indicator with the labels of one of its series, or without labels for the whole indicator."""
NODE: Final = "node"
"""The label that names a node."""
POD: Final = "pod"
"""The label that names a pod."""
_LONGEST: Final = 253
_SCRAPED: Final = 60.0
"""How long (s) a new pod may take to have series."""
_MOST: Final = 10
"""How many causes are considered at the most, the worst first."""


def signals_meeting(signals: Sequence[Signal], trigger: Trigger) -> list[Signal]:
    """Return the signals that meet the trigger."""
    return [signal for signal in signals if signal.probability(trigger.within) >= trigger.probability]


def causes(signals: Sequence[Signal], trigger: Trigger) -> list[Signal]:
    """Return the signals that meet the trigger, the worst first: one for each indicator, pod and node."""
    met = sorted(signals_meeting(signals, trigger), key=lambda s: (-s.probability(trigger.within), *_rank(s)))
    worst: dict[tuple[str, str | None, str | None], Signal] = {}
    for signal in met:
        worst.setdefault((signal.indicator, signal.label(POD), signal.label(NODE)), signal)
    return list(worst.values())[:_MOST]


def pods_of(action: str, cause: Signal, signals: Sequence[Signal]) -> list[str]:
    """Return the pods that had series when an action that replaces pods was decided, the worst first."""
    if not ACTIONS[action].traits.takes_serving_pods:
        return []
    same_indicator = [signal for signal in signals if signal.indicator == cause.indicator]
    same_indicator.sort(key=lambda s: (s.labels != cause.labels, -_known_probability(s.probability()), s.labels))
    names = dict.fromkeys(name for signal in same_indicator if (name := signal.label(POD)) and len(name) <= _LONGEST)
    return list(names)[:MOST_PODS]


def signals_of(remediation: Remediation, signals: Sequence[Signal]) -> list[Signal]:
    """Return the signals that show the effect of the remediation on its target.

    For an action on a node: the series of that node. For an eviction: before it those of the pod, afterwards those of
    newer pods, which includes a pod of the same name that a StatefulSet created again. For an action that replaces all
    pods: those of newer pods, once there are any. For all other actions: every series of the indicator.
    """
    intent, started = remediation.spec.intent, any(step.done for step in remediation.status.steps)
    same_indicator = [signal for signal in signals if signal.indicator == intent.evidence.indicator]
    by = traits_of(intent.action).verification
    if by == "node":
        return [signal for signal in same_indicator if signal.label(NODE) == intent.target.name]
    new = list(_newcomers(remediation, same_indicator)) if started else []
    if by == "pod":
        return new or [signal for signal in same_indicator if signal.label(POD) == intent.target.name]
    return (new if by == "new pods" else []) or same_indicator


def is_signal_lost(remediation: Remediation, signals: Sequence[Signal]) -> bool:
    """Say whether the risk ended with the evicted pod: other pods have fresh series, and neither it nor a newer pod
    that had time to be scraped has any.
    """
    intent, completed = remediation.spec.intent, seconds(remediation.status.completed)
    of_pod = traits_of(intent.action).verification == "pod"
    if not of_pod or completed is None or signals_of(remediation, signals):
        return False
    same_indicator = [signal for signal in signals if signal.indicator == intent.evidence.indicator]
    oldest_sample = min((signal.sampled_at for signal in same_indicator if signal.fresh), default=-math.inf)
    return all(signal.fresh for signal in same_indicator) and oldest_sample > completed + min(
        _SCRAPED, intent.verify_within.seconds
    )


def concerns(remediation: Remediation, cause: Signal, workload_uid: str) -> bool:
    """Say whether the remediation was tried for this cause: on the same object, or on its replacement.

    `workload_uid` is the UID of the objective's target as it is now.
    """
    intent, traits = remediation.spec.intent, traits_of(remediation.spec.intent.action)
    if traits.spent_for == "objective":
        return True
    if traits.scope == "node":
        return cause.label(NODE) == intent.target.name
    if traits.scope == "pod":
        pods = intent.evidence.pods
        return cause.label(POD) == intent.target.name or cause.label(POD) not in pods
    return intent.target.uid == workload_uid


def replace_same_pods(remediation: Remediation, action: str, objectives: Collection[str]) -> bool:
    """Say whether the remediation and `action`, one of them an eviction, replace pods of one workload.

    `objectives` are the UIDs of those that are about the workload. Its pods are targets of their own.
    """
    intent = remediation.spec.intent
    traits_of_both = (ACTIONS[action].traits, traits_of(intent.action))
    of_pod = any(traits.scope == "pod" for traits in traits_of_both)
    return of_pod and all(traits.takes_serving_pods for traits in traits_of_both) and intent.objective.uid in objectives


def worst_fresh(signals: Sequence[Signal]) -> Signal | None:
    """Return the worst of the signals with fresh data."""
    fresh = [signal for signal in signals if signal.fresh]
    return worst_signal(fresh) or next(iter(fresh), None)


def describe_cause(evidence: Evidence) -> str:
    """Return the description of the series that a decision is based on."""
    label_text = ", ".join(f"{name}={value}" for name, value in sorted(evidence.labels.items()))
    return f"{evidence.indicator} ({label_text})" if label_text else evidence.indicator


class TriggerHistory:
    """Remembers since when (s) each series, and any series of each indicator, has met a policy's trigger without
    interruption.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], dict[Who, float]] = {}

    def note(self, objective: str, policy: str, met: Iterable[Signal], now: float) -> None:
        """Note which signals meet the trigger of a policy for an objective, given by their UIDs."""
        before = self._since.get((objective, policy), {})
        keys = {key for signal in met for key in ((signal.indicator, signal.labels), (signal.indicator, None))}
        self._since[objective, policy] = {key: before.get(key, now) for key in keys}

    def since(self, objective: str, policy: str, cause: Signal, *, alone: bool) -> float | None:
        """Return since when (s) the cause's own series (with `alone`), or any series of its indicator, has met the
        trigger.
        """
        key = (cause.indicator, cause.labels if alone else None)
        return self._since.get((objective, policy), {}).get(key)

    def retain(self, objectives: Collection[str]) -> None:
        """Forget all objectives but those with these UIDs."""
        self._since = {key: since for key, since in self._since.items() if key[0] in objectives}


def _newcomers(remediation: Remediation, signals: Sequence[Signal]) -> Iterator[Signal]:
    """Return the series of pods that did not exist at the decision; empty where the pods of that time are not known."""
    intent = remediation.spec.intent
    before = {*intent.evidence.pods, intent.target.name}
    if 0 < len(intent.evidence.pods) < MOST_PODS:
        yield from (signal for signal in signals if (name := signal.label(POD)) is not None and name not in before)


def _rank(signal: Signal) -> tuple[float, str, tuple[tuple[str, str], ...]]:
    return signal.time_to_breach[0], signal.indicator, signal.labels


def _known_probability(probability: float) -> float:
    return -1.0 if math.isnan(probability) else probability
