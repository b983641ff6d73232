"""Advice about objectives and policies that work but are probably not meant as written; shown in the condition Ready.

Advice that follows from the text of an object is computed once for each generation. Advice that follows from values is
computed from time to time from the series in memory; it needs no queries.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from forestall.api import RemediationPolicy, ServiceLevelObjective
from forestall.api.advice import about_objective, about_policy, rivals
from forestall.api.meta import Condition
from forestall.core.risk import SLI
from forestall.core.series import SeriesMatrix
from forestall.core.unit_mismatch import unit_mismatch
from forestall.core.wording import is_or_are, plural, shortened_list
from forestall.engine.objective_status import named, warned
from forestall.engine.readings import Reading
from forestall.engine.source_probes import SourceProbes
from forestall.errors import InvalidQuery
from forestall.isolation import ErrorIsolation
from forestall.ports import Metrics
from forestall.registry import Registry

_NAMESPACES: Final = 3
"""How many other namespaces a message names at the most."""
_AGAIN: Final = 1800.0
"""Seconds between two checks of an objective's values."""
_SENTENCES: Final = 16
"""The number of sentences after which no further advice is computed, because guessing which name was meant is slow."""
_LEAST: Final = 3600.0
"""How many seconds of history are needed to say that a limit is out of proportion."""


class Advisor:
    """Keeps the advice about each objective and policy."""

    def __init__(self, matrix: SeriesMatrix, isolation: ErrorIsolation, metrics: Metrics | None = None) -> None:
        self.probes = SourceProbes(metrics, isolation)
        """The probes of the metric sources that no objective uses."""
        self._matrix = matrix
        self._isolation = isolation
        self._texts: dict[str, tuple[object, tuple[str, ...]]] = {}  # by UID: of which generations, and what
        self._values: dict[str, tuple[object, float, tuple[str, ...]]] = {}  # by UID: of which, when, and what

    def about_objective(self, slo: ServiceLevelObjective, readings: Sequence[Reading], now: float) -> tuple[str, ...]:
        """Return what the author of an objective should know, in sentences without full stops."""
        if not readings:
            return ()  # its conditions say what must be mended first
        with self._isolation.attempt("advising", named(slo)):
            return (*self._of_text(slo), *self._of_values(slo, readings, now))
        return ()

    def about_policy(self, policy: RemediationPolicy, objectives: Sequence[ServiceLevelObjective]) -> tuple[str, ...]:
        """Return what the author of a policy should know about the objectives that it selects."""
        version = (policy.metadata.generation, tuple((slo.uid, slo.metadata.generation) for slo in objectives))
        cached = self._texts.get(policy.uid)
        if cached is None or cached[0] != version:
            messages: list[str] = []
            for slo in objectives:
                try:
                    messages += [str(finding) for finding in about_policy(policy, [slo])]
                except InvalidQuery:
                    continue  # said by the objective
                if len(messages) >= _SENTENCES:  # no more of them fit into a condition
                    break
            cached = self._texts[policy.uid] = (version, tuple(dict.fromkeys(messages)))
        return cached[1]

    def ready(
        self, policy: RemediationPolicy, objectives: Sequence[ServiceLevelObjective], registry: Registry
    ) -> Condition:
        """Return the condition Ready of a policy that selects these objectives of its namespace."""
        if not objectives:
            message = "no objective in this namespace has the labels of spec.objectives"
            elsewhere = self._elsewhere(policy, registry)
            hint = f"; there are such in {elsewhere}, but a policy acts in its own namespace only" if elsewhere else ""
            return Condition(type="Ready", status="False", reason="NoObjectivesSelected", message=message + hint)
        message = f"{plural(len(objectives), 'objective')} {is_or_are(len(objectives))} selected"
        other_policies = [
            other for other in registry.all(RemediationPolicy, policy.namespace) if other.uid != policy.uid
        ]
        shared = next(filter(None, (rivals(policy, other_policies, slo) for slo in objectives)), "")
        message = warned(f"{message}; {shared}" if shared else message, self.about_policy(policy, objectives))
        return Condition(type="Ready", status="True", reason="ObjectivesSelected", message=message)

    @staticmethod
    def _elsewhere(policy: RemediationPolicy, registry: Registry) -> str:
        """Return some of the namespaces in which objectives have the labels that the policy selects."""
        selector = policy.spec.objectives
        if not (selector.match_labels or selector.match_expressions):
            return ""  # it selects everything, and so means its own
        matching = (slo for slo in registry.all(ServiceLevelObjective) if selector.matches(slo.metadata.labels))
        names = sorted({slo.namespace for slo in matching})
        return shortened_list(names, _NAMESPACES)

    def retain(self, uids: frozenset[str]) -> None:
        """Forget all objects but these."""
        self._texts = {uid: entry for uid, entry in self._texts.items() if uid in uids}
        self._values = {uid: entry for uid, entry in self._values.items() if uid in uids}

    def _of_text(self, slo: ServiceLevelObjective) -> tuple[str, ...]:
        cached = self._texts.get(slo.uid)
        if cached is None or cached[0] != slo.metadata.generation:
            findings = about_objective(slo, self._matrix.step)
            cached = self._texts[slo.uid] = (slo.metadata.generation, tuple(map(str, findings)))
        return cached[1]

    def _of_values(self, slo: ServiceLevelObjective, readings: Sequence[Reading], now: float) -> tuple[str, ...]:
        cached = self._values.get(slo.uid)
        if cached is None or cached[0] != slo.metadata.generation or not 0 <= now - cached[1] < _AGAIN:
            leading = [reading for reading in readings if reading.watched.indicator != SLI]
            messages = tuple(message for reading in leading if (message := self._proportion(reading)) is not None)
            cached = self._values[slo.uid] = (slo.metadata.generation, now, messages)
        return cached[2]

    def _proportion(self, reading: Reading) -> str | None:
        """Return a sentence that the limit is out of proportion to past values; None where it is not, or history is too
        short.
        """
        watched, matrix = reading.watched, self._matrix
        rows = [matrix.rows[key] for labels in reading.values if (key := watched.key(labels)) in matrix]
        if not rows or matrix.head is None:
            return None
        values = matrix.window(matrix.head, matrix.capacity, np.array(rows))
        finite = values[np.isfinite(values)]
        if finite.size * matrix.step < _LEAST * len(rows):
            return None
        message = unit_mismatch(watched.limit, float(finite.min()), float(finite.max()), above=watched.above)
        return None if message is None else f"{watched.indicator}: {message}"
