"""The engine in a replay, and what is made of what it said."""

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

from forestall.backtest import objects, prepare, tables
from forestall.backtest.data import data
from forestall.backtest.judge import judge
from forestall.backtest.page import page
from forestall.backtest.pictures import moment as draw_moment
from forestall.backtest.prepare import Wish
from forestall.backtest.replay import replay
from forestall.backtest.tables import Column
from forestall.backtest.text import picture
from forestall.backtest.words import false
from forestall.core.score import UNKNOWN
from forestall.errors import InvalidInput
from forestall.ports import RangeSeries
from forestall.report.chart import standalone

START = 1_772_323_200.0
STEP = 60.0
LEARNED = 360


def column(values, name="busy", labels=()):
    points = [(START + STEP * n, value) for n, value in enumerate(values) if math.isfinite(value)]
    return Column("", name, (RangeSeries(labels, *zip(*points, strict=True)),), f"column {name}")


def run(found, columns, **wish):
    wish = {"step": STEP, "start": START + LEARNED * STEP, "learn": LEARNED * STEP, **wish}
    prepared = prepare.from_columns([objects.Found(body, "here") for body in found], columns, Wish(**wish))
    records = asyncio.run(replay(prepared.registry, prepared.history, prepared.span, prepared.learn_from, 2))
    return prepared, records


@pytest.fixture(scope="module")
def values(ramps):
    return ramps(600)


@pytest.fixture(scope="module")
def replayed(objective, policy, values):
    errors = [0.5 if value > 11 else 0.0 for value in values]
    return run([objective(), policy()], [column(values), column(errors, "sli")])


@pytest.fixture(scope="module")
def judgement(replayed):
    prepared, records = replayed
    return judge(records, prepared.span, prepared.learn_from, lead_time=None)


def test_what_is_said_is_said_of_what_was_there(replayed, values):
    (record,) = replayed[1]
    track = record.tracks["busy", ()]
    np.testing.assert_allclose(track.value, values[LEARNED:], rtol=1e-6)
    past = np.array(values[LEARNED:]) > 10
    assert np.isnan(track.chance[past]).all()
    said = track.chance[~past]
    assert np.isfinite(said).mean() > 0.9
    assert ((said[np.isfinite(said)] >= 0) & (said[np.isfinite(said)] <= 1)).all()
    known = np.isfinite(track.lower)
    assert (track.lower[known] <= track.upper[known]).all()


def test_the_future_changes_nothing_that_was_said_before(objective, policy, values):
    end = START + (LEARNED + 40) * STEP
    _, (record,) = run([objective(), policy()], [column(values)], end=end)
    other = [*values[: LEARNED + 41], *(99.0 for _ in values[LEARNED + 41 :])]
    _, (changed,) = run([objective(), policy()], [column(other)], end=end)
    np.testing.assert_array_equal(record.tracks["busy", ()].chance, changed.tracks["busy", ()].chance)
    assert record.would == changed.would


def test_events_and_actions_are_judged(judgement):
    (case,) = judgement.cases
    assert case.verdict.events == 2  # the ramps of the last 240 steps
    assert case.verdict.name == "default/shop"
    for point in case.verdict.forestall.curve:
        assert 0 <= point.recall <= 1
    one, three = case.verdict.forestall.within
    assert one is None or one.false_a_week <= 1
    assert three is None or three.false_a_week <= 3
    assert {each.name for each in case.verdict.others} == {"persistence", "predict_linear", "14.4x burn alert"}
    for done in case.done:
        assert done.would.action == "Scale"
        assert case.breached[done.would.step] == 0
        if done.verdict == "foreseen":
            assert 0 < done.lead <= 1200
            assert round(done.would.step + done.lead / STEP) in case.onsets
    assert case.verdict.lead_time == 300  # as the policy's verification says
    burn = case.verdict.others[-1].curve[0]
    assert burn.recall == 0  # it fires when the limit is passed already
    assert burn.lead.median < 0


def test_the_sum_of_one_objective_is_that_objective(judgement):
    case, total = judgement.cases[0].verdict, judgement.total
    assert (total.events, total.origins, total.weeks) == (case.events, case.origins, case.weeks)
    assert total.forestall.brier == case.forestall.brier
    assert repr(total.forestall.curve) == repr(case.forestall.curve)  # some leads are NaN


def test_where_nothing_happened_nobody_is_called_skilled(objective, values):
    calm = [5 + 0.01 * (n % 7) for n in range(len(values))]
    prepared, records = run([objective()], [column(calm)], end=START + (LEARNED + 60) * STEP)
    found = judge(records, prepared.span, prepared.learn_from, lead_time=60)
    assert found.total.events == 0
    assert found.total.recommended is None
    for each in (found.total.forestall, *found.total.others):
        assert math.isnan(each.skill)
    assert "No limit was passed" in page(found)
    json.dumps(data(found), allow_nan=False)


