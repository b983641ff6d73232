"""ServiceLevelObjective: what an app team promises, and what tells early that the promise is in danger.

Field names follow OpenSLO v1 (objectives, ratio metrics, time windows) and the autoscaling API (target reference).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from forestall.api.meta import (
    VALIDATIONS,
    ApiVersion,
    Between,
    Conditions,
    DnsLabel,
    Duration,
    Measure,
    Metadata,
    Model,
    ObjectName,
    Resource,
    SeriesLabel,
    rule,
    rules,
    worded,
)

Selector = Annotated[
    str,
    worded(
        r"^\s*([a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{[\s\S]*\})?|\{[\s\S]*\})\s*$",
        'not a series selector: write the series alone, such as http_requests_total{app="shop"}, without rate() or '
        "another function, range or operator; what is needed of these is added",
        max_length=2048,
    ),
]
_PERCENT = rule("self > 1.0 && self < 100.0", "the objective is in percent: write 99.9, not 0.999 or 100")
Query = Annotated[str, Field(min_length=1, max_length=4096)]


class TargetRef(Model):
    """The workload that the objective is about, in the objective's own namespace."""

    api_version: ApiVersion = "apps/v1"
    """The workload's API version."""
    kind: Annotated[str, Field(min_length=1, max_length=63)] = "Deployment"
    """The workload's kind: Deployment, StatefulSet, DaemonSet, or any kind with a /scale subresource."""
    name: ObjectName
    """The workload's name."""


class RatioIndicator(Model):
    """Good (or bad) events over all events, each counted by a Prometheus counter."""

    model_config = rules(rule("has(self.good) != has(self.bad)", "give exactly one of `good` and `bad`"))

    good: Selector | None = None
    """The counter of good events, as a PromQL series selector such as `http_requests_total{app="shop",code!~"5.."}`.
    The operator takes the rate and the sum itself."""
    bad: Selector | None = None
    """The counter of bad events, as a PromQL series selector."""
    total: Selector
    """The counter of all events, as a PromQL series selector."""


class LatencyIndicator(Model):
    """The share of requests answered within a threshold, from a Prometheus histogram."""

    histogram: Selector
    """The histogram as a PromQL series selector, such as `http_request_duration_seconds{app="shop"}`: without the
    suffix `_bucket`, which the operator adds for a classic histogram."""
    threshold: Annotated[Duration, Between("1ms", "1d")]
    """A request is good when it took no longer than this, from 1ms to 1d. For a classic histogram, choose a bucket's
    bound."""
    type: Literal["Classic", "Native"] = "Classic"
    """Whether the histogram is classic (buckets as series) or native."""
    unit: Literal["Seconds", "Milliseconds"] = "Seconds"
    """The unit of the histogram's observations."""


class ThresholdIndicator(Model):
    """A query whose value is good on one side of a threshold; the SLI is the share of time that it was good."""

    query: Query
    """A PromQL expression that returns one series."""
    operator: Literal["lt", "lte", "gt", "gte"]
    """The comparison with `value` under which the query's value is good: `lt`, `lte`, `gt` or `gte`."""
    value: Measure
    """The threshold that the query's value is compared with."""


class RawIndicator(Model):
    """An error ratio that is computed elsewhere, for example by a recording rule."""

    error_ratio: Query
    """A PromQL expression for the share of bad events, from 0 to 1. `$window` stands for the window, such as `5m`."""


class Indicator(Model):
    """The service level indicator (SLI): exactly one of the four."""

    model_config = rules(
        rule(
            "[has(self.ratio), has(self.latency), has(self.threshold), has(self.raw)].filter(x, x).size() == 1",
            "give exactly one indicator: ratio, latency, threshold or raw (one of another name is not known)",
        )
    )

    ratio: RatioIndicator | None = None
    """Good or bad events over all events."""
    latency: LatencyIndicator | None = None
    """Requests answered within a threshold, from a histogram."""
    threshold: ThresholdIndicator | None = None
    """The share of time that a query's value is on the good side of a threshold."""
    raw: RawIndicator | None = None
    """An error ratio that a recording rule computes."""


