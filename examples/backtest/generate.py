"""Write `history.csv`: twelve days of a shop's workers, generated.

    python examples/backtest/generate.py > examples/backtest/history.csv

Traffic follows the day and is lower at weekends. On some days a campaign brings more of it in the evening, over two or
three hours, and the workers get too busy; now and then a short burst does the same without notice.
"""

import math
import random
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAYS = 12
STEP = 300
CAMPAIGNS = (1, 3, 4, 7, 8, 10)
"""Days with a campaign."""
BURSTS = ((2, 10.5), (5, 15.0), (9, 11.25))
"""Day and hour of the short ones."""


def main() -> None:
    """Write the history to standard output."""
    chance = random.Random(5)  # noqa: S311 -- no secret: the same history each time
    drift = 0.0
    print("time,busy-workers,sli")
    for n in range(DAYS * 86400 // STEP):
        at = START + timedelta(seconds=n * STEP)
        drift = 0.95 * drift + chance.gauss(0, 0.006)
        busy = max(0.02, traffic(at) + drift + chance.gauss(0, 0.006))
        # Nobody waits while workers are free; beyond nine tenths the queue grows quickly.
        slow = 0.0004 + max(0.0, busy - 0.88) * 0.5
        print(f"{at:%Y-%m-%dT%H:%M:%SZ},{min(busy, 1.0):.4f},{min(slow, 1.0):.5f}")


def traffic(at: datetime) -> float:
    """Return the share of busy workers at a time, without noise."""
    day, hour = (at - START).days, at.hour + at.minute / 60
    level = 0.42 - 0.24 * math.cos(2 * math.pi * (hour - 4) / 24)
    if at.weekday() >= 5:
        level *= 0.75
    if day in CAMPAIGNS:
        begin, rise = 16.0 + day % 3, 2.0 + day % 2
        level += 0.42 * smooth((hour - begin) / rise) * smooth((begin + rise + 2.5 - hour) / 1.5)
    for when, start in BURSTS:
        if day == when and start <= hour < start + 0.5:
            level += 0.5
    return level


def smooth(share: float) -> float:
    """Return 0 below 0, 1 above 1, and a smooth step between."""
    clipped = min(max(share, 0.0), 1.0)
    return clipped * clipped * (3 - 2 * clipped)


if __name__ == "__main__":
    main()
