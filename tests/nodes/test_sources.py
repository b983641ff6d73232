"""What an operator in a pod makes of sources that it can't reach: those beside them are read all the same."""

import time
from typing import Any

import pytest
from tests.support.scaling import metric_source
from tests.support.waiting import until

from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.prometheus import PrometheusServer


def objective(name: str) -> dict[str, Any]:
    """Return an objective that reads from the source of the same name."""
    return {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "ServiceLevelObjective",
        "metadata": {"name": name},
        "spec": {
            "source": name,
            "target": {"kind": "Deployment", "name": "nothing"},
            "indicator": {"raw": {"errorRatio": "1 - avg(up)"}},
            "objective": 95,
        },
    }


@pytest.fixture
def objectives(operator: RealNodes, prometheus: PrometheusServer, namespace: str):
    """Two objectives: of `near` the source is reached by its address, of `nowhere` by a name that does not exist."""
    sources = [metric_source("near", prometheus.pod_url), metric_source("nowhere", "http://nothing.default.svc:9090")]
    operator.apply(*sources)
    operator.apply(objective("near"), objective("nowhere"), namespace=namespace)
    yield operator
    operator.kubectl("delete", "metricsource", "near", "nowhere", "--wait=false")


def fresh(cluster: RealNodes, name: str, namespace: str) -> tuple[str, str]:
    """Return status and reason of the condition DataFresh."""
    status = cluster.get("servicelevelobjectives", name, namespace).get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    condition = conditions.get("DataFresh", {})
    return condition.get("status", ""), condition.get("reason", "")


def evaluated(cluster: RealNodes, name: str, namespace: str) -> str:
    status = cluster.get("servicelevelobjectives", name, namespace).get("status") or {}
    return str(status.get("lastEvaluated", ""))


def test_a_name_that_does_not_exist_is_one_sources_trouble(objectives, namespace):
    until(lambda: fresh(objectives, "near", namespace)[0] == "True")
    until(lambda: fresh(objectives, "nowhere", namespace)[0] == "False")
    assert fresh(objectives, "near", namespace) == ("True", "Fresh")


def test_a_name_server_that_is_silent_delays_no_other_source(objectives, namespace):
    """The kind: one slow thing in a cycle delays all. A lookup waits for ten seconds, five times the interval."""
    until(lambda: fresh(objectives, "near", namespace)[0] == "True")
    with objectives.silent_dns():
        times = set[str]()
        deadline = time.monotonic() + 120
        while len(times) < 4:
            assert time.monotonic() < deadline, times
            times.add(evaluated(objectives, "near", namespace))
            assert fresh(objectives, "near", namespace) == ("True", "Fresh")
            time.sleep(0.5)
        assert fresh(objectives, "nowhere", namespace)[0] == "False"
