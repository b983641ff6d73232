"""Write traffic.csv: three days of requests a second, with a morning, an evening and a few crowds."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

START = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
DAYS = 3


def main() -> None:
    """Write the file beside this one."""
    random = np.random.default_rng(3)
    minute = np.arange(DAYS * 1440)
    hour = minute / 60 % 24
    rate = 40 + 150 * np.exp(-(((hour - 11) / 3) ** 2)) + 220 * np.exp(-(((hour - 20) / 2.2) ** 2))
    rate *= random.lognormal(0, 0.05, len(minute))
    for start in random.integers(0, len(minute), 3 * DAYS):
        after = minute - start
        rate += random.uniform(60, 160) * np.clip(after / 5, 0, 1) * np.exp(-np.maximum(after, 0) / 45) * (after > 0)
    lines = [
        f"{datetime.fromtimestamp(START + 60 * n, UTC):%Y-%m-%dT%H:%M:%SZ},{value:.0f}" for n, value in enumerate(rate)
    ]
    Path(__file__).with_name("traffic.csv").write_text("\n".join(["time,rate", *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