def test_series_that_end_or_never_were_are_said_so(objective, values):
    gone = [*values[: LEARNED + 20], *(math.nan for _ in values[LEARNED + 20 :])]
    end = START + (LEARNED + 60) * STEP
    fillers = column(values, "busy")
    second = objective("web")
    _, records = run(
        [objective(), second], [replace(column(gone), objective="shop"), replace(fillers, objective="web")], end=end
    )
    shop = next(record for record in records if record.slo.name == "shop")
    track = shop.tracks["busy", ()]
    assert np.isnan(track.value[25:]).all()
    assert np.isnan(track.chance[25:]).all()


def test_an_objective_without_history_is_listed(objective, values):
    other = objective("web", leadingIndicators=[{"name": "queue", "query": "queue", "limit": 5}])
    end = START + (LEARNED + 20) * STEP
    prepared, records = run([objective(), other], [column(values)], end=end)
    found = judge(records, prepared.span, prepared.learn_from, lead_time=60)
    assert [case.verdict.name for case in found.cases] == ["default/shop"]
    assert len(found.unseen) == 1
    assert found.unseen[0].startswith("default/web: queue: ")
    assert "; sli: " in found.unseen[0]
    assert "default/web" in page(found)


def test_without_a_policy_the_recommended_threshold_acts(objective, values):
    prepared, records = run([objective()], [column(values)])
    (case,) = judge(records, prepared.span, prepared.learn_from, lead_time=60).cases
    assert case.verdict.as_configured is None
    if case.verdict.recommended is None:
        assert case.done == ()
    else:
        caught = {round(done.would.step + done.lead / STEP) for done in case.done if done.verdict == "foreseen"}
        assert caught
        assert caught <= set(case.onsets.tolist())


def test_a_limit_below_and_series_by_pod(objective, values):
    leading = [{"name": "free", "query": "free", "limit": -10, "direction": "Below", "horizon": "20m", "per": "pod"}]
    pods = [column([-value for value in values], "free", (("pod", "a"),))]
    pods.append(column([-4.0 + 0.01 * (n % 7) for n in range(len(values))], "free", (("pod", "b"),)))
    end = START + (LEARNED + 130) * STEP
    prepared, (record,) = run([objective(leadingIndicators=leading)], pods, end=end)
    assert set(record.tracks) == {("free", (("pod", "a"),)), ("free", (("pod", "b"),))}
    (case,) = judge([record], prepared.span, prepared.learn_from, lead_time=60).cases
    assert case.verdict.events == 1
    assert (case.breached != UNKNOWN).all()
    assert case.verdict.origins > 0


class _Tags(HTMLParser):
    """Collects what a page refers to, and whether its tags are closed."""

    def __init__(self):
        super().__init__()
        self.refers, self.open, self.seen = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.refers += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_file_that_needs_nothing_else(judgement):
    text = page(judgement)
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.refers == []
    assert not tags.seen & {"script", "link", "img", "iframe"}
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


def test_what_others_wrote_is_only_text_in_the_report(objective, values):
    body = objective(description="<script>alert(1)</script>")
    end = START + (LEARNED + 5) * STEP
    labels = (("pod", '"><img src=x>'),)
    leading = [{"name": "busy", "query": "busy", "limit": 10, "horizon": "20m", "per": "pod"}]
    body["spec"]["leadingIndicators"] = leading
    prepared, records = run([body], [column(values, labels=labels)], end=end)
    tags = _Tags()
    tags.feed(page(judge(records, prepared.span, prepared.learn_from, lead_time=60)))
    assert not tags.seen & {"script", "img"}


def test_no_text_of_others_becomes_markup_in_the_report(judgement):
    """The kind: a name, query, message or command that is more than text in a file that people open."""
    (case,) = judgement.cases
    spec = case.record.slo.spec
    leading = [each.model_copy(update={"query": HOSTILE}) for each in spec.leading_indicators]
    slo = case.record.slo.model_copy(
        update={"spec": spec.model_copy(update={"description": HOSTILE, "leading_indicators": leading})}
    )
    tracks = {key: replace(track, labels=(("pod", HOSTILE),)) for key, track in case.record.tracks.items()}
    hostile = replace(
        case,
        record=replace(case.record, slo=slo, tracks=tracks, holds={HOSTILE: 2}),
        verdict=replace(case.verdict, name=HOSTILE, silences=((HOSTILE, 1),)),
        done=tuple(replace(done, would=replace(done.would, message=HOSTILE, action=HOSTILE)) for done in case.done),
    )
    plain = replace(hostile, record=replace(case.record, holds={"x": 2}), verdict=case.verdict, done=case.done)
    spoilt = Page(page(replace(judgement, cases=(hostile,), unseen=(HOSTILE,)), HOSTILE))
    expected = Page(page(replace(judgement, cases=(plain,), unseen=("x",)), "x"))
    spoilt.elements["p"] -= 1  # the description, which the other one has not
    assert (+spoilt.elements, spoilt.attributes) == (expected.elements, expected.attributes)
    assert spoilt.says(HOSTILE) >= 8 + 2 * len(case.done)


