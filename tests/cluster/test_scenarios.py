"""The main job, for real: the shop's SLO breaks by itself, and does not when the operator is there.

The control plane, Prometheus, the requests and their queues are real, and the operator runs with the rights of the
chart's ServiceAccount. The scenarios are those of the demo, each cut to the part around its breach. They mostly wait,
so they are played side by side, and beside the other cluster tests: the fixture `played` starts them before the first.
"""

import json

import pytest


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("surge", "replicas of deployment shop/shop: 3 -> "),
        ("leak", "restart deployment shop/shop"),
        ("node", "cordon node node-2"),
    ],
)
def test_the_slo_breaks_without_the_operator_and_not_with_it(played, name, action):
    status, printed, log = played(name)
    assert status == 0, log
    found = json.loads(printed)
    assert found["valid"], found["problem"]
    assert found["without"]["badMinutes"] > 0
    assert found["with"]["badMinutes"] == 0
    assert found["done"]
    assert found["done"][0].startswith(action)
    assert found["leadTimeSeconds"] > 0
