"""The most expensive valid objects at once: is the Lease still renewed in time?

20 objectives with 16 queries each, 20 policies that select all of them, and a Guardrail, with every bounded field in
its longest and most expensive form. The benchmark measures the longest time between two renewals of the real Lease.
"""

import asyncio
import itertools
import json
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any

from benchmarks import inputs
from benchmarks.safety.environment import ACCOUNT, API, OPERATOR, Body, SafetyEnvironment, Signals, until
from benchmarks.safety.probe_monitor import ProbeMonitor
from benchmarks.safety.trials import deployment
from benchmarks.safety.watch_recorder import WatchRecorder
from pydantic import ValidationError

from forestall.adapters.kubernetes import Access, Timing
from forestall.errors import InvalidInput

_NAMESPACE = "renewals"
OBJECTIVES, QUERIES, POLICIES = 20, 16, 20
DEAREST = 8
"""Number of different queries, the most expensive ones."""
_SUFFIX = 16
_ALLOWANCES = 8
"""The API server refuses larger objects."""
_KEY = f"Lease/{OPERATOR}/forestall"


def most_expensive() -> list[str]:
    """Return the most expensive valid queries, each a little shorter than the limit."""
    costs = []
    for text in inputs.queries(inputs.QUERY - _SUFFIX):
        with suppress(InvalidInput, ValidationError):
            objective = inputs.objective(text)
            cost = inputs.timed(inputs.prepare_queries, objective)
            inputs.prepare_queries(objective)
            costs.append((cost, text))
    return [text for _, text in sorted(costs, reverse=True)][:DEAREST]


def objective(number: int, texts: list[str]) -> Body:
    """Return a breached objective with queries that no cache has."""
    counted = range(number * QUERIES, (number + 1) * QUERIES)
    # A comment makes another text of it, and does not change what it costs.
    leading = [{"name": f"i{n}", "query": f"{texts[n % len(texts)]} # {n}", "limit": 1} for n in counted]
    spec: Body = {
        "target": {"name": "target"},
        "indicator": {"raw": {"errorRatio": 'errors{app="target"}'}},
        "objective": 99.0,
        "leadingIndicators": leading,
    }
    labels = inputs.labels()["matchLabels"]
    return _body("ServiceLevelObjective", f"worst-{number}", spec, namespace=_NAMESPACE, labels=labels)


def _body(kind: str, name: str, spec: Body, **metadata: Any) -> Body:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def bodies() -> list[Body]:
    """Return all objects."""
    texts = most_expensive()
    policy, guardrail = inputs.policy()["spec"], inputs.guardrail()["spec"]
    guardrail["allow"] = guardrail["allow"][:_ALLOWANCES]
    return [
        _body("Guardrail", "worst", guardrail),
        *(_body("RemediationPolicy", f"worst-{n}", policy, namespace=_NAMESPACE) for n in range(POLICIES)),
        *(objective(n, texts) for n in range(OBJECTIVES)),
    ]


def gaps(states: list[Body]) -> list[float]:
    """Return the seconds between renewals by one holder."""
    renewed = [
        (body["spec"]["holderIdentity"], datetime.fromisoformat(body["spec"]["renewTime"]).timestamp())
        for body in states
        if body["spec"].get("holderIdentity")
    ]
    return [later - at for (holder, at), (next_, later) in itertools.pairwise(renewed) if holder == next_]


async def measure(environment: SafetyEnvironment, *, quick: bool) -> dict[str, Any]:
    """Start an operator with all objects, and watch its Lease."""
    access = await Access.find(str(environment.cluster.kubeconfig))
    cycles = 3 if quick else 10
    async with AsyncExitStack() as stack:
        stack.enter_context(environment.namespace(_NAMESPACE))
        signals = stack.enter_context(Signals(environment).live())
        signals.set("errors", "target", 1.0, namespace=_NAMESPACE)
        environment.apply("MetricSource", "default", {"url": signals.url, "enforceLabel": "namespace"})
        environment.cluster.apply(deployment("target", 1), namespace=_NAMESPACE)
        worst = json.dumps({"apiVersion": "v1", "kind": "List", "items": await asyncio.to_thread(bodies)})
        # As `apply` it would keep another copy of each in an annotation, which is too long for one.
        await asyncio.to_thread(environment.cluster.kubectl, "create", "-f", "-", stdin=worst)
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR}/leases"
        account = await asyncio.to_thread(environment.cluster.kubeconfig_for, OPERATOR, ACCOUNT)
        recorder = await stack.enter_async_context(WatchRecorder(access, leases).watching())
        operator = environment.operate("renewing", account, "5s")
        try:
            monitor = await stack.enter_async_context(ProbeMonitor(operator).watching())
            await until(
                lambda: operator.ends or monitor.observation.cycles >= cycles, 300, "some cycles with the worst"
            )
            ended = operator.ends
            await recorder.settle()
        finally:
            await asyncio.to_thread(operator.stop)
            await asyncio.to_thread(environment.cluster.kubectl, "delete", "guardrail", "worst", "--ignore-not-found")
    longest = max(gaps(recorder.states[_KEY]))
    deadline = Timing().renew_deadline
    return {
        "objectives": OBJECTIVES,
        "queries": OBJECTIVES * QUERIES,
        "policies": POLICIES,
        "cycles": monitor.observation.cycles,
        "renewals": len(recorder.states[_KEY]),
        "longestBetweenRenewalsS": round(longest, 2),
        "renewDeadlineS": deadline,
        "longestWaitOfAProbeS": round(monitor.observation.longest_wait, 2),
        "leadLost": ended,
        "cyclesGivenUp": monitor.observation.given_up,
        "residentMiB": monitor.observation.resident >> 20,
        "holds": not ended
        and longest <= deadline / 2
        and monitor.observation.given_up == monitor.observation.failed == 0,
    }
