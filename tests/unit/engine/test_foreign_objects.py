"""Malformed objects of one namespace never keep other objectives from being decided and remediated.

The kind: the exception of one malformed object ends the cycle for all. Valid objects of every kind that is read are
mutated at random paths into other JSON values, again in every cycle, while policies with every action use them; the
bystander in another namespace must still be scaled.
"""

import asyncio
import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.kinds import EXTENSIONS
from tests.support.memory_cluster import MemoryCluster
from tests.support.settings import UnhurriedSettings
from tests.support.turns import counted_turns

from forestall.api import Remediation
from forestall.api.remediation import ObjectRef
from forestall.core.risk import Signal
from forestall.engine import Engine, Settings, forecasting, status_publisher
from forestall.engine.assessor import Assessor
from forestall.engine.decider import Decider
from forestall.engine.indicator_queries import IndicatorQuery
from forestall.engine.query_planner import QueryPlanner
from forestall.engine.readings import Reading
from forestall.engine.status_publisher import StatusPublisher
from forestall.engine.subject_checker import SubjectChecker
from forestall.engine.target_resolver import TargetResolver
from forestall.ports import Answer, Query, RangeSeries, Sample
from forestall.registry import Registry
from forestall.remediation import RemediationReconciler

EXAMPLES = int(os.environ.get("FORESTALL_FUZZ", "25"))
"""How many mutated clusters are tried."""
API = "forestall.dev/v1alpha1"
START, INTERVAL = 1_800_000_000.0, 10.0
CREATED = "2026-01-31T18:00:00Z"
ACTIONS: dict[str, Any] = {
    "scale": {"maxReplicas": 8, "capacity": {"type": "Declared", "perReplica": 50, "headroom": 0}},
    "restart": {"timing": "Now"},
    "rollback": {"within": "7d"},
    "patch": {
        "target": {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"},
        "field": "/data/flag",
        "value": "off",
    },
    "job": {"cronJob": "runbook"},
    "evict": {},
    "cordon": {},
    "drain": {},
    "notify": {"channel": "pager"},
}
TARGETS = {
    "deployment": ("apps/v1", "Deployment"),
    "statefulset": ("apps/v1", "StatefulSet"),
    "daemonset": ("apps/v1", "DaemonSet"),
    "rollout": ("argoproj.io/v1alpha1", "Rollout"),
}
JUNK: list[Any] = [
    None,
    "",
    "text",
    "9" * 5000,
    ".",
    "..",
    0,
    -1,
    2**70,
    1.5,
    float("nan"),
    True,
    [],
    {},
    [None],
    [""],
    {"a": None},
    [{}],
]
IDENTITY = ("name", "namespace", "uid", "resourceVersion")


def meta(name: str, namespace: str = "evil", **more: Any) -> dict[str, Any]:
    return {"name": name, "uid": f"{namespace}-{name}", "resourceVersion": "1", "generation": 1, **more} | (
        {"namespace": namespace} if namespace else {}
    )


def owned(kind: str, name: str, api_version: str = "apps/v1") -> list[dict[str, Any]]:
    return [{"apiVersion": api_version, "kind": kind, "name": name, "uid": f"evil-{name}", "controller": True}]


def workload(version: str, kind: str, name: str, namespace: str = "evil") -> dict[str, Any]:
    labels = {"app": name}
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:template": {}}}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": meta(
            name, namespace, annotations={"note": "x"}, labels=labels,
            managedFields=[{"manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}],
        ),
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "partition": 0}},
            "template": {"metadata": {"labels": labels, "annotations": {}}, "spec": {"containers": [{"name": "main"}]}},
        },
        "status": {
            "observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
            "desiredNumberScheduled": 2, "numberReady": 2, "updatedNumberScheduled": 2, "numberAvailable": 2,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
        },
    }  # fmt: skip


def revision(kind: str, of: str, number: int) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": of, "pod-template-hash": "x"}},
        "spec": {"containers": [{"name": "main" if number == 2 else "old"}]},
    }
    annotations = {"deployment.kubernetes.io/revision": str(number)}
    owner = {"ReplicaSet": "Deployment"}.get(kind, "StatefulSet" if of == "statefulset" else "DaemonSet")
    body = {
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": meta(
            f"{of}-{number}", ownerReferences=owned(owner, of), annotations=annotations, creationTimestamp=CREATED,
            labels={"app": of},
        ),
    }  # fmt: skip
    if kind == "ReplicaSet":
        return {**body, "spec": {"template": template}}
    return {**body, "revision": number, "data": {"spec": {"template": template}}}


