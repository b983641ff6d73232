"""`forestall backtest`, from files and from a Prometheus, without a cluster and with one."""

import json
import math
import time

import pytest
import yaml

from forestall.api import API_VERSION
from forestall.errors import Forbidden
from forestall.ports import QueryFailure, RangeSeries

START = 1_772_323_200.0
STEP = 60.0
STEPS = 420
SPEC = {
    "target": {"name": "shop"},
    "indicator": {"raw": {"errorRatio": "errors:ratio$window"}},
    "objective": 99.5,
    "leadingIndicators": [{"name": "busy", "query": "busy", "limit": 10, "horizon": "20m"}],
}


def value(step):
    """Return a busy hour every three hours."""
    return 7 + 5 * math.sin(2 * math.pi * step / 180) + 0.1 * (step * 7919 % 11)


@pytest.fixture
def slo(tmp_path):
    """A file with an objective, and a policy for it."""
    path = tmp_path / "slo.yaml"
    act = {"when": {"probability": 0.5}, "actions": [{"scale": {"maxReplicas": 9}}]}
    bodies = [("ServiceLevelObjective", SPEC), ("RemediationPolicy", act)]
    path.write_text(
        yaml.safe_dump_all(
            {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "shop"}, "spec": spec}
            for kind, spec in bodies
        )
    )
    return path


@pytest.fixture
def history(tmp_path):
    path = tmp_path / "history.csv"
    lines = [f"{START + STEP * n},{value(n)}" for n in range(STEPS)]
    path.write_text("\n".join(["time,busy", *lines]))
    return path


QUICK = ("--step", "2m", "--last", "3h", "--learn", "4h")
SHORT = ("--step", "2m", "--last", "20m", "--learn", "2h")
"""Too short for a breach, for what is not about the forecasts."""


