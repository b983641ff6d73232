"""The engine in a replay, and the scores and reports of its forecasts."""

import asyncio
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.support.pages import HOSTILE, Page

from forestall.backtest import prepare
from forestall.backtest.charts import moment_chart as draw_moment
from forestall.backtest.evaluate import evaluate
from forestall.backtest.json_report import report_data
from forestall.backtest.page import page
from forestall.backtest.prepare import ReplayOptions
from forestall.backtest.replay import replay
from forestall.backtest.terminal import terminal_chart
from forestall.backtest.wording import describe_false_actions
from forestall.core.score import UNKNOWN
from forestall.engine.selection import MOST_FOR_ONE
from forestall.errors import InvalidInput
from forestall.inputs import manifests, tables
from forestall.inputs.tables import Column
from forestall.ports import RangeSeries
from forestall.report.chart import standalone

START = 1_772_323_200.0
STEP = 60.0
LEARNED = 360
BRIEFLY = 60 * STEP
"""How much is learned (s) where the forecasts do not matter."""


def column(values, name="busy", labels=()):
    points = [(START + STEP * n, value) for n, value in enumerate(values) if math.isfinite(value)]
    return Column("", name, (RangeSeries(labels, *zip(*points, strict=True)),), f"column {name}")


def run(bodies, columns, **options):
    options = {"step": STEP, "start": START + LEARNED * STEP, "learn": LEARNED * STEP, **options}
    prepared = prepare.from_columns(
        [manifests.Manifest(body, "here") for body in bodies], columns, ReplayOptions(**options)
    )
    records = asyncio.run(replay(prepared.registry, prepared.history, prepared.time_range, prepared.learn_from, 2))
    return prepared, records


@pytest.fixture(scope="module")
def values(ramps):
    return ramps(600)


@pytest.fixture(scope="module")
def replayed(objective, policy, values):
    errors = [0.5 if value > 11 else 0.0 for value in values]
    return run([objective(), policy()], [column(values), column(errors, "sli")])


@pytest.fixture(scope="module")
def report(replayed):
    prepared, records = replayed
    return evaluate(records, prepared.time_range, prepared.learn_from, lead_time=None)


def test_a_replay_records_values_and_probabilities(replayed, values):
    (record,) = replayed[1]
    track = record.tracks["busy", ()]
    np.testing.assert_allclose(track.value, values[LEARNED:], rtol=1e-6)
    past = np.array(values[LEARNED:]) > 10
    assert np.isnan(track.probability[past]).all()
    probability = track.probability[~past]
    assert np.isfinite(probability).mean() > 0.9
    assert ((probability[np.isfinite(probability)] >= 0) & (probability[np.isfinite(probability)] <= 1)).all()
    has_bounds = np.isfinite(track.lower)
    assert (track.lower[has_bounds] <= track.upper[has_bounds]).all()


def test_the_future_does_not_change_earlier_forecasts(objective, policy, values):
    end = START + (LEARNED + 40) * STEP
    _, (record,) = run([objective(), policy()], [column(values)], end=end)
    other = [*values[: LEARNED + 41], *(99.0 for _ in values[LEARNED + 41 :])]
    _, (changed,) = run([objective(), policy()], [column(other)], end=end)
    np.testing.assert_array_equal(record.tracks["busy", ()].probability, changed.tracks["busy", ()].probability)
    assert record.proposed_actions == changed.proposed_actions


def test_events_and_actions_are_scored(report):
    (result,) = report.objectives
    assert result.assessment.events == 2  # the ramps of the last 240 steps
    assert result.assessment.name == "default/shop"
    for point in result.assessment.forestall.curve:
        assert 0 <= point.recall <= 1
    at_one, at_three = result.assessment.forestall.within
    assert at_one is None or at_one.false_a_week <= 1
    assert at_three is None or at_three.false_a_week <= 3
    assert {baseline.name for baseline in result.assessment.baselines} == {
        "persistence",
        "predict_linear",
        "14.4x burn alert",
    }
    for action in result.actions:
        assert action.proposed.action == "Scale"
        assert result.breached[action.proposed.step] == 0
        if action.outcome == "foreseen":
            assert 0 < action.lead <= 1200
            assert round(action.proposed.step + action.lead / STEP) in result.onsets
    assert result.assessment.lead_time == 300  # as the policy's verification says
    burn = result.assessment.baselines[-1].curve[0]
    assert burn.recall == 0  # it fires when the limit is passed already
    assert burn.lead.median < 0


