"""Recommendations. The kind of fault to keep out: a controller that loses because of a bad start."""

from unittest.mock import Mock

import numpy as np
import pytest

from forestall.report.formatting import percent
from forestall.sim.compare import HPA, KEDA, WARM_UP_MINUTES, compare
from forestall.sim.controllers.hpa import Hpa
from forestall.sim.figures import compute_figures
from forestall.sim.page import conclusion
from forestall.sim.run import run


def no_progress(completed, total):
    pass


def day(seed, minutes=150):
    """A wave with noise."""
    noise = np.random.default_rng(seed).normal(0, 10, minutes)
    return np.maximum(120 + 80 * np.sin(np.arange(minutes) / 25) + noise, 5.0)


@pytest.mark.parametrize("replicas", [3, 9, 20])
async def test_the_hpa_keeps_its_size_until_there_are_metrics(make_service, replicas):
    service = make_service([100.0] * 10, replicas=replicas, past=[100.0] * 90, min_replicas=2)
    record = (await run([service], Hpa(np.array([0.7])))).record
    assert record.replicas[:2, 0].tolist() == [replicas, replicas]
    assert record.replicas[:, 0].min() >= min(replicas, 7)  # 100 of 7 x 20 is 0.71 of their capacity


@pytest.mark.parametrize("seed", [1])
async def test_a_perfect_hpa_is_kept(make_service, seed):
    """Where replicas serve at once, earlier requests gain nothing."""
    service = make_service(day(seed)[90:], past=day(seed)[:90], replicas=9, min_replicas=2, start_up=0.0)
    comparison = await compare(service, 99.0, 0.6, None, 300.0, no_progress, [HPA])
    assert comparison.result_of(HPA).figures.bad_minutes == 0
    assert (comparison.best, comparison.recommended) == (None, None)
    assert "Keep" in conclusion(comparison)


@pytest.mark.parametrize("seed", [3])
async def test_no_policy_is_recommended_where_another_hpa_target_is_as_good(make_service, seed):
    rates = np.concatenate((day(seed), [260.0] * 20, [60.0] * 40))
    service = make_service(rates[70:], past=rates[:70], replicas=9, min_replicas=2, start_up=180.0)
    comparison = await compare(service, 99.0, 0.9, None, 300.0, no_progress, [HPA])
    if comparison.best is not None and comparison.equivalent is not None:
        assert comparison.equivalent.replica_hours > comparison.result_of(comparison.best).figures.replica_hours
    elif comparison.best is None:
        assert comparison.equivalent is not None
        assert (
            percent(comparison.equivalent.target) in conclusion(comparison)
            or comparison.equivalent.target == comparison.target
        )


async def test_the_first_hour_does_not_count(make_service):
    """Too few initial replicas affect all controllers, and are corrected before the time that counts."""
    service = make_service(
        [200.0] * 60, past=[200.0] * (WARM_UP_MINUTES + 30), replicas=2, min_replicas=2, start_up=60.0
    )
    comparison = await compare(service, 99.0, 0.6, None, 300.0, no_progress)
    assert comparison.result_of(HPA).figures.bad_minutes == 0
    assert {len(result.replicas) for result in comparison.results} == {len(comparison.needed)} == {60}


async def test_without_history_all_of_the_traffic_counts(make_service):
    comparison = await compare(make_service([100.0] * 60, replicas=8), 99.0, 0.7, None, 300.0, no_progress)
    assert {result.figures.minutes for result in comparison.results} == {60}


async def test_the_figures_of_a_run_are_computed_once(make_service, monkeypatch):
    """The kind: what is computed for all services of a run, and then again for each of them."""
    computed = Mock(wraps=compute_figures)
    monkeypatch.setattr("forestall.sim.compare.compute_figures", computed)
    comparison = await compare(make_service([100.0] * 60, replicas=8), 99.0, 0.7, None, 300.0, no_progress)
    assert len(comparison.results) > 2
    records = [call.args[0] for call in computed.call_args_list]
    assert len(records) == len({id(record) for record in records}) > 2


@pytest.mark.parametrize("autoscalers", [[HPA], [KEDA], [HPA, KEDA]])
async def test_only_the_autoscalers_at_hand_are_compared(make_service, autoscalers):
    service = make_service([100.0] * 60, replicas=8)
    comparison = await compare(service, 99.0, 0.7, None, 300.0, no_progress, autoscalers)
    names = [result.name for result in comparison.results]
    assert {name.split(" ")[0] for name in names if "forestall" in name} == set(autoscalers)
    assert HPA in names, "savings are compared with the HPA"
    assert (KEDA in names) == (KEDA in autoscalers)


async def test_progress_goes_on_over_all_autoscalers(make_service):
    reports = []
    await compare(
        make_service([100.0] * 60, replicas=8), 99.0, 0.7, None, 300.0, lambda *report: reports.append(report)
    )
    shares = [completed / total for completed, total in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
