"""The ports: narrow protocols of the external systems that the engine uses. Adapters implement them; only `__main__`,
the demo and tests choose the adapters."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from forestall.api.remediation import ObjectRef
from forestall.core.clock_skew import ClockOffset

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels, ordered by name."""
MANAGER: Final = "forestall"
"""The operator's field manager."""


@dataclass(frozen=True, slots=True)
class RestConfig:
    """The configuration of an API client: address of the API server, TLS and credentials."""

    server: str
    ca_path: str | None = None
    insecure: bool = False
    """Do not check the server's certificate."""
    token: str | None = field(default=None, repr=False)
    """A bearer token, without the scheme."""
    certificate_path: str | None = None
    private_key_path: str | None = None
    proxy_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FreshnessRequirements:
    """The evidence that an answer needs. All texts are complete, as the query is."""

    evidence: str = ""
    """An expression whose series must be fresh; empty: the query itself."""
    past_selector: str = ""
    """A selector that may be absent, which counts as zero, provided that it had samples within `window`."""
    label_pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of selectors: series without a label that separates good from bad, and series with it. Events of the first
    can't be classified where all events had the label before."""
    window: float = 86_400.0
    """How far back (s) earlier samples count."""
    stale_after: float = 120.0
    """The age (s) at which a sample is too old."""
    each_series: bool = False
    """Whether series with a stale newest sample are ignored; otherwise one fresh series of a selector is enough."""
    scope: str = ""
    """A matcher on every selector, such as that of the tenant; empty: none."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, complete: windows filled in, tenant label enforced."""

    key: Hashable
    """The key of the answer."""
    expr: str
    max_series: int = 500
    freshness: FreshnessRequirements = FreshnessRequirements()
    owner: str = ""
    """The namespace whose share of the source it uses; empty: none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant answer. `value` may be NaN or infinite: the caller decides."""

    labels: Labels
    """Sorted pairs; the name of the metric is among them, as `__name__`, only where a query may give several."""
    value: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query returned at one time."""

    samples: tuple[Sample, ...]
    newest: float | None
    """The time of the newest raw sample of the stalest selector (s since the epoch): the minimum over the selectors of
    the maximum over their series of `timestamp()`. None where a selector has no sample, and no evidence that this is
    right."""
    warnings: tuple[str, ...] = ()
    """Warnings of the server: a partial answer is not used."""
    missing: str = ""
    """Why `newest` is None, as a message."""
    target_counts: tuple[tuple[str, int], ...] = ()
    """The number of targets with fresh samples of each selector; 0 for absent selectors that an operand of `or`
    replaces."""
    clock: ClockOffset | None = field(default=None, compare=False)
    """The offset of the server's clock to `time.monotonic()`; None where the response has no `Date`."""


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series of a range answer: parallel tuples of times (s) and values."""

    labels: Labels
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class QueryFailure:
    """Why one query has no answer.

    `reason` is a condition's reason, one of: QueryRefused (the source says that it is wrong), TooManySeries,
    SourceDown, SourceTimeout, SourceUnauthorized, SourceBadAnswer, SourceMissing.
    """

    reason: str
    message: str


class Metrics(Protocol):
    """Queries Prometheus-compatible sources, by the names of their MetricSources."""

    async def instant(
        self, source: str, queries: Sequence[Query], at: float
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        """Answer every query at time `at` (s). Never raises: each query has an answer or a failure."""
        ...

    async def range(
        self, source: str, queries: Sequence[Query], start: float, end: float, step: float
    ) -> Mapping[Hashable, tuple[RangeSeries, ...] | QueryFailure]:
        """Answer every query over a range. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class ScaleSubresource:
    """The /scale subresource of a workload."""

    spec_replicas: int
    status_replicas: int
    selector: str
    resource_version: str
    uid: str


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event to record."""

    regarding: ObjectRef
    kind: str
    """Normal or Warning."""
    reason: str
    message: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """How the API serves a kind."""

    plural: str
    """Its name in RBAC rules."""
    namespaced: bool


@dataclass(frozen=True, slots=True)
class Right:
    """An RBAC right: a verb on a kind."""

    verb: str
    api_version: str
    kind: str
    subresource: str = ""
    namespace: str = ""
    """Empty: cluster-scoped objects, or all namespaces."""
    name: str = ""
    """Empty: all objects of the kind."""


Patch = Mapping[str, Any]


class Reader(Protocol):
    """Reads objects. No call changes anything."""

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object. `ref.uid`, where given, must match, else `NotFound`."""
        ...

    async def find(
        self, api_version: str, kind: str, /, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects of a kind, read page by page; in all namespaces when `namespace` is empty."""
        ...

    async def serves(self, api_version: str, kind: str, /) -> Served:
        """Return how the API serves a kind; `NotFound` where it does not."""
        ...

    async def read_scale(self, ref: ObjectRef) -> ScaleSubresource:
        """Return the /scale subresource of the object; `NotFound` where the kind has none."""
        ...


class MetadataReader(Protocol):
    """Lists objects without their contents."""

    async def find_metadata(
        self, api_version: str, kind: str, /, namespace: str = "", *, field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return the `metadata` of all objects of a kind, as of a moment after the call began, read page by page."""
        ...


class AccessReviewer(Protocol):
    """Reviews the operator's own rights."""

    async def refusal(self, right: Right, /) -> str | None:
        """Return the API server's message that the operator lacks a right; None where it has the right."""
        ...


class Scaler(Protocol):
    """Writes the /scale subresource of workloads."""

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str, /) -> ScaleSubresource:
        """Set the replicas; `Conflict` unless the object still has `resource_version`."""
        ...


