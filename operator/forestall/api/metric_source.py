"""MetricSource: a Prometheus-compatible endpoint that admins offer; tenants name it, and never a URL."""

from typing import Annotated, ClassVar

from pydantic import Field

from forestall.api.endpoint import HEADER_RULES, Auth, Headers, Tls
from forestall.api.meta import (
    Between,
    Conditions,
    Duration,
    LabelName,
    LabelSelector,
    Metadata,
    Model,
    Resource,
    rules,
    worded,
)


class NamespaceShare(Model):
    """How much of the source one namespace may use in one cycle, so that the others are served."""

    queries: Annotated[int, Field(ge=1, le=1000000)] = 2000
    """How many different queries its objectives may ask."""
    series: Annotated[int, Field(ge=1, le=1000000)] = 5000
    """How many series its queries may return together: each is kept in memory with its past. Those of the queries that
    return the fewest count first."""
    points: Annotated[int, Field(ge=10000, le=1000000000)] = 5000000
    """How many points of the past of new queries may be fetched for it; the rest waits for the next cycle."""
    size: Annotated[
        str, worded(r"^[1-9][0-9]{0,5}[KMG]i$", "not a size: write it like 512Ki, 32Mi or 1Gi", max_length=8)
    ] = "32Mi"
    """How large all answers to its queries may be together."""
    time: Annotated[Duration, Between("100ms", "10m")] = Duration("10s")
    """How much of the source's time its queries may take, added up over its requests, from 100ms to 10m."""


class MetricSourceSpec(Model):
    """Where metrics are asked for, and by whom."""

    model_config = rules(*HEADER_RULES)

    url: Annotated[
        str,
        worded(
            r"^https?://[^\s@?#]+$",
            "not a base URL: write http:// or https://, host and path, without credentials, query or fragment",
            max_length=2048,
        ),
    ]
    """The base URL of a Prometheus-compatible HTTP API, such as `http://prometheus.monitoring:9090`, without
    credentials in it."""
    auth: Auth = Auth()
    """The credentials."""
    tls: Tls = Tls()
    """How the endpoint's certificate is checked."""
    headers: Headers = {}
    """Headers of each request, such as `X-Scope-OrgID` for a tenant."""
    timeout: Annotated[Duration, Between("100ms", "1m")] = Duration("10s")
    """How long a request may take, from 100ms to 1m."""
    stale_after: Annotated[Duration, Between("1s", "1d")] = Duration("2m")
    """Data older than this leads to no action; a few scrape intervals. From 1s to 1d. Beyond 5m, queries must look back
    themselves, as in `last_over_time(x[10m])`: Prometheus sees no older samples otherwise."""
    max_series: Annotated[int, Field(ge=1, le=10000)] = 500
    """A query that returns more series than this is refused."""
    per_namespace: NamespaceShare = NamespaceShare()
    """How much of the source one namespace may use in one cycle. What is over is not asked, and the namespace's
    objectives say so."""
    namespaces: LabelSelector = LabelSelector()
    """Which namespaces may use the source, by label; empty: all."""
    enforce_label: LabelName | None = None
    """A label that every selector of a query gets, with the objective's namespace as value (usually `namespace`), so
    that no team reads another team's series. Not set: queries are used as they are."""

    trusted_labels: Annotated[list[LabelName], Field(max_length=16)] = []
    """The labels whose values the source vouches for, because teams can't write them: `node` lets an objective's series
    name any node that a policy may cordon or drain. Not listed, a node counts only where a pod of the objective's own
    target runs on it."""


class MetricSourceStatus(Model):
    """Whether the source answers; written by the operator alone."""

    observed_generation: int | None = None
    """The generation that the status speaks of."""
    objectives: int | None = None
    """How many objectives use it."""
    conditions: Conditions = []
    """Ready: the source answered the last cycle."""


class MetricSource(Resource):
    """A Prometheus-compatible endpoint with its credentials, and who may use it."""

    KIND: ClassVar[str] = "MetricSource"
    PLURAL: ClassVar[str] = "metricsources"
    SINGULAR: ClassVar[str] = "metricsource"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("metsrc",)
    NAMESPACED: ClassVar[bool] = False
    COLUMNS: ClassVar[tuple[dict[str, object], ...]] = (
        {"name": "URL", "type": "string", "jsonPath": ".spec.url"},
        {"name": "Objectives", "type": "integer", "jsonPath": ".status.objectives"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason'},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: Metadata
    spec: MetricSourceSpec
    """Where metrics are asked for, and by whom."""
    status: MetricSourceStatus = MetricSourceStatus()
    """Whether the source answers."""
