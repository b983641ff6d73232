"""What the commands are wired to; `__main__` and tests choose."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from forestall.ports import Cluster, Metrics


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """How a cluster is found; nothing given: as kubectl does, and inside a pod its ServiceAccount."""

    kubeconfig: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A reachable cluster."""

    cluster: Cluster
    namespace: str
    """The default namespace: the kubeconfig context's, or the pod's own."""
    server: str
    """The API server's address, for messages."""
    now: Callable[[], float] = time.time
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `forestall run`."""

    cluster: ClusterOptions
    namespace: str
    """Where the Lease is, and the Secrets of metric sources."""
    identity: str
    """The identity that holds the Lease."""
    interval: float
    """Seconds from one cycle to the next."""
    listen: tuple[str, int]
    """Where `/livez`, `/readyz` and `/metrics` are served: host and port."""
    log_level: str
    """debug, info, warning or error."""
    log_json: bool
    """Write logs as JSON, one object a line."""
    dry_run: bool
    """Do all but write to the cluster."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of `forestall demo`."""

    scenario: str
    """surge, leak or node."""
    keep: bool
    """Leave the cluster running at the end."""
    picture: Path | None
    """Where the comparison is drawn, as an HTML file; None: in the present folder, named after the scenario."""
    as_json: bool
    """Write the figures to standard output as JSON, and all else to standard error."""
    cluster: str = ""
    """kwok, nodes or kind; empty: kwok."""


@dataclass(frozen=True, slots=True)
class PrometheusOptions:
    """A Prometheus that is asked for history."""

    url: str
    sources: Sequence[str]
    """The names of the metric sources that it stands for."""
    token: str | None = field(default=None, repr=False)
    """A bearer token."""
    ca_pem: str | None = None
    """Its certificate authority."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the commands call. Each may raise `ForestallError`, and nothing else that a person should see."""

    connect: Callable[[ClusterOptions], AbstractAsyncContextManager[Session]]
    run: Callable[[RunOptions], int]
    """Runs the operator until it is told to stop; returns the exit code."""
    demo: Callable[[DemoOptions], int]
    """Shows the demo; returns the exit code."""
    prometheus: Callable[[PrometheusOptions], AbstractAsyncContextManager[Metrics]]
