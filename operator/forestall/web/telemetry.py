"""The operator's own metrics, as methods that take plain values.

Names and units follow the Prometheus conventions. What an object is called becomes a label only in gauges that are set
anew each cycle, so that deleted objects vanish, and only for so many objects at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    exposition,
)
from prometheus_client.core import GaugeMetricFamily, Metric

STATES = ("Healthy", "Exhausted", "AtRisk", "Breached", "Unknown")
MAX_SERIES = 5000
"""How many breach probabilities are told at once: the highest ones."""
MAX_WORDS = 100
"""How many different reasons a counter tells apart; further ones are counted as `Other`."""


@dataclass(frozen=True, slots=True)
class AtRisk:
    """The breach probability of one indicator of one objective."""

    namespace: str
    objective: str
    indicator: str
    probability: float


class _Probabilities:
    """A collector of the latest cycle's breach probabilities; earlier ones are forgotten."""

    def __init__(self) -> None:
        self.rows: tuple[AtRisk, ...] = ()

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "forestall_breach_probability",
            "Probability that the indicator breaches within its horizon; the highest ones where there are very many.",
            labels=("namespace", "objective", "indicator"),
        )
        for row in self.rows:
            family.add_metric((row.namespace, row.objective, row.indicator), row.probability)
        yield family


class _Words:
    """Lets through so many different words, then says `Other`."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def __call__(self, word: str) -> str:
        if word not in self._values and len(self._values) >= MAX_WORDS:
            return "Other"
        self._values.add(word)
        return word


class Telemetry:
    """What the engine and the adapters tell about their work."""

    def __init__(self, version: str, is_leader: Callable[[], bool] = lambda: False) -> None:
        own = CollectorRegistry()
        self._registry = own
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=own)
        Gauge("forestall_build_info", "The operator's version.", ["version"], registry=own).labels(version).set(1)
        Gauge("forestall_leader", "Whether this process leads (1) or stands by (0).", registry=own).set_function(
            lambda: float(is_leader())
        )
        self._cycle = Histogram(
            "forestall_cycle_seconds",
            "How long one cycle over all objectives took.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
            registry=own,
        )
        self._given_up = Counter(
            "forestall_cycles_given_up_total",
            "Cycles that took so long that they were given up; each is counted as a failure, too.",
            registry=own,
        )
        self._last_complete_cycle = Gauge(
            "forestall_last_cycle_timestamp_seconds", "When a cycle last came to its end (Unix time).", registry=own
        )
        self._shares = Gauge(
            "forestall_share_exhausted",
            "Indicators and decisions that the last cycle left out because the namespace used up its share.",
            ["namespace"],
            registry=own,
        )
        self._failed_cycles = Counter("forestall_cycle_failures_total", "Cycles that ended in an error.", registry=own)
        self._internal_errors = Counter(
            "forestall_internal_errors_total",
            "Unexpected errors that were kept to the object that they are about, by what was being done.",
            ["doing"],
            registry=own,
        )
        self._objectives = Gauge("forestall_objectives", "Objectives by state.", ["state"], registry=own)
        self._invalid = Gauge(
            "forestall_invalid_objects", "Objects that do not fit their schema, by kind.", ["kind"], registry=own
        )
        self._decisions = Counter(
            "forestall_decisions_total",
            "Decisions of policies about objectives.",
            ["verdict", "reason"],
            registry=own,
        )
        self._remediations = Counter(
            "forestall_remediations_total", "Remediations that ended.", ["action", "outcome"], registry=own
        )
        self._clocks = Gauge(
            "forestall_clock_offset_seconds",
            "By how much a server's clock is ahead of this process's; 0 where they may agree.",
            ["server"],
            registry=own,
        )
        self._requests = Counter(
            "forestall_source_requests_total", "Requests to metric sources.", ["source"], registry=own
        )
        self._failures = Counter(
            "forestall_source_failures_total",
            "Requests to metric sources that failed.",
            ["source", "reason"],
            registry=own,
        )
        self._up = Gauge(
            "forestall_source_up",
            "Whether the metric source answered anything in the last cycle (1) or not (0).",
            ["source"],
            registry=own,
        )
        self._late = Counter(
            "forestall_source_late_total",
            "Cycles in which a query to the metric source had no answer in time; the cycle went on without it.",
            ["source"],
            registry=own,
        )
        self._probabilities = _Probabilities()
        own.register(self._probabilities)
        self._decision_reasons = _Words()
        self._failure_reasons = _Words()
        self.objectives({}, ())

    def cycle(self, seconds: float) -> None:
        """Note that a cycle came to its end after `seconds`."""
        self._cycle.observe(seconds)
        self._last_complete_cycle.set_to_current_time()

    def cycle_failed(self, *, given_up: bool = False) -> None:
        """Note that a cycle ended in an error, or took so long that it was given up."""
        self._failed_cycles.inc()
        if given_up:
            self._given_up.inc()

    def shares(self, over: Mapping[str, int]) -> None:
        """Tell how much was left out of each namespace's that used up its share in this cycle."""
        self._shares.clear()
        for namespace, count in sorted(over.items(), key=lambda item: -item[1])[:MAX_WORDS]:
            self._shares.labels(namespace).set(count)

    def internal_error(self, doing: str, count: int = 1) -> None:
        """Count unexpected errors that did not go beyond the object that they are about."""
        self._internal_errors.labels(doing).inc(count)

    def objectives(self, states: Mapping[str, int], risks: Iterable[AtRisk]) -> None:
        """Tell how many objectives are in which state now, and the breach probabilities of all their indicators."""
        for state in STATES:
            self._objectives.labels(state).set(states.get(state, 0))
        self._probabilities.rows = tuple(sorted(risks, key=lambda row: -row.probability)[:MAX_SERIES])

    def invalid(self, kinds: Mapping[str, int]) -> None:
        """Tell how many objects of which kind do not fit their schema now."""
        self._invalid.clear()
        for kind, count in kinds.items():
            self._invalid.labels(kind).set(count)

    def decision(self, verdict: str, reason: str, count: int = 1) -> None:
        """Count decisions: Act, WouldAct or Hold, and their reason."""
        self._decisions.labels(verdict, self._decision_reasons(reason)).inc(count)

    def remediation(self, action: str, outcome: str) -> None:
        """Count a remediation that ended, by its last phase."""
        self._remediations.labels(action, outcome).inc()

    def clocks(self, offsets: Mapping[str, float]) -> None:
        """Tell by how many seconds each server's clock is ahead of this process's now."""
        self._clocks.clear()
        for server, seconds in offsets.items():
            self._clocks.labels(server).set(seconds)

    def source_request(self, source: str) -> None:
        """Count a request to a metric source."""
        self._requests.labels(source).inc()

    def source_failure(self, source: str, reason: str) -> None:
        """Count a request to a metric source that failed, and why."""
        self._failures.labels(source, self._failure_reasons(reason)).inc()

    def sources(self, up: Mapping[str, bool], late: Iterable[str]) -> None:
        """Tell which metric sources answered in this cycle, and count those that were late."""
        self._up.clear()
        for source, answers in up.items():
            self._up.labels(source).set(answers)
        for source in late:
            self._late.labels(source).inc()

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in Prometheus' text format, and its content type."""
        return exposition.generate_latest(self._registry), exposition.CONTENT_TYPE_PLAIN_0_0_4
