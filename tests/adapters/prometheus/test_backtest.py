"""`forestall backtest` on a real Prometheus, as a whole program."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from forestall.devcluster.remote_write import Series

HOUR = 3600.0
STEP = 60.0


@pytest.fixture(scope="module")
def measured(prometheus):
    """A day of a shop in the real Prometheus, with a busy hour every four."""
    now = time.time() // STEP * STEP
    times = np.arange(now - 26 * HOUR, now, STEP / 2)
    busy = 0.5 + 0.4 * np.sin(2 * np.pi * times / (4 * HOUR)) + 0.02 * np.random.default_rng(1).normal(size=times.size)
    requests = np.cumsum(np.full(times.size, 300.0))
    errors = np.cumsum(np.where(busy > 0.85, 60.0, 0.1))
    prometheus.write(
        [
            Series({"__name__": "backtest_busy", "pod": pod}, times, busy * share)
            for pod, share in (("a", 1.0), ("b", 0.5))
        ]
    )
    prometheus.write(
        [
            Series({"__name__": "backtest_requests_total"}, times, requests),
            Series({"__name__": "backtest_errors_total"}, times, errors),
        ]
    )
    return prometheus


@pytest.fixture
def shop(measured, tmp_path):
    """The file of its objective."""
    del measured
    body = {
        "apiVersion": "forestall.dev/v1alpha1",
        "kind": "ServiceLevelObjective",
        "metadata": {"name": "shop"},
        "spec": {
            "target": {"name": "shop"},
            "indicator": {"ratio": {"bad": "backtest_errors_total", "total": "backtest_requests_total"}},
            "objective": 99.5,
            "window": "7d",
            "leadingIndicators": [
                {"name": "busy", "query": "max by (pod) (backtest_busy)", "limit": 0.8, "horizon": "30m", "per": "pod"}
            ],
        },
    }
    path = tmp_path / "slo.yaml"
    path.write_text(yaml.safe_dump(body))
    return path


def forestall(*arguments):
    result = subprocess.run(
        [sys.executable, "-m", "forestall", "backtest", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return result.returncode, result.stdout, result.stderr


def test_backtest_of_a_day(prometheus, shop, tmp_path):
    arguments = ("-f", shop, "--prometheus", prometheus.url, "--last", "9h", "--learn", "16h", "--step", "3m")
    code, out, err = forestall(*arguments, "-o", "json", "--html", tmp_path / "report.html")
    assert (code, err) == (0, "")
    report = json.loads(out)
    (objective,) = report["objectives"]
    assert objective["series"] == 3  # two pods, and the error ratio
    assert objective["indicators"] == ["busy", "sli"]
    assert objective["events"] in (2, 3)
    assert {forecaster["name"] for forecaster in objective["forecasters"]} >= {"forestall", "14.4x burn alert"}
    assert objective["forecastsCompared"] > 100
    assert (tmp_path / "report.html").read_text().endswith("</html>\n")


def test_backtest_of_a_moment(prometheus, shop):
    at = time.time() - HOUR
    code, out, err = forestall("-f", shop, "--prometheus", prometheus.url, "--at", at, "--learn", "12h", "--step", "3m")
    assert (code, err) == (0, "")
    assert "shop: busy (pod=a) at " in out
    assert "shop: busy (pod=b) at " in out
    assert "·" in out.split("● past values")[0]  # the actual values are drawn as well


def test_unreachable_prometheus_is_reported(shop, faulty):
    faulty.server_close()
    code, out, err = forestall("-f", shop, "--prometheus", faulty.url, "--last", "1h")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_prometheus_without_the_series_is_reported(prometheus, shop):
    shop.write_text(shop.read_text().replace("backtest_", "nowhere_"))
    code, out, err = forestall("-f", shop, "--prometheus", prometheus.url, "--last", "1h", "--learn", "2h")
    assert (code, out) == (1, "")
    assert "no series of any indicator" in err