def test_the_total_of_a_single_objective_equals_its_scores(report):
    result, total = report.objectives[0].assessment, report.total
    assert (total.events, total.origins, total.weeks) == (result.events, result.origins, result.weeks)
    assert total.forestall.brier == result.forestall.brier
    assert repr(total.forestall.curve) == repr(result.forestall.curve)  # some leads are NaN


def test_without_events_there_is_no_skill(objective, values):
    calm = [5 + 0.01 * (n % 7) for n in range(len(values))]
    prepared, records = run([objective()], [column(calm)], end=START + (LEARNED + 60) * STEP)
    report = evaluate(records, prepared.time_range, prepared.learn_from, lead_time=60)
    assert report.total.events == 0
    assert report.total.recommended is None
    for forecaster in (report.total.forestall, *report.total.baselines):
        assert math.isnan(forecaster.skill)
    assert "No limit was passed" in page(report)
    json.dumps(report_data(report), allow_nan=False)


def test_series_that_end_have_no_values_afterwards(objective, values):
    ended = [*values[: LEARNED + 20], *(math.nan for _ in values[LEARNED + 20 :])]
    end = START + (LEARNED + 60) * STEP
    fillers = column(values, "busy")
    second = objective("web")
    _, records = run(
        [objective(), second], [replace(column(ended), objective="shop"), replace(fillers, objective="web")], end=end
    )
    shop = next(record for record in records if record.slo.name == "shop")
    track = shop.tracks["busy", ()]
    assert np.isnan(track.value[25:]).all()
    assert np.isnan(track.probability[25:]).all()


def test_an_objective_without_history_is_listed(objective, values):
    other = objective("web", leadingIndicators=[{"name": "queue", "query": "queue", "limit": 5}])
    end = START + (LEARNED + 20) * STEP
    prepared, records = run([objective(), other], [column(values)], end=end, learn=BRIEFLY)
    report = evaluate(records, prepared.time_range, prepared.learn_from, lead_time=60)
    assert [result.assessment.name for result in report.objectives] == ["default/shop"]
    assert len(report.missing) == 1
    assert report.missing[0].startswith("default/web: queue: ")
    assert "; sli: " in report.missing[0]
    assert "default/web" in page(report)


def test_without_a_policy_actions_follow_the_recommended_threshold(objective, values):
    prepared, records = run([objective()], [column(values)])
    (result,) = evaluate(records, prepared.time_range, prepared.learn_from, lead_time=60).objectives
    assert result.assessment.as_configured is None
    if result.assessment.recommended is None:
        assert result.actions == ()
    else:
        foreseen = {
            round(action.proposed.step + action.lead / STEP)
            for action in result.actions
            if action.outcome == "foreseen"
        }
        assert foreseen
        assert foreseen <= set(result.onsets.tolist())


def test_a_limit_below_and_series_by_pod(objective, values):
    leading = [{"name": "free", "query": "free", "limit": -10, "direction": "Below", "horizon": "20m", "per": "pod"}]
    pods = [column([-value for value in values], "free", (("pod", "a"),))]
    pods.append(column([-4.0 + 0.01 * (n % 7) for n in range(len(values))], "free", (("pod", "b"),)))
    end = START + (LEARNED + 130) * STEP
    prepared, (record,) = run([objective(leadingIndicators=leading)], pods, end=end)
    assert set(record.tracks) == {("free", (("pod", "a"),)), ("free", (("pod", "b"),))}
    (result,) = evaluate([record], prepared.time_range, prepared.learn_from, lead_time=60).objectives
    assert result.assessment.events == 1
    assert (result.breached != UNKNOWN).all()
    assert result.assessment.origins > 0


