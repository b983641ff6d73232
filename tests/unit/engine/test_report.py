import math

import pytest

from forestall.api import ServiceLevelObjective
from forestall.api.meta import Condition, condition
from forestall.core.risk import Risk, State
from forestall.engine.observe import Ratios
from forestall.engine.report import Findings, Problem, settle, status_of, weight

SLO = ServiceLevelObjective.read(
    {
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "u", "generation": 3},
        "spec": {
            "target": {"name": "checkout"},
            "indicator": {"raw": {"errorRatio": "x"}},
            "objective": 99.0,
        },
    }
)


def found(**changes):
    return Findings(slo=SLO, risk=Risk(State.HEALTHY, 0.1, None), **changes)


@pytest.mark.parametrize(
    ("whole", "sli", "left"),
    [
        (0.0, "100.000%", "100%"),
        (0.005, "99.500%", "50%"),
        (0.02, "98.000%", "-100%"),
        (1e-9, ">99.999%", ">99%"),
        (0.00999, "99.001%", "<1%"),
        (math.nan, None, None),
    ],
)
def test_figures_are_rounded_but_never_to_all_or_nothing(whole, sli, left):
    status = status_of(found(ratios=Ratios(math.nan, whole)), now=0.0)
    assert (status.sli, status.budget_remaining) == (sli, left)


def test_what_must_be_mended_is_the_ready_condition():
    status = status_of(found(problem=Problem("TargetMissing", "Deployment checkout does not exist")), now=0.0)
    ready = condition(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.observed_generation) == ("False", "TargetMissing", 3)


def test_a_condition_keeps_the_time_of_its_last_change():
    first = settle([], [Condition(type="Ready", status="True", reason="A")], 1, now=100.0)
    same = settle(first, [Condition(type="Ready", status="True", reason="B")], 2, now=200.0)
    other = settle(same, [Condition(type="Ready", status="False", reason="C")], 2, now=300.0)
    assert first[0].last_transition_time == same[0].last_transition_time != other[0].last_transition_time


def test_moving_figures_are_no_news():
    one = status_of(found(ratios=Ratios(0.1, 0.001)), now=0.0)
    two = status_of(found(ratios=Ratios(0.2, 0.002)), now=60.0)
    assert one != two
    assert weight(one) == weight(two)
