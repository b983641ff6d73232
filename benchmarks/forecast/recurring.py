"""Recurring events: jobs that raise a calm load past its limit at the same time of the hour, the day or the week.

Each kind has series with a jitter of 0, 10 and 20 % of the horizon. It fires where a breach within the horizon is
forecast with a probability of at least one half. An event is foreseen when it fires at any time within the horizon
before it, its lead is the share of the horizon from the first such time on. An alarm is false when no event follows
within one and a half horizons (an event that usually comes earlier may be late); alarms less than half an hour apart
are one. All counts from the fifth event of a series on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forestall.core.forecast import BreachForecaster, Limit
from forestall.core.series import SeriesMatrix

HORIZON = 900.0
_HOUR, _DAY, _WEEK = 3600.0, 86400.0, 604800.0
_START = 1_699_833_600.0  # midnight of a Monday
_DAYS = {300: 42, 60: 21, 30: 14}
"""Length of the series by the step (s)."""
_JITTERS = (0.0, 0.1, 0.2)
_LASTS = 600.0
_LIMIT = 120.0
_FIRES = 0.5
_LEARNING = 4
_APART = 1800.0
KINDS = ("hourly", "daily", "working days", "weekly", "missed now and then", "clock change", "two a day", "overlapping")
_CHANCE = "by chance"


@dataclass(frozen=True)
class Case:
    """One series."""

    kind: str
    starts: np.ndarray
    """When its events begin (s since the first Monday)."""


def measure(step: int, seed: int = 1, each: int = 4) -> dict[str, Any]:
    """Return recall, lead and false alarms a week by kind, of ``each`` series of a kind and jitter, at a step (s)."""
    random = np.random.default_rng(seed)
    days = _DAYS[step]
    cases = [
        Case(kind, np.sort(_starts(kind, jitter, days, random)))
        for kind in (*KINDS, _CHANCE)
        for jitter in _JITTERS
        for _ in range(each)
    ]
    values = _values(cases, step, days, random)
    probability = _forecast(values, step)
    result = {}
    for kind in (*KINDS, _CHANCE):
        scores = [
            _judge(values[:, index], probability[:, index], step)
            for index, case in enumerate(cases)
            if case.kind == kind
        ]
        leads = np.concatenate([lead for lead, _ in scores])
        result[kind] = {
            "events": leads.size,
            "recall": float((leads > 0).mean()) if leads.size else None,
            "lead": float(leads.mean()) if leads.size else None,
            "false_a_week": float(np.mean([false for _, false in scores])),
        }
    return result


def _starts(kind: str, jitter: float, days: int, random: np.random.Generator) -> np.ndarray:
    """When the events of a series begin (s since the first Monday)."""
    at = random.uniform(2 * _HOUR, 22 * _HOUR)
    every = np.arange(days) * _DAY + at
    if kind == "hourly":
        every = np.arange(min(days, 4) * 24) * _HOUR + at % _HOUR
        return every + random.uniform(-1, 1, every.size) * jitter * HORIZON / 2
    if kind == _CHANCE:
        return random.uniform(0, days * _DAY, random.poisson(2 * days))
    if kind == "working days":
        every = every[np.arange(days) % 7 < 5]
    elif kind == "weekly":
        every = every[np.arange(days) % 7 == int(random.integers(7))]
    elif kind == "missed now and then":
        every = every[random.random(days) > 0.12]
    elif kind == "clock change":
        every = every - np.where(np.arange(days) < days // 2, 0, _HOUR)
    elif kind == "two a day":
        every = np.concatenate((every, every + 1500))
    elif kind == "overlapping":
        every = np.concatenate((every, every + 0.75 * _LASTS))
    return every + random.uniform(-1, 1, every.size) * jitter * HORIZON


def _values(cases: list[Case], step: int, days: int, random: np.random.Generator) -> np.ndarray:
    """The loads: (time, series)."""
    time = np.arange(0, days * _DAY, step)
    values = np.empty((time.size, len(cases)), dtype=np.float32)
    for index, case in enumerate(cases):
        load = 50 + 10 * np.sin(2 * np.pi * time / _DAY + random.uniform(0, 6)) + 2 * random.normal(size=time.size)
        for start in case.starts:
            load[(time >= start) & (time < start + _LASTS)] += 90
        values[:, index] = load
    return values


def _forecast(values: np.ndarray, step: int) -> np.ndarray:
    """P(breach) within the horizon, at each step: (time, series)."""
    matrix = SeriesMatrix(step, round((_DAY + 3 * _HOUR) / step))
    forecaster = BreachForecaster(matrix, [HORIZON, _HOUR])
    forecaster.set_limits(dict.fromkeys(range(values.shape[1]), Limit(_LIMIT)))
    rows = np.array([matrix.row(key) for key in range(values.shape[1])])
    probability = np.empty_like(values)
    for index, row in enumerate(values):
        now = _START + index * step
        matrix.push_rows(now, rows, row)
        forecaster.update(now)
        table = forecaster.forecast(now)
        probability[index] = table.probability[:, list(table.horizons).index(HORIZON)]
    return probability


def _judge(values: np.ndarray, probability: np.ndarray, step: int) -> tuple[np.ndarray, float]:
    """The lead of each event, as a share of the horizon, and the number of false alarms a week."""
    ahead, past = round(HORIZON / step), values > _LIMIT
    begins = np.flatnonzero(past & ~np.concatenate(([False], past[:-1])))
    fires, expected = (probability >= _FIRES) & ~past, past.copy()
    leads = []
    for number, begin in enumerate(begins):
        before = fires[max(0, begin - ahead) : begin]
        expected[max(0, begin - ahead - ahead // 2) : begin] = True
        if number >= _LEARNING:
            leads.append((before.size - before.argmax()) / ahead if before.any() else 0.0)
    if not leads:
        return np.array(leads), 0.0
    learned = begins[_LEARNING - 1]
    false = (learned + np.flatnonzero((fires & ~expected)[learned:])) * step
    alarms = int((np.diff(false, prepend=-_DAY) > _APART).sum())
    return np.array(leads), alarms / ((values.size - learned) * step / _WEEK)
