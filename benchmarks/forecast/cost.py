"""The cost of a tick: CPU seconds and memory for many series, compared with parsing their instant query."""

from __future__ import annotations

import resource
import time

import numpy as np
import orjson

from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.series import SeriesMatrix

_STEP, _CAPACITY = 30.0, 3240  # as the operator keeps them
_MINUTES = (30, 60, 180)


def measure(count: int, ticks: int = 30) -> dict[str, float]:
    """Return mean and maximum CPU seconds of a tick (update and forecast), and RSS, for ``count`` series."""
    random = np.random.default_rng(0)
    matrix = SeriesMatrix(_STEP, _CAPACITY)
    forecaster = BreachForecaster(matrix, [60.0 * minutes for minutes in _MINUTES])
    forecaster.set_limits({key: Limit(5.0) for key in range(count)})
    rows = np.array([matrix.row(key) for key in range(count)])
    value, now = random.normal(0, 1, count), 1_700_000_000.0
    for _ in range(_CAPACITY):
        now += _STEP
        value = 0.98 * value + random.normal(0, 0.3, count)
        matrix.push_rows(now, rows, value)
    start = time.process_time()
    forecaster.update(now)
    learned = time.process_time() - start
    seconds = []
    for _ in range(ticks):
        now += _STEP
        value = 0.98 * value + random.normal(0, 0.3, count)
        matrix.push_rows(now, rows, value)
        start = time.process_time()
        forecaster.update(now)
        forecaster.forecast(now)
        seconds.append(time.process_time() - start)
    parse = _parse_seconds(count)
    return {
        "series": count,
        "tick_cpu_seconds_mean": float(np.mean(seconds)),
        "tick_cpu_seconds_max": float(np.max(seconds)),
        "parse_cpu_seconds": parse,
        "ticks_per_parse": float(np.mean(seconds)) / parse,
        "learn_history_cpu_seconds": learned,
        "rss_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _parse_seconds(count: int) -> float:
    """Return the CPU seconds to parse the response of an instant query with ``count`` series."""
    answer = orjson.dumps(
        {
            "status": "success",
            "data": {
                "resultType": "vector",
                "result": [
                    {
                        "metric": {"namespace": "shop", "pod": f"web-{index}", "__name__": "memory_bytes"},
                        "value": [1_700_000_000.123, "123456789.5"],
                    }
                    for index in range(count)
                ],
            },
        }
    )
    start = time.process_time()
    for _ in range(3):
        {index: float(point["value"][1]) for index, point in enumerate(orjson.loads(answer)["data"]["result"])}
    return (time.process_time() - start) / 3
