"""The controllers behave as their documentation says."""

import numpy as np
import pytest

from forestall.sim.controllers import crane, scheduled
from forestall.sim.controllers.alerts import BurnRateAlert, PredictLinearAlert
from forestall.sim.controllers.base import FixedReplicas
from forestall.sim.controllers.behavior import Behavior, ScalingRules
from forestall.sim.controllers.crane import Crane
from forestall.sim.controllers.hpa import TOLERANCE, Hpa, by_utilization
from forestall.sim.controllers.keda import Keda, by_average_value
from forestall.sim.controllers.predictive_hpa import HoltWinters, LinearPredictive
from forestall.sim.controllers.scheduled import ScheduledFloor
from forestall.sim.run import run


def array(value):
    return np.array([value])


@pytest.mark.parametrize(
    ("current", "ready", "use", "target", "desired"),
    [
        (1, 1, 1.0, 0.5, 2),  # twice the target: twice the pods
        (4, 4, 0.25, 0.5, 2),  # half the target: half the pods
        (10, 10, 0.55, 0.5, 10),  # within the tolerance of a tenth
        (10, 10, 0.56, 0.5, 12),  # just outside
        (3, 3, 0.6, 0.5, 4),  # rounded up
        (10, 5, 0.9, 0.5, 10),  # those that are not ready yet count as using nothing: 0.45 of 0.5
        (10, 8, 0.9, 0.5, 15),  # 0.72 on average of ten
        (10, 5, 0.25, 0.5, 3),  # scaling down, only those that are ready count
        (4, 0, 0.0, 0.5, 4),  # nothing is ready: nothing is known
    ],
)
def test_the_hpa_computes_the_documented_replicas(current, ready, use, target, desired):
    assert by_utilization(array(current), array(ready), array(use), array(target))[0] == desired


def test_new_replicas_do_not_make_the_hpa_scale_up_further(make_service, run_sync):
    service = make_service([60.0] * 5 + [85.0] * 20, replicas=5, past=[60.0] * 5, start_up=60.0)
    replicas = run_sync([service], Hpa(array(0.6))).record.replicas[:, 0]
    # The usage of 30 s rises in two steps: 0.725 asks for 7 of 5, and then 85 of 7 x 20 is within the tolerance.
    assert replicas[-1] == replicas.max() == 7


def test_an_external_metric_ignores_readiness():
    assert by_average_value(array(3), array(100.0), array(10.0))[0] == 10
    assert by_average_value(array(10), array(109.0), array(10.0))[0] == 10
    assert by_average_value(array(10), array(111.0), array(10.0))[0] == 12


class FakeObservation:
    """The part of an observation that `Behavior` reads."""

    def __init__(self, replicas, min_replicas=1, max_replicas=100):
        self.replicas = array(replicas)
        self.min_replicas, self.max_replicas = array(min_replicas), array(max_replicas)
        self.scales, self.now = self, 0.0

    def advance(self, behavior, recommended, times=1):
        history = []
        for _ in range(times):
            self.replicas = behavior.stabilize(array(recommended), self)
            history.append(int(self.replicas[0]))
            self.now += 15.0
        return history


def test_default_scale_up_doubles_or_adds_four_every_15_s():
    assert FakeObservation(1).advance(Behavior(), 50, 5) == [5, 10, 20, 40, 50]


def test_scale_down_follows_the_stabilization_window_of_300_s():
    observation, behavior = FakeObservation(10), Behavior()
    observation.advance(behavior, 10)
    assert observation.advance(behavior, 4, 19) == [10] * 19
    assert observation.advance(behavior, 4) == [4]


def test_scaling_policies_bound_the_change_in_their_period():
    down = ScalingRules(0.0, percent=(10.0, 60.0))
    history = FakeObservation(80).advance(Behavior(down=down), 10, 8)
    assert history == [72, 72, 72, 72, 64, 64, 64, 64]  # a tenth of what there was, once in 60 s
    up = ScalingRules(0.0, pods=(4.0, 60.0))
    assert FakeObservation(1).advance(Behavior(up=up), 50, 5) == [5, 5, 5, 5, 9]


def test_raised_min_replicas_apply_at_once():
    observation = FakeObservation(2, min_replicas=9)
    assert observation.advance(Behavior(), 3) == [9]


async def replicas_of(service, controller):
    outcome = await run([service], controller)
    return outcome.record.replicas[:, 0]


async def test_the_hpa_settles_at_its_target(make_service):
    replicas = await replicas_of(make_service([120.0] * 60, 3, start_up=30.0), Hpa(array(0.6)))
    assert replicas[-1] == replicas[-2]
    assert 120 / 20 / replicas[-1] / 0.6 == pytest.approx(1, abs=TOLERANCE)


async def test_keda_settles_at_its_target(make_service):
    replicas = await replicas_of(make_service([120.0] * 30, 3), Keda(array(0.6)))
    assert replicas[-1] == 10


async def test_linear_prediction_scales_ahead_of_a_trend(make_service):
    rising = np.linspace(50, 450, 60)
    late = await replicas_of(make_service(rising), Keda(array(0.8)))
    early = await replicas_of(make_service(rising), LinearPredictive(array(0.8), array(300.0)))
    assert early[30:200].mean() > late[30:200].mean() + 1


@pytest.fixture
def daily():
    """Three days with the same peak at noon."""
    minute = np.arange(3 * 1440)
    return 60 + 200 * np.exp(-(((minute % 1440) - 720) ** 2) / 3000.0)


@pytest.mark.parametrize(
    "controller",
    [
        HoltWinters(array(0.8), array(600.0)),
        Crane(array(0.8), array(600.0)),
        ScheduledFloor(array(0.8), array(600.0)),
    ],
)
async def test_seasonal_controllers_scale_ahead_of_a_daily_peak(make_service, daily, controller):
    service = make_service(daily[:720], past=daily)
    late = await replicas_of(service, Keda(array(0.8)))
    early = await replicas_of(service, controller)
    before = slice(600 * 4, 700 * 4)
    assert early[before].mean() > late[before].mean() + 0.5


def test_no_period_is_found_in_noise(daily):
    noise = np.random.default_rng(1).normal(100, 10, len(daily))
    assert not crane.forecast(noise, 0.1).any()
    assert crane.forecast(daily, 0.0)[720] == pytest.approx(np.percentile(daily, 99.9), rel=0.01)


def test_the_hours_of_the_forecast_are_those_of_the_past(daily):
    hours = scheduled.forecast(daily.reshape(-1, 60).mean(axis=1))
    assert hours[12] == pytest.approx(daily[720:780].mean())
    assert hours[36] == hours[12]


async def test_an_alert_runbook_adds_a_fixed_share_and_waits(make_service):
    service = make_service([50.0] * 20 + [200.0] * 40, 4, start_up=120.0)
    by_line = await replicas_of(service, PredictLinearAlert(array(0.9), array(180.0), array(120.0)))
    by_burn = await replicas_of(service, BurnRateAlert(array(0.5), 99.0, array(120.0)))
    assert by_line[-1] >= 10
    assert by_burn[-1] >= 10
    raised = np.flatnonzero(np.diff(by_line) > 0)
    assert np.diff(raised).min() >= 120 / 15, "the last ones must have started"


async def test_fixed_replicas_do_not_change(make_service):
    assert set(await replicas_of(make_service([100.0] * 10, 3), FixedReplicas())) == {3.0}
