"""MetricSource: a Prometheus-compatible endpoint that admins offer; tenants name it, and never a URL."""

from typing import Annotated, ClassVar

from pydantic import Field

from forestall.api.meta import (
    Between,
    Conditions,
    Duration,
    LabelName,
    LabelSelector,
    Metadata,
    Model,
    Resource,
    rule,
    rules,
    worded,
)


class SecretKeyRef(Model):
    """A key of a Secret in the operator's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The Secret's name."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """The key in the Secret."""


class BasicAuth(Model):
    """HTTP basic authentication."""

    username: SecretKeyRef
    """Where the user name is."""
    password: SecretKeyRef
    """Where the password is."""


class Auth(Model):
    """The credentials: at most one of the fields."""

    model_config = rules(
        rule("!(has(self.bearerToken) && has(self.basic))", "give at most one of `bearerToken` and `basic`")
    )

    bearer_token: SecretKeyRef | None = None
    """A token for the Authorization header."""
    basic: BasicAuth | None = None
    """A user name and a password."""


class Tls(Model):
    """How the endpoint's certificate is checked."""

    ca: SecretKeyRef | None = None
    """The certificate authority in PEM; the system's when not set."""
    insecure_skip_verify: bool = False
    """Do not check the certificate. Only for trying things out."""


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

    model_config = rules(
        rule(
            "!has(self.headers) || self.headers.all(name, name.matches('^[A-Za-z0-9-]{1,128}$') && "
            "name.lowerAscii() != 'authorization')",
            "a header's name has letters, digits and dashes; credentials belong in `auth`, which reads a Secret",
            fieldPath=".headers",
        ),
        rule(
            "!has(self.headers) || self.headers.all(name, self.headers[name].matches('^[ -~]*$'))",
            "a header's value has printable ASCII characters only",
            fieldPath=".headers",
        ),
    )

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
    headers: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=8)] = {}
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