class LeadingIndicator(Model):
    """A measurement that moves before the SLI does, and the limit past which it hurts the SLI."""

    name: DnsLabel
    """The indicator's name, unique within the objective; policies and reasons refer to it."""
    query: Query
    """A PromQL expression that returns one series, or one per pod or node if `per` names that label."""
    limit: Measure
    """The value past which the indicator hurts the SLI."""
    direction: Literal["Above", "Below"] = "Above"
    """The side of the limit that hurts the SLI."""
    horizon: Annotated[Duration, Between("10s", "7d")] = Duration("10m")
    """The time ahead for which the breach is forecast, from 10s to 7d. Choose it longer than an action takes to have an
    effect."""
    per: SeriesLabel | None = None
    """The label that tells the query's series apart, such as `pod` or `node`. Actions use it to select what they act
    on."""
    trend: Literal["Load", "Saturation"] = "Load"
    """Load rises and falls (traffic, latency, queues). Saturation fills up until something resets it (memory, disk)."""


class ServiceLevelObjectiveSpec(Model):
    """The objective and its indicators."""

    description: Annotated[str, Field(max_length=1024)] = ""
    """A description for people: what is promised to whom."""
    target: TargetRef
    """The workload that actions change."""
    source: DnsLabel = "default"
    """The MetricSource that serves the queries."""
    indicator: Indicator
    """The service level indicator."""
    objective: Annotated[float, Field(gt=1, lt=100, json_schema_extra={VALIDATIONS: [_PERCENT]})]
    """The share of good events that is promised, in percent, above 1 and below 100: 99.9 leaves an error budget of
    0.1 %."""
    window: Annotated[Duration, Between("1h", "90d")] = Duration("30d")
    """The rolling window of the objective, from 1h to 90d."""
    leading_indicators: Annotated[
        list[LeadingIndicator],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = []
    """Measurements that move before the SLI does."""
    depends_on: Annotated[
        list[ObjectName],
        Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = []
    """Objectives of the same namespace that this one depends on. While one of them is at risk, the operator takes no
    action for this one."""


class RiskCause(Model):
    """What endangers the objective."""

    indicator: str
    """The leading indicator, or `sli` where the burn rate itself is forecast to breach."""
    labels: dict[str, str] = {}
    """The labels of the series, such as its pod or node."""
    value: str = ""
    """The newest value of the series."""
    limit: str = ""
    """The limit that the value is forecast to pass."""
    probability: str = ""
    """The probability that the value passes the limit within the horizon."""
    time_to_breach: str = ""
    """The median time until the value passes the limit, where that is more likely than not within the horizon."""
    time_to_breach_bounds: str = ""
    """The bounds of the time until the value passes the limit; `later` is beyond the horizon."""
    forecast: str = ""
    """The upper (or lower) bound of the forecast at the horizon."""
    horizon: str = ""
    """The time ahead for which the value is forecast."""


class IndicatorStatus(RiskCause):
    """The state of one indicator by its worst series, including indicators without risk or without data."""

    query: str
    """The complete query that the operator sends, with its window and the enforced label."""
    series: int = 0
    """The number of series with a usable value."""
    fresh: bool
    """Whether the indicator's data is present and fresh."""
    reason: str = ""
    """A programmatic identifier for the reason why the indicator cannot be used or forecast, in full or in part; empty
    if nothing is wrong."""
    message: str = ""
    """A human-readable message with details about the reason."""


class Decision(Model):
    """The decision of one policy about the objective, with its reason."""

    policy: str
    """The name of the RemediationPolicy."""
    verdict: Literal["Act", "WouldAct", "Hold"]
    """Act: the policy acts. WouldAct: it would act, but its mode is Observe. Hold: it does not act."""
    reason: str
    """A programmatic identifier for the reason of the decision."""
    message: str
    """A human-readable message with details about the reason."""
    action: str = ""
    """The action that was decided; empty if none was."""
    remediation: str = ""
    """The name of the Remediation; empty if none was created."""


class Episode(Model):
    """A period at risk. A Remediation belongs to an episode, so that none is executed twice."""

    number: int = 0
    """The number of the episode, counted per objective."""
    since: str = ""
    """The time at which the episode began; empty when the objective is not at risk."""
    calm_since: str = ""
    """The time since which the risk has passed, while the episode has not ended yet."""
    decided: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=100)] = []
    """The last Remediations that were decided in this episode. None is decided again in it, even if it was deleted."""


MOST_RECORDS = 24
"""How many Records an objective's status has at the most."""