def test_files_are_enough(program, slo, history, tmp_path):
    report = tmp_path / "report.html"
    code, out, err = program("backtest", "-f", slo, "--history", history, "--html", report, *QUICK)
    assert (code, err) == (0, "")
    assert program.access == []  # no cluster was asked
    assert "default/shop" in out
    assert "predict_linear" in out
    assert f"Report: {report}" in out
    assert report.read_text().startswith("<!DOCTYPE html>")
    assert report.read_text().endswith("</html>\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "report.html", "slo.yaml"]


def test_json_output(program, slo, history):
    code, out, err = program("backtest", "-f", slo, "--history", history, "-o", "json", *QUICK)
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["stepSeconds"] == 120
    assert report["objectives"][0]["name"] == "default/shop"
    assert report["total"]["events"] >= 1


def test_a_single_forecast_is_shown_and_drawn(program, slo, history, tmp_path):
    at = str(START + 300 * STEP)
    code, out, _ = program("backtest", "-f", slo, "--history", history, "--at", at)
    assert code == 0
    assert "shop: busy at Sun 01 Mar 05:00 UTC" in out
    assert "░" in out
    code, out, _ = program("backtest", "-f", slo, "--history", history, "--at", at, "--svg", tmp_path / "cone.svg")
    assert code == 0
    assert (tmp_path / "cone.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backtest"], "say where the history is"),
        (["backtest", "--history", "a.csv", "--prometheus", "http://x"], "not by both"),
        (["backtest", "--history", "a.csv", "--svg", "x.svg"], "--svg goes with --at"),
        (["backtest", "--history", "a.csv", "--at", "0", "-o", "json"], "--at shows one moment"),
        (["backtest", "--history", "a.csv", "--from", "0", "--last", "1d"], "--from or --last"),
        (["backtest", "--history", "a.csv", "--from", "soon"], "'soon' is not a time"),
        (["backtest", "--history", "a.csv", "--step", "0s"], "is no time at all"),
        (["backtest", "--history", "a.csv", "--step", "1 m"], "is not a duration"),
        (["backtest", "--history", "a.csv", "--header", "X"], "NAME:VALUE"),
        (["backtest", "--history", "a.csv", "--replicas", "0"], "0 is not in the range"),
        (["backtest", "--history", "a.csv", "--html", "/nowhere/at/all.html"], "the folder /nowhere/at does not exist"),
    ],
)
def test_invalid_usage_is_refused_before_reading(program, arguments, message):
    code, out, err = program(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_bad_line_is_named_and_no_report_is_left(program, slo, history, tmp_path):
    history.write_text(history.read_text().replace(f"{START + STEP * 9},", f"{START + STEP * 9},x"))
    report = tmp_path / "report.html"
    report.write_text("the one before")
    code, out, err = program("backtest", "-f", slo, "--history", history, "--html", report, *QUICK)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {history}, line 11: 'x")
    assert report.read_text() == "the one before"


def test_history_without_an_indicator_is_refused(program, slo, history):
    history.write_text(history.read_text().replace("time,busy", "time,cpu"))
    code, _, err = program("backtest", "-f", slo, "--history", history)
    assert code == 1
    assert "The columns are cpu; the indicators are shop: busy, sli" in err


def test_objectives_of_the_cluster(program, cluster, history):
    cluster.put("ServiceLevelObjective", "shop", spec=SPEC, status={"state": "AtRisk"})
    code, out, _ = program("backtest", "--history", history, *SHORT)
    assert code == 0
    assert "shop/shop" in out


def test_forbidden_admin_objects_are_left_out(program, cluster, history):
    cluster.put("ServiceLevelObjective", "shop", spec=SPEC)
    cluster.failures["find", "Guardrail"] = Forbidden("guardrails is forbidden")
    code, _, err = program("backtest", "--history", history, *SHORT)
    assert (code, err) == (0, "note: every Guardrail is left out: guardrails is forbidden\n")
    cluster.failures["find", "ServiceLevelObjective"] = Forbidden("not yours")
    code, _, err = program("backtest", "--history", history, *SHORT)
    assert code == 1
    assert "not yours" in err


def test_a_namespace_without_objectives(program, history):
    code, _, err = program("backtest", "--history", history)
    assert code == 1
    assert "there are no ServiceLevelObjectives there" in err


class Past:
    """A source that has `busy` and nothing else."""

    def __init__(self, *failures):
        self.spans = []
        self.failures = failures

    async def instant(self, source, queries, at):
        raise AssertionError

    async def range(self, source, queries, start, end, step):
        self.spans.append((source, start, end, step))
        times = [start + step * n for n in range(round((end - start) / step) + 1)]
        busy = RangeSeries((), tuple(times), tuple(value(at / STEP) for at in times))
        answers = {query.key: (busy,) if query.expr == "busy" else () for query in queries}
        return answers | {query.key: failure for query, failure in zip(queries, self.failures, strict=False)}


def test_a_prometheus_is_queried_in_adjacent_parts(program, slo, tmp_path):
    program.metrics = past = Past()
    (tmp_path / "token").write_text("secret\n")
    arguments = [
        "--prometheus",
        "http://localhost:9090",
        "--token-file",
        tmp_path / "token",
        "--header",
        "X-Scope-OrgID: a:b",
    ]
    code, out, err = program("backtest", "-f", slo, *arguments, "--last", "3h", "--learn", "30h", "--step", "3m")
    assert code == 0, err
    assert "default/shop" in out
    assert "note: default/shop sli: no data in this period" in err
    (options,) = program.asked
    assert (options.url, tuple(options.sources), options.token) == ("http://localhost:9090", ("default",), "secret\n")
    assert options.headers == {"X-Scope-OrgID": "a:b"}
    assert "secret" not in repr(options)
    (_, _, first_end, _), (_, second_start, second_end, _) = past.spans
    assert second_start == first_end + 180
    assert time.time() - 360 < second_end <= time.time()


def test_a_failed_prometheus_is_reported_with_its_message(program, slo):
    program.metrics = Past(*[QueryFailure("SourceUnauthorized", "401: who are you?")] * 3)
    code, out, err = program("backtest", "-f", slo, "--prometheus", "http://x")
    assert (code, out) == (1, "")
    assert "401: who are you?" in err
    program.metrics = None
    code, _, err = program("backtest", "-f", slo, "--prometheus", "http://x")
    assert code == 1
    assert "connection refused" in err
