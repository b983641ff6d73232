"""`forestall simulate`, from a file and from a Prometheus, with the recommended policies and with one's own."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from forestall.api import API_VERSION, RemediationPolicy, ServiceLevelObjective
from forestall.ports import RangeSeries

START = 1_767_225_600
SURGE = [*[40.0] * 5, *np.linspace(40, 400, 15), *[400.0] * 5, *np.linspace(400, 40, 15)]
RATES = [*[40.0] * 60, *SURGE * 3]
QUICK = ("--start-up", "10m", "--last", "2h", "--interval", "2m", "--autoscaler", "HPA")


@pytest.fixture
def traffic(tmp_path):
    return written(tmp_path / "traffic.csv", RATES)


def written(path, rates):
    path.write_text("\n".join(["time,rate", *(f"{START + 60 * n},{rate}" for n, rate in enumerate(rates))]))
    return path


@pytest.fixture
def own(tmp_path):
    """An objective with a memory indicator too, and a policy with a declared capacity."""
    path = tmp_path / "own.yaml"
    slo = {
        "target": {"name": "shop"},
        "indicator": {"raw": {"errorRatio": "errors:ratio$window"}},
        "objective": 99.5,
        "leadingIndicators": [
            {"name": "load", "query": "load", "limit": 60, "horizon": "10m"},
            {"name": "memory", "query": "memory", "limit": 0.9, "horizon": "1h", "trend": "Saturation"},
        ],
    }
    scale = {"maxReplicas": 40, "capacity": {"type": "Declared", "perReplica": 20, "indicator": "load"}}
    policy = {"when": {"probability": 0.5, "within": "6m"}, "actions": [{"scale": scale}]}
    bodies = [("ServiceLevelObjective", slo), ("RemediationPolicy", policy)]
    path.write_text(
        yaml.safe_dump_all(
            {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "shop"}, "spec": spec}
            for kind, spec in bodies
        )
    )
    return path


def test_a_file_is_enough(program, traffic, tmp_path):
    report = tmp_path / "report.html"
    code, out, err = program("simulate", "--traffic", traffic, "--capacity", "20", "--html", report, *QUICK)
    assert (code, program.access) == (0, [])
    assert err in ("", "note: the least possible is left out: it needs SciPy (pip install 'forestall[arena]')\n")
    assert "no action" in out
    assert "+ forestall" in out
    assert "On resampled hours of this traffic it has" in out
    text = report.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    assert text.count('role="img"') == 8
    assert "<code>forestall simulate --traffic" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "traffic.csv"]


def test_ones_own_policy_is_simulated_beside_the_recommended_ones(program, traffic, own):
    code, out, err = program("simulate", "--traffic", traffic, "-f", own, "-o", "json", *QUICK)
    assert code == 0
    assert "the model has no memory" in err
    result = json.loads(out)
    by_name = {contestant["name"]: contestant for contestant in result["contestants"]}
    assert result["objective"] == 99.5
    own_result = by_name["HPA + forestall, your policy"]
    assert own_result["actions"] > 0
    assert own_result["bad_minutes"] <= by_name["HPA"]["bad_minutes"] <= by_name["no action"]["bad_minutes"]
    assert result["surely"] >= 0.8
    assert (own_result["spared"]["low"] <= own_result["spared"]["high"], result["thin"]) == (True, None)
    slo, policy = yaml.safe_load_all(result["policy"])
    ServiceLevelObjective.read({**slo, "metadata": {"name": "a", "namespace": "b"}})
    assert RemediationPolicy.read({**policy, "metadata": {"name": "a", "namespace": "b"}}).spec.mode == "Observe"


def test_the_traffic_may_come_from_a_prometheus(program):
    end = int(time.time() // 60) * 60

    async def answer(source, queries, start, stop, step):
        times = [end - 60.0 * (len(RATES) - n) for n in range(len(RATES))]
        points = [(at, rate) for at, rate in zip(times, RATES, strict=True) if start <= at <= stop]
        series = RangeSeries((), tuple(at for at, _ in points), tuple(rate for _, rate in points))
        return {query.key: (series,) if points else () for query in queries}

    program.metrics = SimpleNamespace(range=answer)
    source = ("--prometheus", "http://p", "--query", "sum(rate(x[1m]))")
    code, out, _ = program("simulate", *source, "--capacity", "20", *QUICK, "--last", "1h", "--autoscaler", "KEDA")
    assert code == 0
    assert "1h of traffic" in out
    assert "HPA at 70% + forestall" in out
    assert "KEDA at 70% + forestall" in out


def test_no_policy_is_recommended_where_another_hpa_target_is_as_good(program, tmp_path):
    once = [*[40.0] * 90, *np.linspace(40, 400, 25), *[400.0] * 20, *np.linspace(400, 40, 25), *[40.0] * 20]
    traffic = written(tmp_path / "once.csv", once)
    arguments = ("--traffic", traffic, "--capacity", "20", *QUICK, "--start-up", "15s")
    code, out, _ = program("simulate", *arguments, "-o", "json")
    assert code == 0
    result = json.loads(out)
    assert (result["recommended"], result["policy"]) == (None, None)
    assert result["alike"]["replicaHours"] <= min(
        contestant["replica_hours"] for contestant in result["contestants"] if "forestall" in contestant["name"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--capacity", "0"), "capacity must be above zero"),
        ((), "how much does one replica carry"),
        (("--capacity", "20", "--start-up", "3h"), "longer than the 7200 s of traffic"),
        (("--capacity", "20", "--last", "2d"), "give at least an hour"),
        (("--capacity", "20", "--min", "9", "--max", "3"), "--max 3 is below --min 9"),
    ],
)
def test_invalid_input_is_refused_and_leaves_no_report(program, traffic, tmp_path, arguments, message):
    report = tmp_path / "report.html"
    code, out, err = program("simulate", "--traffic", traffic, *QUICK, "--html", report, *arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert not report.exists()


def test_a_bad_line_is_named(program, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("time,rate\n1,2\n2,x\n")
    code, _, err = program("simulate", "--traffic", path, "--capacity", "20")
    assert code == 1
    assert f"{path}, line 3: 'x' is not a number" in err


@pytest.mark.parametrize("arguments", [(), ("--traffic", "x", "--prometheus", "y"), ("--prometheus", "y")])
def test_the_source_of_the_traffic_is_required(program, arguments):
    assert program("simulate", *arguments)[0] == 2