def pod(name: str, owner: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": meta(name, ownerReferences=list(owner), labels={"app": "deployment"}, annotations={}),
        "spec": {
            "nodeName": "n1", "nodeSelector": {"zone": "a"}, "overhead": {"cpu": "1m"},
            "containers": [{"name": "main", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}],
            "initContainers": [{"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "10m"}}}],
            "volumes": [{"name": "v", "configMap": {"name": "flags"}}],
            "tolerations": [{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}},
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": meta(name, "", labels={"zone": "a"}, annotations={}),
        "spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
        },
    }  # fmt: skip


FOREIGN: list[dict[str, Any]] = [
    *(workload(*target, name) for name, target in TARGETS.items()),
    *(revision("ReplicaSet", "deployment", number) for number in (1, 2)),
    *(revision("ControllerRevision", of, number) for of in ("statefulset", "daemonset") for number in (1, 2)),
    pod("deployment-a", owned("ReplicaSet", "deployment-2")),
    pod("deployment-b", owned("ReplicaSet", "deployment-2")),
    pod("agent", owned("DaemonSet", "daemonset")),
    pod("bare", owned("ReplicaSet", ".")),
    node("n1"), node("n2"), node("n3"),
    {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta("hpa", labels={}),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "statefulset"},
            "minReplicas": 2, "maxReplicas": 9, "behavior": {"scaleUp": {"selectPolicy": "Max"}},
        },
    },
    {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": meta("keda", annotations={"a": "b"}),
        "spec": {"scaleTargetRef": {"name": "rollout", "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"},
                 "minReplicaCount": 1, "maxReplicaCount": 9},
        "status": {"hpaName": "keda-hpa-keda", "conditions": [{"type": "Paused", "status": "False"}]},
    },
    {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta("pdb"),
        "spec": {"selector": {
            "matchLabels": {"app": "deployment"},
            "matchExpressions": [{"key": "app", "operator": "In", "values": ["deployment"] * 65}],
        }},
        "status": {"disruptionsAllowed": 1, "observedGeneration": 1},
    },
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("flags", annotations={}), "data": {"flag": "on"}},
    {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("runbook"),
        "spec": {"suspend": True, "jobTemplate": {"metadata": {"labels": {}}, "spec": {"template": {
            "metadata": {}, "spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "b"}]}]}}}}},
    },
    {"apiVersion": "v1", "kind": "Namespace", "metadata": meta("evil", "", annotations={}, labels={"team": "evil"})},
]  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every path of a document that may be mutated."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        here = (*path, key)
        if here not in (("metadata",), ("apiVersion",), ("kind",)) and not (path == ("metadata",) and key in IDENTITY):
            yield here
        yield from paths(each, here)


PLACES = [(number, path) for number, body in enumerate(FOREIGN) for path in paths(body)]
CHANGES = st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(JUNK)), max_size=12)


def change(bodies: Sequence[dict[str, Any]], changes: Sequence[tuple[tuple[int, tuple[Any, ...]], Any]]) -> None:
    """Replace the values at some paths, as far as these still exist."""
    for (number, path), junk in changes:
        holder: Any = bodies[number]
        for part in path[:-1]:
            holder = holder[part] if has(holder, part) else None
        if has(holder, path[-1]):
            holder[path[-1]] = copy.deepcopy(junk)


def has(holder: Any, part: Any) -> bool:
    return part in holder if isinstance(holder, dict) else isinstance(holder, list) and part in range(len(holder))


class World(MemoryCluster):
    """A cluster with objects of users. Forestall's own objects are in the registry only: their statuses are stored."""

    def __init__(self) -> None:
        super().__init__(extensions=[kind.kind for kind in EXTENSIONS])
        self.statuses: dict[str, Mapping[str, Any]] = {}
        self.insert(workload("apps/v1", "Deployment", "checkout", "good"))
        for body in FOREIGN:
            self.insert(body)

    def foreign(self) -> list[dict[str, Any]]:
        """Return the objects of the mutated namespace as they are now, without deleted ones."""
        return [self.objects.get(key_of(body), {}) for body in FOREIGN]

    async def apply_status(self, ref: ObjectRef, status: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
        self.statuses[ref.name] = status
        return {"metadata": {"resourceVersion": resource_version}}


def key_of(body: Mapping[str, Any]) -> tuple[str, str, str]:
    return body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]


class Load:
    """Implements the `Metrics` port: every objective's load is past its limit, with these labels of pod and node."""

    def __init__(self, pod: str, node: str) -> None:
        self.labels = (("node", node), ("pod", pod))

    async def instant(self, source, queries, at):
        load = Answer((Sample(self.labels, 300.0),), at)
        return {q.key: load if q.key[1] == "load" else Answer((Sample((), 0.0),), at) for q in queries}

    async def range(self, source, queries, start, end, step):
        return {query.key: (RangeSeries((), (), ()),) for query in queries}


def registry(actions: Sequence[str]) -> Registry:
    own = Registry()
    own.put(
        "MetricSource", {"metadata": {"name": "default", "uid": "m"}, "spec": {"url": "http://x", "namespaces": {}}}
    )
    own.put("Guardrail", {"metadata": {"name": "all", "uid": "g"}, "spec": {
        "allow": [{"namespaces": {}, "actions": [name.capitalize() for name in ACTIONS]}],
        "nodes": {"maxCordoned": 3}, "storm": {"objectives": 1000},
    }})  # fmt: skip
    for namespace in ("evil", "good"):
        own.put("Namespace", {"metadata": {"name": namespace, "uid": f"ns-{namespace}"}})
    objectives = [("evil", name, target) for name, target in TARGETS.items()]
    for namespace, name, (version, kind) in [*objectives, ("good", "checkout", TARGETS["deployment"])]:
        own.put("ServiceLevelObjective", {"metadata": meta(name, namespace), "spec": {
            "target": {"apiVersion": version, "kind": kind, "name": name},
            "indicator": {"raw": {"errorRatio": "x"}}, "objective": 99.0,
            "leadingIndicators": [{"name": "load", "query": "load", "limit": 100, "horizon": "5m", "per": "pod"}],
        }})  # fmt: skip
    for number, action in enumerate(actions):
        own.put("RemediationPolicy", {"metadata": meta(f"p{number}", "evil"), "spec": {
            "mode": "Auto", "actions": [{action: ACTIONS[action]}],
        }})  # fmt: skip
    own.put("RemediationPolicy", {"metadata": meta("early", "good"), "spec": {
        "mode": "Auto", "actions": [{"scale": ACTIONS["scale"]}],
    }})  # fmt: skip
    assert not list(own.invalid())
    return own


@settings(
    max_examples=EXAMPLES, database=None,
    suppress_health_check=list(HealthCheck), print_blob=True,
)  # fmt: skip
@given(
    cycles=st.lists(CHANGES, min_size=3, max_size=3),
    actions=st.permutations(sorted(ACTIONS)),
    pod=st.sampled_from(["deployment-a", "deployment-b", "agent", "bare", "..", "", "a/b"]),
    node=st.sampled_from(["n1", "n2", ".", "..", ""]),
)
def test_mutated_objects_of_one_namespace_affect_no_other(cycles, actions, pod, node):
    asyncio.run(run(cycles, actions, pod, node))


async def run(cycles: Any, actions: Sequence[str], pod: str, node: str) -> World:
    world, own = World(), registry(actions)
    engine = Engine(Load(pod, node), world, own, UnhurriedSettings(interval=INTERVAL, threads=False))
    faults: dict[str, int] = {}
    for number, changes in enumerate(cycles):
        change(world.foreign(), changes)
        report = await engine.cycle(START + number * INTERVAL, leading=True)
        faults |= report.faults
        assert len(report.findings) == len(TARGETS) + 1
        bystander = report.findings["good-checkout"]
        assert bystander.problem is None
        assert [each.reason for each in bystander.decisions] == ["SufficientReplicas" if number else "LimitPassed"]
        assert all(findings.decisions for findings in report.findings.values())
    assert world.objects["Deployment", "good", "checkout"]["spec"]["replicas"] == 6
    mine = [one for one in own.all(Remediation) if one.namespace == "good"]
    assert [one.ended for one in mine] == [False]
    # Not only isolated: what others write is read without trust, and never an unexpected error.
    assert faults == {}
    return world


def place(kind: str, name: str, *path: Any) -> tuple[int, tuple[Any, ...]]:
    """Return a path in an object of the mutated namespace."""
    return next(number for number, body in enumerate(FOREIGN) if key_of(body)[::2] == (kind, name)), path


TEXT = "text"
CASES: dict[str, list[tuple[tuple[int, tuple[Any, ...]], Any]]] = {
    "a budget of 17 labels": [
        (place("PodDisruptionBudget", "pdb", "spec", "selector", "matchLabels"), {f"k{n}": "v" for n in range(17)}),
    ],
    "a budget of 17 expressions": [
        (
            place("PodDisruptionBudget", "pdb", "spec", "selector", "matchExpressions"),
            [{"key": "app", "operator": "NotIn", "values": [f"v{n}" for n in range(65)]}] * 17,
        ),
    ],
    "a revision of 5000 digits": [
        (
            place("ReplicaSet", "deployment-2", "metadata", "annotations", "deployment.kubernetes.io/revision"),
            "9" * 5000,
        ),
    ],
    "a template that is a text": [(place("Rollout", "rollout", "spec", "template"), TEXT)],
    "ready replicas that are a text": [(place("Rollout", "rollout", "status", "readyReplicas"), TEXT)],
    "ready replicas that are null": [(place("Rollout", "rollout", "status", "readyReplicas"), None)],
    "replicas that are no number": [(place("Rollout", "rollout", "spec", "replicas"), TEXT)],
    "an owner of a name that is none": [
        (place("Pod", "deployment-a", "metadata", "ownerReferences", 0, "name"), "."),
        (place("Pod", "deployment-a", "metadata", "ownerReferences", 0, "uid"), "."),
    ],
    "nulls for maps and lists": [
        (place(kind, name, *path), None)
        for kind, name in (("Deployment", "deployment"), ("Pod", "deployment-a"), ("Node", "n1"))
        for path in (("spec",), ("status",), ("metadata", "annotations"), ("metadata", "labels"))
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_objects_that_once_ended_every_cycle_end_none(case):
    await run([CASES[case], [], []], sorted(ACTIONS), "deployment-a", "n1")


async def test_unreadable_revision_is_named():
    changes = CASES["a revision of 5000 digits"]
    world = await run([changes, [], []], ["rollback"], "deployment-a", "n1")
    decision = world.statuses["deployment"]["decisions"][0]
    assert decision["reason"] == "TargetUnknown"
    assert "ReplicaSet deployment-2 can't be understood" in decision["message"]


class Panic(BaseException):
    """The exception of a native library that panics, which is no `Exception`."""


def failing(original: Callable[..., Any], hits: Callable[..., bool]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if hits(*args, **kwargs):
            raise Panic("by one tenant's object")
        return original(*args, **kwargs)

    return call


def about_evil(*args: Any, **_: Any) -> bool:
    """Say whether a call is about the objective `evil/deployment`, or a remediation of its namespace."""
    for each in args:
        about = getattr(each, "slo", getattr(getattr(each, "evaluation", None), "slo", each))
        if getattr(about, "uid", None) == "evil-deployment" or each == "evil-deployment":
            return True
        if isinstance(each, Remediation) and each.namespace == "evil":
            return True
    return False


@pytest.mark.parametrize(
    ("where", "what", "doing"),
    [
        (QueryPlanner, "_compile", "compiling"),
        (Assessor, "threshold", "assessing"),
        (Assessor, "_episode", "assessing"),
        (SubjectChecker, "_due", "assessing"),
        (SubjectChecker, "_judged", "assessing"),
        (TargetResolver, "read", "deciding"),
        (Decider, "decide", "deciding"),
        (Decider, "confirm", "opening"),
        (RemediationReconciler, "reconcile", "driving"),
        (status_publisher, "status_of", "publishing"),
        (StatusPublisher, "_policy", "publishing"),
    ],
)
async def test_unexpected_error_is_confined_to_its_object(monkeypatch, where, what, doing):
    """The kind: the exception of one object ends the cycle for all; the panic of a native library is no `Exception`."""
    hits = about_evil
    if what == "decide":
        hits = lambda *args, **_: any(about_evil(each) for each in args)  # noqa: E731 -- as the others
    elif what == "_policy":
        hits = lambda *args, **_: args[1].namespace == "evil"  # noqa: E731 -- as the others
    monkeypatch.setattr(where, what, failing(getattr(where, what), hits))
    world, own = World(), registry(["scale"])
    engine = Engine(Load("deployment-a", "n1"), world, own, UnhurriedSettings(interval=INTERVAL, threads=False))
    for number in range(3):
        report = await engine.cycle(START + number * INTERVAL, leading=True)
        assert report.findings["good-checkout"].problem is None
        if number == 0:
            assert report.faults[doing]
    assert world.objects["Deployment", "good", "checkout"]["spec"]["replicas"] == 6
    told = str(world.statuses) + str([one.status.reason for one in own.all(Remediation)])
    assert "InternalError" in told
    good = {name: world.statuses[name] for name in ("checkout", "early")}
    assert "InternalError" not in str(good)


@pytest.mark.parametrize(("phase", "held"), [("Executing", True), ("", True), ("Succeeded", False)])
async def test_remediation_of_a_newer_version_holds_its_namespace_while_under_way(phase, held):
    """The kind: an object of a later version is unknown, and must not be treated as absent."""
    world, own = World(), registry(["scale"])
    body = {
        "metadata": meta("newer", "evil"),
        "spec": {"intent": {"action": {"teleport": {}}}},
        "status": {"phase": phase},
    }
    own.put("Remediation", body)
    engine = Engine(Load("a", "n1"), world, own, UnhurriedSettings(interval=INTERVAL, threads=False))
    report = await engine.cycle(START, leading=True)
    decision = report.findings["evil-deployment"].decisions[0]
    assert (decision.reason == "RemediationUnreadable") == held
    assert not held or "newer" in decision.message
    assert report.findings["good-checkout"].decisions[0].reason == "LimitPassed"


class Stopping(Exception):
    """A value that makes the forecaster fail."""


def test_forecast_continues_without_the_series_that_fail(monkeypatch):
    original = forecasting._forecast

    def forecast(forecaster: Any, limits: Any, now: float) -> Any:
        known = list(limits)
        if any(limit.value == 13.0 for some in known for limit in some.values()):
            raise Stopping
        return original(forecaster, known, now)

    monkeypatch.setattr(forecasting, "_forecast", forecast)
    forecaster = forecasting.Forecasting(Settings(interval=INTERVAL))
    limits = {f"o-{number}": 13.0 if number == 5 else 100.0 for number in range(9)}

    def cycle(now: float, limits: Mapping[str, float]) -> dict[str, tuple[Signal, ...]]:
        readings = {
            uid: (
                Reading(
                    IndicatorQuery(uid, "load", Query(uid, "x"), limit, True, 300.0, None, False), {(): 50.0}, now, True
                ),
            )
            for uid, limit in limits.items()
        }
        forecaster.matrix.push(now, {(uid, "load", ()): 50.0 for uid in limits})
        return forecaster.forecast(readings, now)

    for number in range(3):
        found = cycle(START + number * INTERVAL, limits)
        assert [uid for uid, some in found.items() if some[0].forecast is None] == ["o-5"]
        assert list(forecaster.failures) == ["o-5"]
    # Its limit was mended: it is tried again.
    found = cycle(START + 30, {**limits, "o-5": 100.0})
    assert all(some[0].forecast is not None for some in found.values())
    assert forecaster.failures == {}


async def test_decisions_without_requests_yield_to_other_tasks():
    """Kind: cost that users control. 400 decisions in a row kept the lease from being renewed."""
    own = Registry()
    own.put("MetricSource", {"metadata": {"name": "default", "uid": "m"}, "spec": {"url": "http://x"}})
    for number in range(20):
        indicator = {"raw": {"errorRatio": "x"}}
        spec = {"target": {"name": "checkout"}, "indicator": indicator, "objective": 99.0}
        own.put("ServiceLevelObjective", {"metadata": meta(f"o{number}", "good"), "spec": spec})
        rung = {"notify": {"channel": "a"}}
        own.put("RemediationPolicy", {"metadata": meta(f"p{number}", "good"), "spec": {"actions": [rung]}})
    engine = Engine(Load("a", "b"), World(), own, UnhurriedSettings(interval=INTERVAL, threads=False))

    async with counted_turns() as turns:
        report = await engine.cycle(START, leading=True)
    assert sum(report.decisions.values()) == 400
    assert turns.count >= 60  # 38 without; eight are decided at once
