"""What happens during a run, second by second: the shop's figures, and what the operator says and does."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import urllib3
from kubernetes import client, config

from forestall.api import API_VERSION, Remediation, ServiceLevelObjective
from forestall.api.times import seconds
from forestall.demo.readings import NOW, Readings
from forestall.demo.scenarios import NAMESPACE
from forestall.errors import MetricsError

_GROUP, _VERSION = API_VERSION.split("/")
_REQUEST_S = 3.0


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened."""

    at: float
    """Seconds after the run began."""
    kind: str
    """act, decision, end or release."""
    text: str


@dataclass(frozen=True, slots=True)
class Glimpse:
    """How things stand at one moment of a run."""

    at: float
    """Seconds after the run began."""
    shop: Mapping[str, float | None]
    """By the names of `readings.NOW`; None where nothing is known."""
    objective: ServiceLevelObjective | None = None
    """None without the operator."""
    news: tuple[News, ...] = ()
    """What happened since the last glimpse."""


@dataclass(slots=True)
class Record:
    """A run as it was seen."""

    glimpses: list[Glimpse] = field(default_factory=list)

    @property
    def news(self) -> list[News]:
        """All that happened."""
        return [each for glimpse in self.glimpses for each in glimpse.news]

    @property
    def first_action(self) -> float | None:
        """When the operator first changed something, in seconds after the run began."""
        return next((each.at for each in self.news if each.kind == "act"), None)


class Watcher:
    """Looks at the shop and at the operator's objects."""

    def __init__(self, readings: Readings, kubeconfig: str, began: float, *, operator: bool) -> None:
        """Watch a run that begins at `began` (s since the epoch), with the operator or without."""
        self._readings = readings
        self._began = began
        self._operator = operator
        self._objects = client.CustomObjectsApi(config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call]
        self._told: dict[str, str] = {}
        self._steps: dict[str, str] = {}  # by Remediation: when the newest step was made that is known
        # What an earlier run left behind is no news.
        if operator:
            list(self._remediations())

    def look(self, news: tuple[News, ...] = ()) -> Glimpse:
        """Return how things stand now, as far as that can be said, with `news` and what else is new."""
        at = time.time() - self._began
        shop: Mapping[str, float | None] = {}
        with suppress(MetricsError):
            shop = self._readings.now(NOW)
        if not self._operator:
            return Glimpse(at, shop, news=news)
        try:
            objective = ServiceLevelObjective.read(self._list("servicelevelobjectives")[0])
            news += (*self._decisions(objective, at), *self._remediations())
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return Glimpse(at, shop, news=news)
        return Glimpse(at, shop, objective, news)

    def _decisions(self, objective: ServiceLevelObjective, at: float) -> Iterator[News]:
        for decision in objective.status.decisions or []:
            key = f"{decision.verdict} {decision.reason}"
            if self._told.get(decision.policy) != key:
                self._told[decision.policy] = key
                yield News(at, "decision", f"{decision.verdict}: {decision.message}")

    def _remediations(self) -> Iterator[News]:
        for body in self._list("remediations"):
            one = Remediation.read(body)
            for step in one.status.steps:
                if step.at > self._steps.get(one.name, ""):
                    self._steps[one.name] = step.at
                    yield News(self._since(step.at), "act", f"{step.what}, because {step.because}")
            if one.ended and self._told.get(one.name) != one.status.phase:
                self._told[one.name] = one.status.phase
                yield News(self._since(one.status.ended), "end", f"{one.status.phase}: {one.status.message}")

    def _since(self, stamp: str | None) -> float:
        at = seconds(stamp)
        return (time.time() if at is None else at) - self._began

    def _list(self, plural: str) -> list[dict[str, Any]]:
        found: Any = self._objects.list_namespaced_custom_object(
            _GROUP, _VERSION, NAMESPACE, plural, _request_timeout=_REQUEST_S
        )
        items: list[dict[str, Any]] = found["items"]
        return items
