"""Laws of the forecasts of leaks, as a source tells of them that measures when it likes.

The kubelet measures memory every ten to fifteen seconds, Prometheus scrapes when it is due, and the operator asks in
cycles of its own: values repeat, and are some seconds old when they come.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from forestall.core.forecast import BreachForecaster, ForecastTable, Limit
from forestall.core.forecast.renewals import Renewals
from forestall.core.series import SeriesMatrix

START = 1_700_006_400.0
HORIZONS = (4, 20, 60, 120)  # steps
PAGE = 4096 / 2**20  # MiB
LIMIT = 120.0
SERIES = 6

Memory = Callable[[np.ndarray], np.ndarray]


class Pipeline(NamedTuple):
    """How memory comes to the operator: intervals (s) of the source, of scrapes and of cycles, and the horizon."""

    source: float
    scrape: float
    step: float
    horizon: float


PIPELINES = [
    Pipeline(2, 2, 2, 30),  # nothing repeats
    Pipeline(10, 2, 2, 30),  # five to seven cycles for each measurement
    Pipeline(10, 15, 2, 40),
    Pipeline(10, 15, 10, 120),
    Pipeline(10, 30, 30, 600),  # a measurement is half a minute old at times
]


def points(memory: Memory, pipeline: Pipeline, end: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values at each cycle, and when the source measured them (s); NaN before the first."""
    random = np.random.default_rng(seed)
    gaps = pipeline.source * random.uniform(
        1, 1.5 if pipeline.source > pipeline.step else 1, int(end / pipeline.source) + 3
    )
    measured_at = np.cumsum(gaps) - gaps[0]
    noise = random.normal(0, 0.2, measured_at.size)
    values = np.round((memory(measured_at) + noise) / PAGE) * PAGE
    scrapes = np.arange(random.uniform(0, pipeline.scrape), end + pipeline.scrape, pipeline.scrape)
    newest = np.searchsorted(measured_at, scrapes, side="right") - 1
    seen = np.searchsorted(scrapes, np.arange(0, end, pipeline.step), side="right") - 1
    index = newest[np.maximum(seen, 0)]
    return np.where(seen >= 0, values[index], np.nan), np.where(seen >= 0, measured_at[index], np.nan)


class Pod(NamedTuple):
    """A pod's memory until `end` (s), and the pipeline that tells of it."""

    memory: Memory
    pipeline: Pipeline
    end: float
    seed: int


def forecasts(pods: list[Pod]) -> list[ForecastTable]:
    """The forecast of each cycle for these pods, whose pipelines have cycles of the same length. A forecast is not
    affected by others that are made with it (`test_forecast_laws.py`), and all together take hardly longer than one.
    """
    (step,) = {pod.pipeline.step for pod in pods}
    matrix = SeriesMatrix(step, 1000)
    forecaster = BreachForecaster(matrix, [steps * step for steps in HORIZONS])
    forecaster.set_limits(dict.fromkeys(range(len(pods)), Limit(LIMIT, long_trend=True)))
    measured = [points(*pod) for pod in pods]
    values, measured_at = np.full((2, max(values.size for values, _ in measured), len(pods)), np.nan)
    for row, of_pod in enumerate(measured):
        values[: of_pod[0].size, row], measured_at[: of_pod[0].size, row] = of_pod
    rows = np.array([matrix.row(key) for key in range(len(pods))])
    tables = []
    for cycle, (column, times) in enumerate(zip(values, measured_at, strict=True)):
        now = START + cycle * step
        matrix.push_rows(now, rows, column, START + times)
        forecaster.update(now)
        tables.append(forecaster.forecast(now))
    return tables


def leak(pipeline: Pipeline, number: int) -> tuple[Memory, float]:
    """Memory of a pod that starts and leaks at once, and when it passes its limit: after five to seven horizons."""
    ramp, breach = 15.0, (5 + 2 * number / SERIES) * pipeline.horizon
    slope = (LIMIT - 30) / (breach - ramp)
    return lambda time: 30 * np.minimum(time / ramp, 1) + slope * np.clip(time - ramp, 0, None), breach


