"""The metrics of a cycle match their names. Kind: the number shown is not the number named."""

import math

from forestall.api import ServiceLevelObjective
from forestall.core.risk import SLI, Signal, assess
from forestall.engine.cycle_report import report_of
from forestall.engine.objective_status import Findings
from forestall.engine.readings import ErrorRatios

SLO = ServiceLevelObjective.read(
    {
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "u"},
        "spec": {
            "target": {"name": "checkout"},
            "indicator": {"raw": {"errorRatio": "x"}},
            "objective": 99.0,
        },
    }
)


def signal(indicator, value, *labels, known=True):
    return Signal(indicator, labels, value, 10.0, True, 600.0, 0.0, known, None)


def report(*signals, whole=0.0):
    found = Findings(SLO, assess(signals, 0.8), signals=signals, ratios=ErrorRatios(0.0, whole))
    return report_of({"u": found}, [], 0, {})


def test_every_indicator_has_a_probability():
    said = report(
        signal("memory", 11.0, ("pod", "a")),
        signal("memory", 12.0, ("pod", "b")),
        signal("queue", 11.0),
        signal("disk", 1.0),  # without a forecast yet
        signal("cpu", math.nan, known=False),
    )
    assert sorted(said.probabilities) == [("shop", "checkout", "memory", 1.0), ("shop", "checkout", "queue", 1.0)]


def test_counted_state_equals_the_state_in_the_status():
    assert report(signal(SLI, 11.0)).objectives == {"u": "Breached"}
    assert report(whole=0.02).objectives == {"u": "Unknown"}
