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
    """The share of the source that one namespace may use per cycle."""

    queries: Annotated[int, Field(ge=1, le=1000000)] = 2000
    """The number of distinct queries of its objectives."""
    series: Annotated[int, Field(ge=1, le=1000000)] = 5000
    """The number of series that its queries return in total; each stays in memory with its history. Queries that return
    the fewest count first."""
    points: Annotated[int, Field(ge=10000, le=1000000000)] = 5000000
    """The number of past samples that are fetched for new queries; the rest waits for the next cycle."""
    size: Annotated[
        str, worded(r"^[1-9][0-9]{0,5}[KMG]i$", "not a size: write it like 512Ki, 32Mi or 1Gi", max_length=8)
    ] = "32Mi"
    """The size of all answers to its queries."""
    time: Annotated[Duration, Between("100ms", "10m")] = Duration("10s")
    """The query time of the source, summed over its requests, from 100ms to 10m."""


class MetricSourceSpec(Model):
    """The endpoint of the source, and who may use it."""

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
    """The credentials for the endpoint."""
    tls: Tls = Tls()
    """Settings for the verification of the endpoint's certificate."""
    headers: Headers = {}
    """Headers of every request, such as `X-Scope-OrgID` for a tenant."""
    timeout: Annotated[Duration, Between("100ms", "1m")] = Duration("10s")
    """The timeout of a request, from 100ms to 1m."""
    stale_after: Annotated[Duration, Between("1s", "1d")] = Duration("2m")
    """The age beyond which data leads to no action, such as a few scrape intervals, from 1s to 1d. Beyond 5m, write
    queries that look back themselves, such as `last_over_time(x[10m])`: Prometheus does not return older samples
    otherwise."""
    max_series: Annotated[int, Field(ge=1, le=10000)] = 500
    """The maximum number of series that a query may return."""
    per_namespace: NamespaceShare = NamespaceShare()
    """The share of the source that one namespace may use per cycle. The operator leaves out the excess and reports it
    in the objectives."""
    namespaces: LabelSelector = LabelSelector()
    """The namespaces that may use the source, by label. Empty: all."""
    enforce_label: LabelName | None = None
    """The label (usually `namespace`) that the operator adds to every selector of a query, with the objective's
    namespace as its value, so that no team reads another team's series. Default: queries are not changed."""

    trusted_labels: Annotated[list[LabelName], Field(max_length=16)] = []
    """The labels that teams cannot write, so that their values are trusted: with `node`, a series may name any node
    that a policy may cordon or drain. Otherwise a node counts only if a pod of the objective's target runs on it."""


class MetricSourceStatus(Model):
    """The observed state of the source; written only by the operator."""

    observed_generation: int | None = None
    """The generation that the status refers to."""
    objectives: int | None = None
    """The number of objectives that use the source."""
    conditions: Conditions = []
    """The latest observations of the object's state. Known types: Ready. Ready is True if the
    source answered in the last cycle."""


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
    """The endpoint of the source, and who may use it."""
    status: MetricSourceStatus = MetricSourceStatus()
    """The observed state of the MetricSource. Read-only."""
