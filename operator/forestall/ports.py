"""What the engine needs of the world, as narrow protocols. Adapters implement them; only `__main__`, the demo and tests
choose which."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from forestall.api.remediation import ObjectRef
from forestall.core.clock_skew import ClockOffset

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels, ordered by name."""
MANAGER: Final = "forestall"
"""The name under which the API server remembers what the operator wrote (its field manager)."""


@dataclass(frozen=True, slots=True)
class RestConfig:
    """Where the API server is, and as whom it is asked: what the client that watches needs of the one that writes."""

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
class Proof:
    """What shows that the answer to a query can be believed. All texts are complete, as the query is."""

    evidence: str = ""
    """An expression whose series must be fresh; empty: the query itself."""
    existed: str = ""
    """A selector that may find nothing, which is then zero, provided that it found something within `window`."""
    labelled: tuple[tuple[str, str], ...] = ()
    """Pairs of selectors: of the series that lack a label that tells good from bad, and of those that have it. Events
    of the first can't be told where the label was on all events before."""
    window: float = 86_400.0
    """How far back (s) it matters what was there."""
    stale_after: float = 120.0
    """The age (s) at which a sample is too old."""
    each_series: bool = False
    """Whether each series must have a sample that is not too old, or is ignored: otherwise one of them is enough."""
    scope: str = ""
    """A matcher that every selector must have, as of the tenant; empty: none."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, complete: windows filled in, tenant label enforced."""

    key: Hashable
    """What the answer is found by."""
    expr: str
    max_series: int = 500
    proof: Proof = Proof()
    owner: str = ""
    """The namespace that asks, on whose share of the source it goes; empty: nobody's."""


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
    """When the worst-fed of the query's selectors last got a raw sample (seconds since the epoch): the minimum over the
    selectors of the maximum over their series of `timestamp()`. None where a selector has no sample at all, or nothing
    vouches for it that it rightly has none."""
    warnings: tuple[str, ...] = ()
    """Warnings of the server: a partial answer is not to be trusted."""
    lacking: str = ""
    """In words, why `newest` is None."""
    members: tuple[tuple[str, int], ...] = ()
    """How many targets feed each selector with fresh samples; of selectors that find something, and 0 of those that
    find nothing while others stand in for them."""
    clock: ClockOffset | None = field(default=None, compare=False)
    """The server's clock, against `time.monotonic()`; None where it does not say what time it is."""


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
    """Prometheus-compatible sources, by the names of their MetricSources."""

    async def instant(
        self, source: str, queries: Sequence[Query], at: float
    ) -> Mapping[Hashable, Answer | QueryFailure]:
        """Answer every query at time `at` (s). Never raises: a failure is an answer too, per query."""
        ...

    async def range(
        self, source: str, queries: Sequence[Query], start: float, end: float, step: float
    ) -> Mapping[Hashable, tuple[RangeSeries, ...] | QueryFailure]:
        """Answer every query over a range. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Scale:
    """The /scale subresource of a workload."""

    spec_replicas: int
    status_replicas: int
    selector: str
    resource_version: str
    uid: str


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event to be."""

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
    """As rights name it."""
    namespaced: bool


@dataclass(frozen=True, slots=True)
class Right:
    """What the API server may be asked to do, by the kind that it is done to."""

    verb: str
    api_version: str
    kind: str
    subresource: str = ""
    namespace: str = ""
    """Empty: of objects that have none, or in all namespaces."""
    name: str = ""
    """Empty: of all objects of the kind there."""


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

    async def read_scale(self, ref: ObjectRef) -> Scale:
        """Return the /scale subresource of the object; `NotFound` where the kind has none."""
        ...


class AccessReviewer(Protocol):
    """Knows what the operator may do."""

    async def refusal(self, right: Right, /) -> str | None:
        """Return in the API server's words that the operator lacks a right; None where it has it."""
        ...


class Scaler(Protocol):
    """Sets the size of workloads."""

    async def write_scale(self, ref: ObjectRef, replicas: int, resource_version: str, /) -> Scale:
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
    """Writes the statuses of what the operator keeps."""

    async def replace_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str, /
    ) -> Mapping[str, Any]:
        """Replace the status; `Conflict` unless the object still has `resource_version`."""
        ...

    async def apply_status(
        self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str, /
    ) -> Mapping[str, Any]:
        """Server-side apply the status, as the only manager of all of it; `Conflict` unless the object still has
        `resource_version`, which another one of the same name never has.
        """
        ...


class EventRecorder(Protocol):
    """Records Kubernetes Events."""

    async def record(self, event: Event) -> None:
        """Record a Kubernetes Event; the same one again within minutes is counted, not written anew."""
        ...


class Cluster(Reader, AccessReviewer, Scaler, Writer, Evictor, StatusWriter, EventRecorder, Protocol):
    """The Kubernetes API: the world that actions change, and the objects that the operator keeps.

    Adapters implement all of it; whoever uses it asks for no more of it than it needs.

    Every call raises `ClusterError` or one of its kinds (`NotFound`, `Conflict`, `Forbidden`, `Denied`, `Throttled`,
    `Unavailable`) and nothing else; every call ends within a few seconds; no write is retried by the adapter.
    """


class ReadThrough:
    """Passes on what only looks: the base of what wraps a `Cluster` to change how it writes."""

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

    async def serves(self, api_version: str, kind: str) -> Served:
        """Return how the API serves a kind."""
        return await self._cluster.serves(api_version, kind)

    async def refusal(self, right: Right) -> str | None:
        """Return that the operator lacks a right."""
        return await self._cluster.refusal(right)

    async def read_scale(self, ref: ObjectRef) -> Scale:
        """Return the /scale subresource."""
        return await self._cluster.read_scale(ref)


@dataclass(frozen=True, slots=True)
class Notice:
    """News for people about a Remediation. Whoever receives it may get it more than once."""

    id: str
    """The same for the same news, so that doubles can be dropped: the Remediation's UID and the topic."""
    topic: str
    """Notify, ApprovalRequired, LadderExhausted or Locked."""
    at: float
    """When it was found (s since the epoch)."""
    title: str
    """In one line."""
    reason: str
    """Why, in words."""
    namespace: str
    objective: str
    policy: str
    remediation: str
    action: str
    target: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    """What was known: indicator, value, limit, probability, time to breach."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """What a person can do, by its name: approve, reject, feedback, pause, explain."""
    message: str = ""
    """What the policy's author wants to be said."""
    until: float | None = None
    """When it is no news any more (s since the epoch)."""


class Notifier(Protocol):
    """The channels by which people are told, by the names of their NotificationChannels."""

    async def send(self, channel: str, notice: Notice) -> None:
        """Send `notice`, which may arrive twice; it ends within some seconds.

        Raises:
            NotSent: it did not go out, or it is not known whether it did.
        """
        ...
