"""Watch a run: the shop's metrics, and the operator's decisions and actions."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import urllib3
from kubernetes import client, config

from forestall.api import API_VERSION, Remediation, ServiceLevelObjective
from forestall.api.times import seconds
from forestall.demo.metrics import DemoMetrics
from forestall.demo.pod_losses import PodLosses
from forestall.demo.scenarios import NAMESPACE
from forestall.errors import MetricsError

_GROUP, _VERSION = API_VERSION.split("/")
_REQUEST_S = 3.0


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of a run."""

    at: float
    """Seconds after the start of the run."""
    kind: str
    """act, decision, end, release, or loss: a pod that was killed or evicted."""
    text: str


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """The state of a run at one time."""

    at: float
    """Seconds after the start of the run."""
    shop: Mapping[str, float | None]
    """Values of the live queries by name; None where unknown."""
    objective: ServiceLevelObjective | None = None
    """None without the operator."""
    events: tuple[RunEvent, ...] = ()
    """Events since the last snapshot."""


@dataclass(slots=True)
class RunRecording:
    """The recording of a run."""

    snapshots: list[RunSnapshot] = field(default_factory=list)

    @property
    def events(self) -> list[RunEvent]:
        """All events."""
        return [event for snapshot in self.snapshots for event in snapshot.events]

    @property
    def first_action(self) -> float | None:
        """Time of the operator's first change (s after the start of the run)."""
        return next((event.at for event in self.events if event.kind == "act"), None)


class Watcher:
    """Watches the shop and the operator's objects."""

    def __init__(
        self,
        readings: DemoMetrics,
        queries: Mapping[str, str],
        kubeconfig: str,
        began: float,
        *,
        operator: bool,
        losses: PodLosses | None = None,
    ) -> None:
        """Watch a run that begins at `began` (s since the epoch), with the operator or without."""
        self._readings = readings
        self._queries = queries
        self._losses = losses
        self._began = began
        self._operator = operator
        self._objects = client.CustomObjectsApi(config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call]
        self._reported: dict[str, str] = {}
        self._steps: dict[str, str] = {}  # time of the newest reported step, by Remediation
        # Objects of an earlier run are not reported.
        if operator:
            list(self._remediations())

    def snapshot(self, events: tuple[RunEvent, ...] = ()) -> RunSnapshot:
        """Return the current state as far as it is known, with `events` and other new events."""
        at = time.time() - self._began
        shop: Mapping[str, float | None] = {}
        with suppress(MetricsError):
            shop = self._readings.latest(self._queries)
        if self._losses:
            events += tuple(RunEvent(at, "loss", text) for text in self._losses.new())
        if not self._operator:
            return RunSnapshot(at, shop, events=events)
        try:
            objective = ServiceLevelObjective.read(self._list("servicelevelobjectives")[0])
            events += (*self._decisions(objective, at), *self._remediations())
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return RunSnapshot(at, shop, events=events)
        return RunSnapshot(at, shop, objective, events)

    def _decisions(self, objective: ServiceLevelObjective, at: float) -> Iterator[RunEvent]:
        for decision in objective.status.decisions or []:
            key = f"{decision.verdict} {decision.reason}"
            if self._reported.get(decision.policy) != key:
                self._reported[decision.policy] = key
                yield RunEvent(at, "decision", f"{decision.verdict}: {decision.message}")

    def _remediations(self) -> Iterator[RunEvent]:
        for body in self._list("remediations"):
            remediation = Remediation.read(body)
            for step in remediation.status.steps:
                if step.at > self._steps.get(remediation.name, ""):
                    self._steps[remediation.name] = step.at
                    yield RunEvent(self._since(step.at), "act", f"{step.change}, because {step.because}")
            if remediation.ended and self._reported.get(remediation.name) != remediation.status.phase:
                self._reported[remediation.name] = remediation.status.phase
                yield RunEvent(
                    self._since(remediation.status.ended),
                    "end",
                    f"{remediation.status.phase}: {remediation.status.message}",
                )

    def _since(self, stamp: str | None) -> float:
        at = seconds(stamp)
        return (time.time() if at is None else at) - self._began

    def _list(self, plural: str) -> list[dict[str, Any]]:
        body: Any = self._objects.list_namespaced_custom_object(
            _GROUP, _VERSION, NAMESPACE, plural, _request_timeout=_REQUEST_S
        )
        items: list[dict[str, Any]] = body["items"]
        return items