class Writer(Protocol):
    """Writes objects."""

    async def patch(self, ref: ObjectRef, patch: Patch, resource_version: str, /) -> Mapping[str, Any]:
        """Merge-patch the object as the operator's own field manager; `Conflict` unless the version still holds."""
        ...

    async def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create the object; `Conflict` where the name exists."""
        ...

    async def delete(self, ref: ObjectRef, resource_version: str, /) -> None:
        """Delete the object; `Conflict` unless it still has `resource_version`, `NotFound` where it is gone already."""
        ...


class Evictor(Protocol):
    """Evicts pods."""

    async def evict(self, pod: ObjectRef) -> None:
        """Evict the pod; `Throttled` while a PodDisruptionBudget does not allow it, `NotFound` where it is gone.

        `pod.uid` must be given: `Conflict` where another pod has the name by now.
        """
        ...


class StatusWriter(Protocol):
    """Writes the statuses of forestall's own objects."""

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str, /
    ) -> Mapping[str, Any]:
        """Replace the status; `Conflict` unless the object still has `resource_version`."""
        ...

    async def apply_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str, /
    ) -> Mapping[str, Any]:
        """Server-side apply the whole status; `Conflict` unless the object still has `resource_version`, which another
        object of the same name never has.
        """
        ...


class EventRecorder(Protocol):
    """Records Kubernetes Events."""

    async def record(self, event: Event) -> None:
        """Record a Kubernetes Event; a repetition within minutes increases its count."""
        ...


class Cluster(Reader, MetadataReader, AccessReviewer, Scaler, Writer, Evictor, StatusWriter, EventRecorder, Protocol):
    """The Kubernetes API.

    Adapters implement all of it; callers ask for the narrow protocols that they need.

    Every call raises `ClusterError` or one of its kinds (`NotFound`, `Conflict`, `Forbidden`, `Denied`, `Throttled`,
    `Unavailable`) and nothing else; every call ends within a few seconds; no write is retried by the adapter.
    """


class ReadThrough:
    """Passes all reads on: the base class of wrappers that change how a `Cluster` writes."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def read(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Return the object."""
        return await self._cluster.read(ref)

    async def find(
        self, api_version: str, kind: str, /, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return all objects of a kind."""
        selectors = {"label_selector": label_selector, "field_selector": field_selector}
        return await self._cluster.find(api_version, kind, namespace, **selectors)

    async def find_metadata(
        self, api_version: str, kind: str, /, namespace: str = "", *, field_selector: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Return the `metadata` of all objects of a kind."""
        return await self._cluster.find_metadata(api_version, kind, namespace, field_selector=field_selector)

    async def serves(self, api_version: str, kind: str) -> Served:
        """Return how the API serves a kind."""
        return await self._cluster.serves(api_version, kind)

    async def refusal(self, right: Right) -> str | None:
        """Return the message that the operator lacks a right."""
        return await self._cluster.refusal(right)

    async def read_scale(self, ref: ObjectRef) -> ScaleSubresource:
        """Return the /scale subresource."""
        return await self._cluster.read_scale(ref)


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification about a Remediation. It may arrive more than once."""

    id: str
    """The deduplication key: the Remediation's UID and the topic."""
    topic: str
    """Notify, ApprovalRequired, LadderExhausted or Locked."""
    at: float
    """When it was created (s since the epoch)."""
    title: str
    """In one line."""
    reason: str
    """Why, as a sentence."""
    namespace: str
    objective: str
    policy: str
    remediation: str
    action: str
    target: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    """Indicator, value, limit, probability, time to breach."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """Commands for the reader, by name: approve, reject, feedback, pause, explain."""
    message: str = ""
    """The message of the policy's author."""
    until: float | None = None
    """When it expires (s since the epoch)."""


class Notifier(Protocol):
    """Sends notifications, by the names of their NotificationChannels."""

    async def send(self, channel: str, notice: Notice) -> None:
        """Send `notice`, which may arrive twice; returns within some seconds.

        Raises:
            NotSent: it was not sent, or whether it was is unknown.
        """
        ...