class Record(Model):
    """A backup of a Remediation that something depends on, in case it is deleted."""

    name: Annotated[str, Field(max_length=253)]
    """The name of the Remediation."""
    uid: Annotated[str, Field(max_length=64)]
    """The original UID of the Remediation."""
    phase: Annotated[str, Field(max_length=32)]
    """The phase of the Remediation."""
    change: Annotated[str, Field(max_length=512)] = ""
    """A description of the last change that the Remediation made."""
    body: Annotated[str, Field(max_length=32768)]
    """The intent, feedback and status of the Remediation as JSON, from which it is restored."""


class ServiceLevelObjectiveStatus(Model):
    """The observed state and the decisions; written only by the operator."""

    observed_generation: int | None = None
    """The generation that the status refers to."""
    state: Literal["Healthy", "Exhausted", "AtRisk", "Breached", "Unknown"] | None = None
    """Healthy; Exhausted: no breach is forecast, but the error budget is gone; AtRisk: a breach is forecast; Breached:
    the budget burns fast now; Unknown for lack of data."""
    sli: str | None = None
    """The SLI over the objective's whole window, in percent."""
    budget_remaining: str | None = None
    """The share of the whole window's error budget that is left, in percent; negative when overdrawn."""
    burn_rate: str | None = None
    """The speed at which the budget burns, over the last `burnRateWindow`: 1 uses it up just at the end of the whole
    window."""
    burn_rate_window: str | None = None
    """The window of `burnRate`: a 720th of the objective's window (1h for 30d), and at least four of the operator's
    intervals."""
    breach_probability: str | None = None
    """The highest probability of passing a limit within its horizon, over the SLI's fast burn and all leading
    indicators, in percent; 100 % where a limit is passed now."""
    time_to_breach: str | None = None
    """The median time until that limit is passed, where that is more likely than not within the horizon; 0s where it
    is passed now."""
    cause: RiskCause | None = None
    """The highest risk of the objective."""
    indicators: list[IndicatorStatus] | None = None
    """The state of each indicator: `sli`, which is the objective's own, and the leading indicators."""
    decisions: list[Decision] | None = None
    """The last decision of each policy."""
    last_evaluated: str | None = None
    """The time at which the operator last evaluated the objective. It is written with other changes, and on its own
    only when it is 10 minutes old. The Lease that `evaluatedBy` names has the time to the second."""
    evaluated_by: str | None = None
    """The Lease of the operator that evaluates the objective, as NAMESPACE/NAME."""
    episode: Episode | None = None
    """The current or last episode at risk."""
    records: Annotated[list[Record], Field(max_length=MOST_RECORDS)] = []
    """The Remediations in effect, and those that a cooldown, a lock or the ladder of this episode depends on. Written
    before any change. The operator restores a deleted Remediation from it."""
    conditions: Conditions = []
    """The latest observations of the object's state. Known types: Ready, DataFresh,
    BudgetKnown, PredictionReady, AtRisk."""


class ServiceLevelObjective(Resource):
    """A service level objective with leading indicators: forestall forecasts its breach."""

    model_config = rules(
        rule(
            "!has(self.spec.dependsOn) || !(self.metadata.name in self.spec.dependsOn)",
            "an objective cannot depend on itself",
            fieldPath=".spec.dependsOn",
        )
    )

    KIND: ClassVar[str] = "ServiceLevelObjective"
    PLURAL: ClassVar[str] = "servicelevelobjectives"
    SINGULAR: ClassVar[str] = "servicelevelobjective"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("fslo",)
    NAMESPACED: ClassVar[bool] = True
    COLUMNS: ClassVar[tuple[dict[str, object], ...]] = (
        {"name": "SLI", "type": "string", "jsonPath": ".status.sli"},
        {"name": "Objective", "type": "number", "jsonPath": ".spec.objective"},
        {"name": "Budget left", "type": "string", "jsonPath": ".status.budgetRemaining"},
        {"name": "Breach", "type": "string", "jsonPath": ".status.breachProbability"},
        {"name": "In", "type": "string", "jsonPath": ".status.timeToBreach"},
        {"name": "State", "type": "string", "jsonPath": ".status.state"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "Evaluated", "type": "date", "jsonPath": ".status.lastEvaluated"},
        {"name": "Cause", "type": "string", "jsonPath": ".status.cause.indicator", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: Metadata
    spec: ServiceLevelObjectiveSpec
    """The objective and its indicators."""
    status: ServiceLevelObjectiveStatus = ServiceLevelObjectiveStatus()
    """The observed state of the ServiceLevelObjective. Read-only."""