@pytest.mark.parametrize("pipelines", [PIPELINES[:3], PIPELINES[3:4], PIPELINES[4:]])
def test_a_linear_leak_is_foreseen_at_its_horizon_however_it_is_measured(pipelines):
    """Repeated samples are not new evidence, and what is some seconds old has gone on since."""
    breaches = [[leak(pipeline, number)[1] for number in range(SERIES)] for pipeline in pipelines]
    tables = forecasts([
        Pod(leak(pipeline, number)[0], pipeline, max(of_pipeline), number)
        for pipeline, of_pipeline in zip(pipelines, breaches, strict=True)
        for number in range(SERIES)
    ])  # fmt: skip
    for first, (pipeline, of_pipeline) in enumerate(zip(pipelines, breaches, strict=True)):
        foreseen_at_its_horizon(tables, first * SERIES, pipeline, of_pipeline)


def foreseen_at_its_horizon(
    tables: list[ForecastTable], first_row: int, pipeline: Pipeline, breaches: list[float]
) -> None:
    def ahead(share: float) -> list[float]:
        """P(breach) so many horizons before it."""
        cycles = [round((breach - share * pipeline.horizon) / pipeline.step) for breach in breaches]
        return [
            tables[cycle].at(row).probability_within(pipeline.horizon) for row, cycle in enumerate(cycles, first_row)
        ]

    assert np.mean(ahead(1.6)) < 0.3, f"not long before, by {pipeline}"
    assert np.mean(ahead(0.8)) > 0.65, pipeline
    assert np.mean(ahead(0.5)) > 0.85, pipeline
    errors = []
    for row, breach in enumerate(breaches, first_row):
        left = 0.8 * pipeline.horizon
        expected = tables[round((breach - left) / pipeline.step)].at(row).time_to_breach
        errors.append(abs(expected - left) / left)
    assert np.median(errors) < 0.2, pipeline


def plateau(time: np.ndarray) -> np.ndarray:
    return np.minimum(20 + time * 0.25, 80)


def garbage_collected(time: np.ndarray) -> np.ndarray:
    return 50 + 0.5 * (time % 60)


def steps(time: np.ndarray) -> np.ndarray:
    return 20.0 + 20 * (time // 90 % 4)


def still(time: np.ndarray) -> np.ndarray:
    return np.full_like(time, 100)


DECOYS: list[Memory] = [plateau, garbage_collected, steps, still]


def test_what_stays_below_its_limit_is_not_foreseen_as_a_leak():
    pods = [Pod(memory, pipeline, 600, seed) for pipeline in PIPELINES[1:3] for seed, memory in enumerate(DECOYS)]
    for table in forecasts(pods):
        for row, pod in enumerate(pods):
            assert not table.at(row).probability_within(pod.pipeline.horizon) >= 0.7, pod


def observed(values: list[float]) -> list[bool]:
    """Which of the values are measured anew."""
    renewals, last, result = Renewals(1), np.zeros(1), []
    for value in values:
        now = np.array([value])
        result.append(bool(renewals.observe(np.isfinite(now), now != last)[0]))
        last = now
    return result


def test_what_repeats_between_measurements_is_not_measured_anew():
    held = np.repeat(np.arange(1.0, 9.0), 5).tolist()
    assert observed(held)[15:] == [index % 5 == 0 for index in range(25)]


def test_what_never_repeats_or_stands_still_is_measured_at_each_column():
    assert all(observed(list(np.arange(1.0, 30.0))))
    assert all(observed([7.0] * 30))


def test_a_series_that_comes_to_rest_is_measured_again_after_two_of_its_gaps():
    measured = observed(np.repeat(np.arange(1.0, 9.0), 3).tolist() + [8.0] * 20)
    assert not any(measured[22:26])
    assert all(measured[28:])


def test_the_matrix_learns_how_old_values_are_when_they_are_read_first():
    matrix = SeriesMatrix(10.0, 50)
    for cycle in range(20):
        now, measured_at = START + 10 * cycle, START + 30 * (cycle // 3) - 7
        matrix.push(now, {"old": float(cycle // 3), "unknown": float(cycle)}, {"old": measured_at, "unknown": np.nan})
    np.testing.assert_allclose(matrix.delays(), [7, 0])
