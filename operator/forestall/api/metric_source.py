"""MetricSource: a Prometheus-compatible endpoint that admins offer; tenants name it, and never a URL."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from forestall.api.meta import (
    DNS_LABEL,
    LABEL_NAME,
    Condition,
    Duration,
    LabelSelector,
    Metadata,
    Model,
    Resource,
    rule,
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

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule("!(has(self.bearerToken) && has(self.basic))", "give at most one of `bearerToken` and `basic`")
            ]
        }
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


class MetricSourceSpec(Model):
    """Where metrics are asked for, and by whom."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s@?#]+$", max_length=2048)]
    """The base URL of a Prometheus-compatible HTTP API, such as `http://prometheus.monitoring:9090`; no credentials in it."""
    auth: Auth = Auth()
    """The credentials."""
    tls: Tls = Tls()
    """How the endpoint's certificate is checked."""
    headers: Annotated[dict[str, str], Field(max_length=8)] = {}
    """Headers of each request, such as `X-Scope-OrgID` for a tenant."""
    timeout: Annotated[Duration, Field()] = Duration("10s")
    """How long a request may take."""
    stale_after: Duration = Duration("2m")
    """Data older than this leads to no action; a few scrape intervals."""
    max_series: Annotated[int, Field(ge=1, le=10000)] = 500
    """A query that returns more series than this is refused."""
    namespaces: LabelSelector = LabelSelector()
    """Which namespaces may use the source, by label; empty: all."""
    enforce_label: Annotated[str, Field(pattern=LABEL_NAME, max_length=63)] | None = None
    """A label that every selector of a query gets, with the objective's namespace as value (usually `namespace`), so that
    no team reads another team's series. Not set: queries are used as they are."""


class MetricSourceStatus(Model):
    """Whether the source answers; written by the operator alone."""

    observed_generation: int | None = None
    """The generation that the status speaks of."""
    objectives: int | None = None
    """How many objectives use it."""
    conditions: Annotated[
        list[Condition],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = []
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