class _Tags(HTMLParser):
    """Collects the references of a page, and checks that its tags are closed."""

    def __init__(self):
        super().__init__()
        self.refers, self.open, self.tags = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.refers += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_self_contained_file(report):
    text = page(report)
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.refers == []
    assert not tags.tags & {"script", "link", "img", "iframe"}
    assert "url(" not in text
    assert "prefers-color-scheme:dark" in text
    assert 'name="viewport"' in text
    assert "nan" not in re.sub(r"<title>.*?</title>", "", text).lower()
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) >= 4
    for drawing in drawings:
        root = ET.fromstring(drawing)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for mark in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(mark.attrib["cx"]) <= width
            assert 0 <= float(mark.attrib["cy"]) <= height


def test_descriptions_and_labels_are_escaped_in_the_report(objective, values):
    body = objective(description="<script>alert(1)</script>")
    end = START + (LEARNED + 5) * STEP
    labels = (("pod", '"><img src=x>'),)
    leading = [{"name": "busy", "query": "busy", "limit": 10, "horizon": "20m", "per": "pod"}]
    body["spec"]["leadingIndicators"] = leading
    prepared, records = run([body], [column(values, labels=labels)], end=end, learn=BRIEFLY)
    tags = _Tags()
    tags.feed(page(evaluate(records, prepared.time_range, prepared.learn_from, lead_time=60)))
    assert not tags.tags & {"script", "img"}


def test_foreign_text_is_escaped_in_the_report(report):
    """The kind: a name, query, message or command becomes markup in a file that people open."""
    (result,) = report.objectives
    spec = result.record.slo.spec
    leading = [indicator.model_copy(update={"query": HOSTILE}) for indicator in spec.leading_indicators]
    slo = result.record.slo.model_copy(
        update={"spec": spec.model_copy(update={"description": HOSTILE, "leading_indicators": leading})}
    )
    tracks = {key: replace(track, labels=(("pod", HOSTILE),)) for key, track in result.record.tracks.items()}
    hostile = replace(
        result,
        record=replace(result.record, slo=slo, tracks=tracks, holds={HOSTILE: 2}),
        assessment=replace(result.assessment, name=HOSTILE, abstentions=((HOSTILE, 1),)),
        actions=tuple(
            replace(action, proposed=replace(action.proposed, message=HOSTILE, action=HOSTILE))
            for action in result.actions
        ),
    )
    plain = replace(
        hostile, record=replace(result.record, holds={"x": 2}), assessment=result.assessment, actions=result.actions
    )
    spoilt = Page(page(replace(report, objectives=(hostile,), missing=(HOSTILE,)), HOSTILE))
    expected = Page(page(replace(report, objectives=(plain,), missing=("x",)), "x"))
    spoilt.elements["p"] -= 1  # the description, which the other one has not
    assert (+spoilt.elements, spoilt.attributes) == (expected.elements, expected.attributes)
    assert spoilt.says(HOSTILE) >= 8 + 2 * len(result.actions)


def test_the_json_report_has_no_nan(report):
    text = json.dumps(report_data(report), allow_nan=False)
    read = json.loads(text)
    assert read["total"]["events"] == 2
    (objective,) = read["objectives"]
    assert objective["indicators"] == ["busy", "sli"]
    assert len(objective["eventTimes"]) == 2
    assert objective["forecasters"][0]["name"] == "forestall"
    assert {action["outcome"] for action in objective["wouldHaveDone"]} <= {"Foreseen", "SameEvent", "InVain", "Open"}


def test_a_single_forecast_is_drawn_with_its_actual_values(objective, values):
    at = START + (LEARNED + 100) * STEP
    prepared, records = run([objective()], [column(values)], at=at, start=None)
    (moment,) = prepare.forecast_moments(prepared, records)
    assert moment.at == at
    assert moment.times[-1] > at + moment.horizon
    ET.fromstring(standalone(draw_moment(moment)))
    for width in (40, 80, 200):
        lines = terminal_chart(moment, width)
        assert "busy at" in lines[0]
        assert max(map(len, lines[2:-1])) <= width
        assert any("●" in line for line in lines)
        assert any("░" in line for line in lines)


