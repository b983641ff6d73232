"""The worst that authors may write, applied at once: is the lease still renewed in time?

20 objectives with 16 queries each, 20 policies that select all of them, and a Guardrail, every bounded field of them of
its longest and dearest form. What is measured is the longest time between two renewals of the real Lease, as their
times of sending say.
"""

import asyncio
import itertools
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any

from benchmarks import inputs
from benchmarks.safety.arena import ACCOUNT, API, OPERATOR, Arena, Body, Signals, until
from benchmarks.safety.trials import deployment
from benchmarks.safety.watchman import Watchman
from benchmarks.safety.witness import Witness
from pydantic import ValidationError

from forestall.adapters.kubernetes import Access, Api, KubernetesCluster, Recorder, Timing
from forestall.errors import InvalidInput

_NAMESPACE = "renewals"
OBJECTIVES, QUERIES, POLICIES = 20, 16, 20
DEAREST = 8
"""How many kinds of queries are used: the dearest."""
_SUFFIX = 16
_KEY = f"Lease/{OPERATOR}/forestall"


def dearest() -> list[str]:
    """Return the queries that cost most here and are taken, each a little shorter than the longest."""
    costs = []
    for text in inputs.queries(inputs.QUERY - _SUFFIX):
        with suppress(InvalidInput, ValidationError):
            asked = inputs.objective(text)
            cost = inputs.timed(inputs.ask, asked)
            inputs.ask(asked)
            costs.append((cost, text))
    return [text for _, text in sorted(costs, reverse=True)][:DEAREST]


def objective(number: int, texts: list[str]) -> Body:
    """Return an objective in breach all of whose queries nobody has parsed before."""
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
    """Return all that is applied."""
    texts = dearest()
    policy, guardrail = inputs.policy()["spec"], inputs.guardrail()["spec"]
    return [
        _body("Guardrail", "worst", guardrail),
        *(_body("RemediationPolicy", f"worst-{n}", policy, namespace=_NAMESPACE) for n in range(POLICIES)),
        *(objective(n, texts) for n in range(OBJECTIVES)),
    ]


def gaps(states: list[Body]) -> list[float]:
    """Return the seconds between renewals, as they were sent."""
    sent = [datetime.fromisoformat(body["spec"]["renewTime"]).timestamp() for body in states]
    return [after - before for before, after in itertools.pairwise(sent)]


async def measure(arena: Arena, *, quick: bool) -> dict[str, Any]:
    """Apply it, and look at the Lease."""
    access = await Access.find(str(arena.cluster.kubeconfig))
    cycles = 2 if quick else 6
    async with AsyncExitStack() as stack:
        stack.enter_context(arena.namespace(_NAMESPACE))
        signals = stack.enter_context(Signals(arena).live())
        signals.set("errors", "target", 1.0, namespace=_NAMESPACE)
        arena.apply("MetricSource", "default", {"url": signals.url, "enforceLabel": "namespace"})
        arena.cluster.apply(deployment("target", 1), namespace=_NAMESPACE)
        worst = await asyncio.to_thread(bodies)
        api = await stack.enter_async_context(Api(access))
        port = KubernetesCluster(api, Recorder(api, "bench"), "default")
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR}/leases"
        account = await asyncio.to_thread(arena.cluster.kubeconfig_for, OPERATOR, ACCOUNT)
        operator = arena.operate("renewing", account, "5s")
        try:
            await operator.until_ready()
            witness = await stack.enter_async_context(Witness(access, leases).watching())
            watchman = await stack.enter_async_context(Watchman(operator).watching())
            await until(lambda: watchman.told.cycles >= 1, 60, "a cycle")
            idle = len(witness.states[_KEY])
            watchman.begin()
            await asyncio.gather(*map(port.create, worst))
            await until(lambda: watchman.told.cycles >= cycles, 300, "some cycles with the worst")
            await witness.settle()
        finally:
            await asyncio.to_thread(operator.stop)
            await asyncio.to_thread(arena.cluster.kubectl, "delete", "guardrail", "worst", "--ignore-not-found")
    # What ends the last is the release of the lease.
    longest = max(gaps(witness.states[_KEY][idle - 1 :]))
    deadline = Timing().renew_deadline
    return {
        "objectives": OBJECTIVES,
        "queries": OBJECTIVES * QUERIES,
        "policies": POLICIES,
        "cycles": watchman.told.cycles,
        "longestBetweenRenewalsS": round(longest, 2),
        "longestBeforeS": round(max(gaps(witness.states[_KEY][:idle]), default=0.0), 2),
        "renewDeadlineS": deadline,
        "longestWaitOfAProbeS": round(watchman.told.longest_wait, 2),
        "cyclesGivenUp": watchman.told.given_up,
        "residentMiB": watchman.told.resident >> 20,
        "holds": longest <= deadline / 2 and watchman.told.given_up == watchman.told.failed == 0,
    }
