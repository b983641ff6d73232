"""Series to forecast: recorded ones from a folder of CSV files, and a generated set."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

STEP = 300.0
"""Seconds; recorded series are averaged to it."""
DAY = round(86400 / STEP)
LEARN = 4 * DAY
"""Steps that are only for learning."""

Series = dict[str, np.ndarray]


def recorded(folder: Path) -> dict[str, Series]:
    """Return the data sets below ``folder``: each folder with CSV files of (time, value) is one."""
    sets: dict[str, Series] = {}
    for file in sorted(folder.rglob("*.csv")):
        times, values = _read(file)
        if times.size:
            sets.setdefault(file.parent.name, {})[file.stem] = _on_grid(times, values)
    return sets


def generated(seed: int = 1, days: int = 14) -> Series:
    """Return two series of each kind: waves, random walks, random and periodic bursts, growth, regime changes, and
    quantized series that are often at their limit.
    """
    random = np.random.default_rng(seed)
    count = days * DAY
    time = np.arange(count)
    series: Series = {}
    for index in (1, 2):
        noise = _wander(random, count, 0.9)
        daily = 50 + 25 * np.sin(2 * np.pi * time / DAY + random.uniform(0, 6))
        growth = np.linspace(1, 1 + index, count)
        calm = np.where(time // (3 * DAY) % 2 == 0, 1.0, 2.0)
        bursts = random.random(count) < 0.01
        clock = time % random.integers(10, 60) == 0
        series |= {
            f"wave-{index}": daily + 4 * noise,
            f"wave-growing-{index}": daily * growth + 4 * noise,
            f"wave-weekly-{index}": daily * np.where(time // DAY % 7 < 5, 1.0, 0.5) + 4 * noise,
            f"wandering-{index}": np.cumsum(random.normal(0, 1, count)),
            f"reverting-{index}": _wander(random, count, 0.99),
            f"bursts-{index}": 5 + noise + 40 * bursts * random.exponential(1, count),
            f"bursts-by-the-clock-{index}": 5 + noise + 40 * clock * random.uniform(0.5, 1.5, count),
            f"regimes-{index}": 20 * calm + 5 * calm * noise,
            f"crowds-{index}": 10 + noise + 60 * _crowds(random, count),
            f"quiet-{index}": np.round(np.abs(random.standard_t(2, count))),
        }
        # What follows comes of chance of its own, so that the series above stay as they were.
        series |= _quantised(np.random.default_rng((seed, index)), daily / 100 * calm, index)
    return series


def _quantised(random: np.random.Generator, level: np.ndarray, index: int) -> Series:
    """Return quantized series that are often at a ceiling, and pass it for a few minutes a day."""
    noise = _wander(random, level.size, 0.9)
    over = np.convolve(random.random(level.size) < 0.005, np.ones(4), "same") > 0
    share = np.where(over, 0.9, np.minimum(level / level.max() + 0.05 * noise, 0.6))
    return {
        f"percents-{index}": np.round(100 * share) / 100,
        f"full-pool-{index}": np.round(30 * share),
        f"tenths-{index}": np.round(share, 1),
        f"millions-{index}": np.round(1e9 * np.minimum(share, 0.66) / 0.6) / 1e6 + 0.09,
    }


def _wander(random: np.random.Generator, count: int, keep: float) -> np.ndarray:
    values = np.zeros(count)
    shocks = random.normal(0, np.sqrt(1 - keep**2), count)
    for index in range(1, count):
        values[index] = keep * values[index - 1] + shocks[index]
    return values


def _crowds(random: np.random.Generator, count: int) -> np.ndarray:
    values = np.zeros(count)
    for start in random.integers(0, count, count // 200):
        length = int(random.integers(10, 60))
        shape = np.minimum(np.arange(length) / (length / 4), np.exp(-np.arange(length) / (length / 2)))
        values[start : start + length] += shape[: count - start]
    return values


def _read(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return times in seconds, from ISO 8601 or a count of minutes, and values; other lines are skipped."""
    times, values = [], []
    with file.open(newline="") as lines:
        for row in csv.reader(lines):
            try:
                value = float(row[1])
                minute = row[0].isdigit()
                times.append(
                    60.0 * int(row[0]) if minute else datetime.fromisoformat(row[0]).replace(tzinfo=UTC).timestamp()
                )
                values.append(value)
            except (ValueError, IndexError):
                continue
    order = np.argsort(times, kind="stable")
    return np.array(times)[order], np.array(values)[order]


def _on_grid(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    column = np.rint((times - times[0]) / STEP).astype(int)
    count = np.bincount(column)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(column, values) / count)
