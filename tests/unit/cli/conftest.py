"""A cluster in memory, and the program wired to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.memory_cluster import MemoryCluster, Request

from forestall.api import API_VERSION, KINDS
from forestall.cli.app import main
from forestall.cli.wiring import ClusterOptions, DemoOptions, PrometheusOptions, RunOptions, Session, Wiring
from forestall.errors import ClusterError, MetricsError, NotFound
from forestall.ports import Metrics

NOW = 1_750_000_000.0  # 2025-06-15T15:06:40Z


class CommandCluster(MemoryCluster):
    """What commands find: objects that are put there in short, and what goes wrong when they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = {kind.KIND for kind in KINDS}
        self.failures: dict[tuple[str, str], ClusterError] = {}
        """What a call on a kind raises."""
        self.on_patch: Callable[[], None] = lambda: None
        """What somebody else does just before a patch arrives."""

    def put(self, kind: str, name: str, *, namespace: str = "shop", labels: Any = None, **parts: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": self.new_uid(name)}
        metadata |= {"labels": labels or {}, "managedFields": [{"manager": "forestall"}]}
        return self.insert({"kind": kind, "metadata": metadata, **parts})

    def new_uid(self, name: str) -> str:
        return f"uid-{name}"

    async def _serve(self, request: Request, effect: Callable[[], Any]) -> Any:
        if request.verb == "patch":
            self.on_patch()
        if request.kind not in self.kinds | {"SelfSubjectReview"}:
            raise NotFound(f"the server knows no {request.kind}")
        if (request.verb, request.kind) in self.failures:
            raise self.failures[request.verb, request.kind]
        return await super()._serve(request, effect)

    @staticmethod
    def objective_spec(**more: Any) -> dict[str, Any]:
        return {
            "target": {"name": "checkout"},
            "indicator": {"latency": {"histogram": 'http_seconds{app="checkout"}', "threshold": "300ms"}},
            "objective": 99.5,
            "window": "30d",
            **more,
        }

    def put_objective(self, name: str, state: str | None = None, **more: Any) -> dict[str, Any]:
        """Put an objective; `more` is its status, `namespace` and `spec` excepted."""
        namespace = more.pop("namespace", "shop")
        spec = more.pop("spec", self.objective_spec())
        status = {**({"state": state} if state else {}), **more}
        return self.put("ServiceLevelObjective", name, namespace=namespace, spec=spec, status=status)

    def put_remediation(self, name: str, phase: str, **more: Any) -> dict[str, Any]:
        """Put a Remediation of `checkout`; `more` goes to its intent, `status`, `approval` and `feedback` excepted."""
        status = more.pop("status", {})
        approval = more.pop("approval", None)
        intent = {
            "policy": {"apiVersion": API_VERSION, "kind": "RemediationPolicy", "name": "early"},
            "objective": {
                "apiVersion": API_VERSION,
                "kind": "ServiceLevelObjective",
                "namespace": "shop",
                "name": "checkout",
                "uid": "uid-checkout",
            },
            "episode": 3,
            "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout"},
            "action": {"scale": {"maxReplicas": 20}},
            "mode": "Approve",
            "from": 3,
            "to": 6,
            "evidence": {"indicator": "utilisation", "reason": "utilisation is forecast to pass 0.85 in 6m"},
            "created": "2025-06-15T15:04:40Z",
            "deadline": "2025-06-15T15:34:40Z",
            "approvalExpires": "2025-06-15T15:19:40Z",
            **more,
        }
        feedback = intent.pop("feedback", None)
        said = {"approval": approval, "feedback": feedback}
        spec = {"intent": intent, **{key: value for key, value in said.items() if value}}
        since = {"since": "2025-06-15T15:05:40Z"}
        return self.put("Remediation", name, spec=spec, status={"phase": phase, **since, **status})


@dataclass
class Program:
    """Runs commands and says what they wrote."""

    capsys: pytest.CaptureFixture[str]
    cluster: CommandCluster = field(default_factory=CommandCluster)
    namespace: str = "shop"
    connecting: BaseException | None = None
    access: list[ClusterOptions] = field(default_factory=list)
    runs: list[RunOptions] = field(default_factory=list)
    demos: list[DemoOptions] = field(default_factory=list)
    asked: list[PrometheusOptions] = field(default_factory=list)
    metrics: Metrics | None = None
    """What answers for a Prometheus that is asked for history."""

    @asynccontextmanager
    async def _connect(self, access: ClusterOptions) -> AsyncIterator[Session]:
        self.access.append(access)
        if self.connecting:
            raise self.connecting
        yield Session(self.cluster, self.namespace, "https://127.0.0.1:6443", lambda: NOW)

    @asynccontextmanager
    async def _prometheus(self, options: PrometheusOptions) -> AsyncIterator[Metrics]:
        self.asked.append(options)
        if self.metrics is None:
            raise MetricsError("SourceDown", "connection refused")
        yield self.metrics

    @property
    def wiring(self) -> Wiring:
        """What the commands are wired to: the cluster in memory, and lists of what they handed on."""

        def run(options: RunOptions) -> int:
            self.runs.append(options)
            return 0

        def demo(options: DemoOptions) -> int:
            self.demos.append(options)
            return 0

        return Wiring(self._connect, run, demo, self._prometheus)

    def __call__(self, *words: str | Path, name: str = "forestall") -> tuple[int, str, str]:
        """Return the exit code, and what was written to standard output and standard error."""

        code = main(self.wiring, [str(word) for word in words], name)
        out, err = self.capsys.readouterr()
        return code, out, err


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    for variable in ("POD_NAMESPACE", "POD_NAME", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    return Program(capsys)


@pytest.fixture
def cluster(program: Program) -> CommandCluster:
    return program.cluster
