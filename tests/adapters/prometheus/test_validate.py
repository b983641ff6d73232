"""`forestall validate --prometheus` on a real Prometheus, as a whole program: the messages about mistakes that only the
data shows.
"""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from forestall.devcluster.remote_write import Series

HOUR = 3600.0
STEP = 30.0


@pytest.fixture(scope="module")
def measured(prometheus):
    """Some hours of a service: latency in milliseconds, utilisation from 0 to 1 and in percent, requests by app."""
    now = time.time() // STEP * STEP
    # Samples to come are seen when their time has come: a busy machine takes minutes for these tests.
    times = np.arange(now - 3 * HOUR, now + 540, STEP)
    count = np.arange(times.size, dtype=float)
    series = [
        Series({"__name__": "val_requests_total", "app": app, "code": code}, times, count * rate)
        for app, code, rate in (("checkout", "200", 100.0), ("checkout", "500", 0.1), ("cart", "200", 50.0))
    ]
    series += [
        Series({"__name__": "val_request_duration_bucket", "le": le, "app": "checkout"}, times, count * share)
        for le, share in (("50", 50.0), ("100", 90.0), ("250", 99.9), ("500", 100.0), ("+Inf", 100.0))
    ]
    series += [
        Series({"__name__": "val_request_duration_count", "app": "checkout"}, times, count * 100.0),
        Series({"__name__": "val_request_duration_sum", "app": "checkout"}, times, count * 4000.0),
        Series({"__name__": "val_busy_percent", "pod": "checkout-a"}, times, np.full(times.size, 45.0)),
    ]
    series += [
        Series({"__name__": "val_busy_ratio", "pod": f"checkout-{pod}"}, times, 0.4 + 0.1 * np.sin(times / 900))
        for pod in "ab"
    ]
    for one in series:
        prometheus.write([one])
    return prometheus


RATIO = {
    "ratio": {"bad": 'val_requests_total{app="checkout",code="500"}', "total": 'val_requests_total{app="checkout"}'}
}
LATENCY = {"histogram": 'val_request_duration{app="checkout"}', "threshold": "250ms", "unit": "Milliseconds"}
BUSY = {"name": "busy", "query": "max by (pod) (val_busy_ratio)", "limit": 0.8, "per": "pod"}


@pytest.fixture
def validate(measured, tmp_path):
    """Validate an objective with this indicator and this leading indicator; return exit code and findings."""

    def run(indicator=RATIO, leading=BUSY, *words, url=measured.url):
        body = {
            "apiVersion": "forestall.dev/v1alpha1",
            "kind": "ServiceLevelObjective",
            "metadata": {"name": "checkout"},
            "spec": {
                "target": {"name": "checkout"},
                "indicator": indicator,
                "objective": 99.5,
                "leadingIndicators": [leading],
            },
        }
        path = tmp_path / "slo.yaml"
        path.write_text(yaml.safe_dump(body))
        done = subprocess.run(
            [sys.executable, "-m", "forestall", "validate", "-f", path, "--prometheus", url, "-o", "json", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if not done.stdout:
            return done.returncode, [done.stderr]
        found = json.loads(done.stdout)["findings"]
        return done.returncode, [f"{each['level']}: {each['path']}: {each['message']}" for each in found]

    return run


def test_objective_that_fits_the_data_is_valid(validate):
    assert validate() == (0, [])
    assert validate({"latency": LATENCY}) == (0, [])


@pytest.mark.parametrize(
    ("indicator", "leading", "said"),
    [
        (
            {"latency": {**LATENCY, "unit": "Seconds"}},
            BUSY,
            "no bucket 0.25; there are 50, 100, 250, 500: Milliseconds? Then write unit: Milliseconds",
        ),
        (
            {"latency": {**LATENCY, "threshold": "200ms"}},
            BUSY,
            "no bucket 200; there are 50, 100, 250, 500. Choose a bucket's bound, such as threshold: 250ms",
        ),
        (
            {"latency": {**LATENCY, "histogram": 'val_request_duration{app="chekout"}'}},
            BUSY,
            "has app='chekout'; there app is checkout. Did you mean checkout?",
        ),
        (
            {"ratio": {"bad": 'val_requests_total{code="500"}', "total": "val_request_total"}},
            BUSY,
            "there is no metric val_request_total. Did you mean val_requests_total?",
        ),
        (
            {"ratio": {"bad": 'val_requests_total{code="500"}', "total": 'val_requests_total{service="checkout"}'}},
            BUSY,
            "the series of val_requests_total have no label service",
        ),
        (
            RATIO,
            {**BUSY, "query": 'max by (pod) (val_busy_ratio{pod="web-a"})'},
            "no series of val_busy_ratio has pod='web-a'; there pod is checkout-a, checkout-b",
        ),
        (RATIO, {**BUSY, "query": "val_busy_ratio", "per": "node"}, "there are the labels pod"),
        (
            RATIO,
            {"name": "busy", "query": "val_busy_ratio", "limit": 0.8},
            "the query returns 2 series: aggregate them",
        ),
    ],
)
def test_mismatch_with_the_data_is_an_error(validate, indicator, leading, said):
    """Kind: the message says that series do not exist, but not which ones do."""
    code, found = validate(indicator, leading)
    assert any(said in each for each in found), found
    assert code == 1


@pytest.mark.parametrize(
    ("leading", "said"),
    [
        ({**BUSY, "limit": 90}, "is it a percentage, and the values a share from 0 to 1? Write 0.9"),
        (
            {**BUSY, "query": "max by (pod) (val_busy_percent)", "limit": 0.9},
            "is it a share, and the values percentages? Write 90",
        ),
    ],
)
def test_limit_out_of_proportion_is_a_warning(validate, leading, said):
    """Kind: the limit has another unit than the values."""
    code, found = validate(RATIO, leading)
    assert any(said in each and each.startswith("warning: spec.leadingIndicators[0].limit") for each in found), found
    assert code == 0
    assert validate(RATIO, leading, "--strict")[0] == 1


def test_unreachable_prometheus_is_reported(validate, faulty):
    faulty.server_close()
    code, (said,) = validate(url=faulty.url)
    assert code == 1
    assert f"{faulty.url} can't be asked" in said