def test_a_single_forecast_does_not_see_the_future(objective, values):
    at = START + (LEARNED + 100) * STEP
    other = [*values[: LEARNED + 101], *(99.0 for _ in values[LEARNED + 101 :])]
    forecasts = []
    for history in (values, other):
        prepared, records = run([objective()], [column(history)], at=at, start=None)
        forecasts.append(prepare.forecast_moments(prepared, records)[0].forecast)
    assert forecasts[0] == forecasts[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": START + 5 * STEP}, "only 5m of it are before the start of the replay: at least 30m are needed"),
        ({"start": START + 9e6}, "is outside the time range to replay"),
        ({"end": START - 9e6, "start": START - 9.1e6}, "is outside the time range to replay"),
    ],
)
def test_an_invalid_time_range_is_refused(objective, values, options, message):
    with pytest.raises(InvalidInput, match=message):
        run([objective()], [column(values)], **options)


def test_the_step_follows_from_the_history_and_the_shortest_horizon(objective, values):
    objects = [manifests.Manifest(objective(), "here")]
    assert (
        prepare.from_columns(objects, [column(values)], ReplayOptions()).time_range.step == 120
    )  # a tenth of 20 minutes
    times = tuple(START + 900.0 * n for n in range(100))
    sparse = Column("", "busy", (RangeSeries((), times, tuple(map(float, range(100)))),), "x")
    assert prepare.from_columns(objects, [sparse], ReplayOptions()).time_range.step == 900


def test_the_example_history_matches_its_generator(root):
    folder = root / "examples" / "backtest"
    written = subprocess.run([sys.executable, folder / "generate.py"], capture_output=True, text=True, check=True)
    assert written.stdout == (folder / "history.csv").read_text()
    objects = manifests.from_files([folder])
    prepared = prepare.from_columns(objects, tables.read(folder / "history.csv"), ReplayOptions(last=6 * 3600.0))
    assert prepared.notes == ()
    assert prepared.time_range.step == 300


def test_no_more_policies_decide_than_in_the_operator(objective, policy, values):
    """The first by name decide for an objective, and one more takes nothing from them."""
    policies = [policy(name=f"policy-{number:02}") for number in range(MOST_FOR_ONE + 1)]
    _, (record,) = run([objective(), *policies], [column(values)], end=START + (LEARNED + 5) * STEP, learn=BRIEFLY)
    assert [each.name for each in record.policies] == [f"policy-{number:02}" for number in range(MOST_FOR_ONE)]


def test_false_actions_of_less_than_a_week_are_counted():
    assert describe_false_actions(2.4, 1.5) == "2.4 false a week"
    assert describe_false_actions(2 / 0.01, 0.01) == "2 false"


def test_a_restart_does_not_change_decisions(objective, policy, values, replayed):
    _, (before,) = replayed
    errors = [0.5 if value > 11 else 0.0 for value in values]
    acted = next(action.step for action in before.proposed_actions if action.step > 100)
    for step in (acted - 20, acted - 1, acted):
        moment = START + (LEARNED + step) * STEP
        _, (after,) = run(
            [objective(), policy()],
            [column(values), column(errors, "sli")],
            start=moment,
            end=moment + STEP,
            learn=moment - START,
        )
        assert after.tracks.keys() == before.tracks.keys()
        for key, track in after.tracks.items():
            reference = before.tracks[key]
            # A past is learned back to where it weighs little, not to its beginning.
            np.testing.assert_allclose(track.probability[0], reference.probability[step], atol=0.01)
            np.testing.assert_allclose(track.upper[0], reference.upper[step], rtol=0.01)
            assert track.abstentions[0] == reference.abstentions[step]
        assert [(action.policy, action.action) for action in after.proposed_actions if action.step == 0] == [
            (action.policy, action.action) for action in before.proposed_actions if action.step == step
        ]