def test_data_is_json_without_nan(judgement):
    text = json.dumps(data(judgement), allow_nan=False)
    read = json.loads(text)
    assert read["total"]["events"] == 2
    (one,) = read["objectives"]
    assert one["indicators"] == ["busy", "sli"]
    assert len(one["eventTimes"]) == 2
    assert one["forecasters"][0]["name"] == "forestall"
    assert {each["outcome"] for each in one["wouldHaveDone"]} <= {"Foreseen", "SameEvent", "InVain", "Open"}


def test_one_moment_is_drawn_with_what_came(objective, values):
    at = START + (LEARNED + 100) * STEP
    prepared, records = run([objective()], [column(values)], at=at, start=None)
    (found,) = prepare.moments(prepared, records)
    assert found.at == at
    assert found.times[-1] > at + found.horizon
    ET.fromstring(standalone(draw_moment(found)))
    for width in (40, 80, 200):
        lines = picture(found, width)
        assert "busy at" in lines[0]
        assert max(map(len, lines[2:-1])) <= width
        assert any("●" in line for line in lines)
        assert any("░" in line for line in lines)


def test_a_moment_knows_nothing_of_what_came(objective, values):
    at = START + (LEARNED + 100) * STEP
    other = [*values[: LEARNED + 101], *(99.0 for _ in values[LEARNED + 101 :])]
    said = []
    for some in (values, other):
        prepared, records = run([objective()], [column(some)], at=at, start=None)
        said.append(prepare.moments(prepared, records)[0].forecast)
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"start": START + 5 * STEP}, "only 5m of it lie before the time to look at: at least 30m are needed"),
        ({"start": START + 9e6}, "does not reach the time to look at"),
        ({"end": START - 9e6, "start": START - 9.1e6}, "does not reach the time to look at"),
    ],
)
def test_a_time_that_does_not_fit_is_refused(objective, values, wish, words):
    with pytest.raises(InvalidInput, match=words):
        run([objective()], [column(values)], **wish)


def test_the_step_follows_from_the_history_and_the_shortest_horizon(objective, values):
    found = [objects.Found(objective(), "here")]
    assert prepare.from_columns(found, [column(values)], Wish()).span.step == 120  # a tenth of 20 minutes
    times = tuple(START + 900.0 * n for n in range(100))
    sparse = Column("", "busy", (RangeSeries((), times, tuple(map(float, range(100)))),), "x")
    assert prepare.from_columns(found, [sparse], Wish()).span.step == 900


def test_the_example_is_what_its_program_writes(root):
    folder = root / "examples" / "backtest"
    written = subprocess.run([sys.executable, folder / "generate.py"], capture_output=True, text=True, check=True)
    assert written.stdout == (folder / "history.csv").read_text()
    found = objects.from_files([folder])
    prepared = prepare.from_columns(found, tables.read(folder / "history.csv"), Wish(last=6 * 3600.0))
    assert prepared.notes == ()
    assert prepared.span.step == 300


def test_of_less_than_a_week_the_actions_in_vain_are_counted():
    assert false(2.4, 1.5) == "2.4 false a week"
    assert false(2 / 0.01, 0.01) == "2 false"


def test_the_first_decision_after_a_restart_is_the_last_before_it(objective, policy, values, replayed):
    _, (before,) = replayed
    errors = [0.5 if value > 11 else 0.0 for value in values]
    acted = next(would.step for would in before.would if would.step > 100)
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
            known = before.tracks[key]
            # A past is learned back to where it weighs little, not to its beginning.
            np.testing.assert_allclose(track.chance[0], known.chance[step], atol=0.01)
            np.testing.assert_allclose(track.upper[0], known.upper[step], rtol=0.01)
            assert track.silence[0] == known.silence[step]
        assert [(one.policy, one.action) for one in after.would if one.step == 0] == [
            (one.policy, one.action) for one in before.would if one.step == step
        ]
