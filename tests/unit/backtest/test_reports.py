"""The content of reports. The kinds of fault to keep out: a legend in another style than its curves; a mark on the
wrong series; different axes for comparable charts; a figure that only a wide page, or a pointer, shows.
"""

import re
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from forestall.backtest import page as report
from forestall.backtest.charts import first_breaches, timeline, value_ranges
from forestall.backtest.replay import SeriesTrack, TimeRange
from forestall.report.style import SHAPES

SVG = "{http://www.w3.org/2000/svg}"
SPAN = TimeRange(0.0, 59 * 60.0, 60.0)


def track(values, limit=10.0, indicator="busy", labels=()):
    values = np.array(values, dtype=float)
    unknown = np.full(values.size, np.nan)
    return SeriesTrack(indicator, labels, limit, True, 600.0, values, unknown, unknown, unknown, [None] * values.size)


@pytest.fixture
def tracks():
    """A series that passes its limit at minute 20, one that never does, and one that follows five minutes later."""
    step = np.where((np.arange(60) >= 20) & (np.arange(60) < 40), 1.0, 0.0)
    return track(2 + 10 * step), track(5 + step, labels=(("pod", "b"),)), track(np.roll(step, 5), 0.5, "sli")


@pytest.fixture
def result():
    return SimpleNamespace(onsets=np.array([20]), actions=(), record=SimpleNamespace(policies=()))


def marks(drawing):
    return [element for element in ET.fromstring(drawing).iter() if element.get("class") in ("missed", "good")]


def test_only_series_that_pass_their_limit_are_marked(tracks, result):
    passed, calm, late = (timeline(result, series, SPAN, value_ranges(tracks)) for series in tracks)
    assert len(marks(passed)) == len(marks(late)) == 1
    assert marks(calm) == []
    assert ['class="event"' in drawing for drawing in (passed, calm, late)] == [True, False, True]
    assert [first_breaches(series, result.onsets) for series in tracks] == [{20: 20}, {}, {25: 20}]
    assert first_breaches(tracks[0], np.zeros(0, dtype=np.int64)) == {}  # past it before anything was seen


def test_series_of_an_indicator_have_the_same_axis(tracks, result):
    def labels(drawing):
        return [
            element.text for element in ET.fromstring(drawing).iter(f"{SVG}text") if element.get("text-anchor") == "end"
        ]

    busy, also, sli = (labels(timeline(result, series, SPAN, value_ranges(tracks))) for series in tracks)
    assert busy == also
    assert busy != sli


def test_curves_have_tooltips_without_scripts(tracks, result):
    drawing = timeline(result, tracks[0], SPAN, value_ranges(tracks))
    titles = [
        element.findtext(f"{SVG}title") for element in ET.fromstring(drawing).iter() if element.get("class") == "over"
    ]
    assert len(titles) == 60
    assert titles[19:21] == ["Thu 01 Jan 00:19: 2", "Thu 01 Jan 00:20: 12"]
    assert "<script" not in drawing


def test_every_sign_of_a_legend_has_a_style():
    kinds = set(re.findall(r'class="(\w+)"', " ".join(drawn for drawn, _ in report._KEY))) - {"sign"}
    assert kinds >= {"value", "limit", "event", "chance", "good", "missed", "bad", "open"}
    assert all(f".{kind}{{" in SHAPES for kind in kinds)
