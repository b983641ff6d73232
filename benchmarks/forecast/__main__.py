"""`python -m benchmarks.forecast`: the skill and the cost of forecasts, as a table and as JSON.

Recorded series come from a folder of CSV files (`--data`, or the environment variable FORESTALL_BENCH_DATA). Generated
series are always measured, and separately those of two other seeds, as a check of what was chosen with the first one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.forecast import cost, data, leaks, protocol, recurring

_PARTS = ("skill", "recurring", "leaks", "cost")
_CHECKS = (4, 5)
_STEPS = (300, 60, 30)
"""Steps (s) of the series with recurring events."""
_STRETCHES = (1, 5)
"""Seeds of the parts with injected leaks; nothing was chosen with the second one in view."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("FORESTALL_BENCH_DATA"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/forecast.json"))
    parser.add_argument("--only", choices=_PARTS, action="append")
    parser.add_argument("--series", type=int, default=50_000, help="series of the cost measurement")
    chosen = parser.parse_args()
    parts = chosen.only or _PARTS
    checks = {f"{name}-{seed}": values for seed in _CHECKS for name, values in data.generated(seed).items()}
    sets = {"generated": data.generated(), "generated-checks": checks}
    if chosen.data:
        sets |= data.recorded(Path(chosen.data))
    results: dict[str, object] = {}
    if "skill" in parts:
        results["skill"] = {name: _skill(name, series) for name, series in sets.items()}
    if "recurring" in parts:
        results["recurring"] = {f"{step}s-{seed}": _recurring(step, seed) for seed in (1, *_CHECKS) for step in _STEPS}
    if "leaks" in parts:
        results["leaks"] = {
            f"{name}-{stretches}": _leaks(name, series, stretches)
            for name, series in sets.items()
            for stretches in _STRETCHES
        }
    if "cost" in parts:
        results["cost"] = _cost(chosen.series)
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten to {chosen.output}")


def _recurring(step: int, seed: int) -> dict[str, Any]:
    result = recurring.measure(step, seed)
    print(f"\nrecurring events, a step of {step} s, seed {seed}")
    for kind, score in result.items():
        recall, lead = ("-" if score[name] is None else f"{score[name]:.2f}" for name in ("recall", "lead"))
        print(f"{kind:20} {score['events']:5} events, recall {recall}, lead {lead}, {score['false_a_week']:.2f} false")
    return result


def _skill(name: str, series: data.Series) -> dict[str, object]:
    result: dict[str, object] = {}
    print(f"\n{name}: {len(series)} series")
    print(
        f"{'limits':8} {'horizon':>7} {'brier':>6} {'skill':>6} {'90 %':>13} {'> 0':>5} {'clim.':>6} {'pers.':>6} "
        f"{'linear':>6} {'best':>6} {'calib.':>6} {'cover':>6} {'worst':>6}"
    )
    for limit_from in ("whole", "learned"):
        started = time.monotonic()
        run = protocol.run(series, limit_from)
        for index, minutes in enumerate(protocol.MINUTES):
            score = protocol.scores(run, index)
            result[f"{limit_from}-{minutes}m"] = score
            if score:
                print(_line(limit_from, minutes, score))
        print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr)
    return result


def _line(limit_from: str, minutes: int, score: dict[str, Any]) -> str:
    experts, best, interval = score["experts"], score["best_expert"], score["skill_interval"]
    low, high = interval
    return (
        f"{limit_from:8} {minutes:5} m {score['brier']:6.3f} {score['skill']:6.2f} {low:6.2f} {high:6.2f} "
        f"{score['series_with_skill']:5.0%} {score['climatology']:6.3f} {experts['persistence']:6.3f} "
        f"{score['predict_linear']:6.3f} {experts[best]:6.3f} {score['calibration_error']:6.3f} "
        f"{score['coverage']:6.3f} {score['worst_day']:6.2f}"
    )


def _leaks(name: str, series: data.Series, stretches: int) -> dict[str, float]:
    result = leaks.measure(series, stretches)
    print(
        f"\nleaks in {name}, stretches {stretches}: {result['leaks']} leaks, {result['others']} others; "
        f"recall {result['recall']:.1%}, "
        f"in time {result['recall_in_time']:.1%}, false fires {result['false_fires']:.1%} "
        f"(at steps {result['false_fires_step']:.1%}, where nothing happens {result['false_fires_plain']:.1%}), "
        f"error of the time {result['time_error_median']:.0%}, of all fires {result['time_error_median_since']:.0%}, "
        f"lead {result['lead_minutes_median']:.0f} min"
    )
    return result


def _cost(count: int) -> dict[str, float]:
    result = cost.measure(count)
    print(
        f"\ncost of {count} series: {result['tick_cpu_seconds_mean']:.2f} CPU-s a tick (at most "
        f"{result['tick_cpu_seconds_max']:.2f}), {result['ticks_per_parse']:.1f} times the parsing of their answer, "
        f"{result['rss_megabytes']:.0f} MB"
    )
    return result


if __name__ == "__main__":
    main()
