"""The report of a simulation: the same axes for all results, and a legend in the style of the curves."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.support.pages import HOSTILE, Page

from forestall.sim.bootstrap import ConfidenceInterval
from forestall.sim.compare import HPA, Comparison, ControllerResult, EquivalentAutoscaler
from forestall.sim.figures import ServiceFigures
from forestall.sim.page import comparison_chart, conclusion, describe_savings, page

SVG = "{http://www.w3.org/2000/svg}"


def make_result(name, replicas, bad, saved=(0, 0)):
    bad = np.array(bad, dtype=float)
    figures = ServiceFigures(
        60, int(bad.sum()), 0.99, 0.5, float(np.sum(replicas)) / 60, int(max(replicas)), 1, 1, 0, 0
    )
    cost = np.array(replicas, dtype=float) / 60
    return ControllerResult(name, figures, 3, cost * 60, bad, cost, ConfidenceInterval(*saved))


@pytest.fixture
def comparison(make_service):
    service = make_service([100.0] * 30 + [400.0] * 30, past=[100.0] * 60, min_replicas=2)
    no_bad, some_bad = [0.0] * 60, [0.0] * 30 + [1.0] * 5 + [0.0] * 25
    rows = (
        make_result("no action", [5] * 60, some_bad),
        make_result(HPA, [8] * 30 + [28] * 30, some_bad),
        make_result("HPA at 70% + forestall, headroom 0.1", [8] * 28 + [38] * 32, no_bad, (2, 9)),
    )
    needed = np.ceil(service.traffic.simulated / 20)
    return Comparison(
        service, 99.0, 0.7, rows, 20.0, needed, None, rows[-1].name, EquivalentAutoscaler("HPA", 0.6, 30.0), 0.9
    )


def labels(text):
    return [element.text for element in ET.fromstring(text).iter(f"{SVG}text") if element.get("text-anchor") != "start"]


def test_all_charts_have_the_same_axes(comparison):
    drawings = re.findall(r"<svg viewBox=\"0 0 960.*?</svg>", page(comparison, ()), re.DOTALL)
    assert len(drawings) == 3
    assert labels(drawings[0]) == labels(drawings[1]) == labels(drawings[2])
    assert "30" in labels(drawings[0])  # what the largest of them needs
    assert "replicas" in labels(drawings[0])


def test_the_legend_has_the_style_of_the_curves(comparison):
    text = page(comparison, ())
    legend = dict(re.findall(r'<span><svg class="sign".*?class="(\w+)".*?</svg> ([\w ]+)</span>', text))
    assert legend == {"value": "replicas", "needed": "replicas that the traffic needs", "event": "bad minutes"}
    for curve in re.findall(r"<svg viewBox=\"0 0 960.*?</svg>", text, re.DOTALL)[1:2]:
        kinds = [element.get("class") for element in ET.fromstring(curve).iter(f"{SVG}path")]
        assert kinds.count("value") == kinds.count("needed") == 1


def test_curves_have_tooltips_with_values(comparison):
    text = page(comparison, ())
    assert "<title>Thu 01 Jan 01:31, minute: 28 replicas, 20 needed for 400 requests a second; 1 bad</title>" in text
    assert 'style="' not in text


def test_the_svg_has_the_hpa_and_the_best_policy(comparison):
    text = comparison_chart(comparison)
    root = ET.fromstring(text)
    strong = [element.text for element in root.iter(f"{SVG}text") if element.get("class") == "strong"]
    assert strong == [
        "HPA: 5 bad minutes (50 % of the error budget), 18.0 replica-hours",
        "HPA at 70% + forestall, headroom 0.1: 0 bad minutes (50 % of the error budget), 24.0 replica-hours",
    ]
    assert 'class="over"' not in text
    assert "replicas" in text


def test_a_recommendation_has_its_confidence(comparison):
    text = conclusion(comparison)
    assert text.startswith(
        "Recommended: HPA at 70% + forestall, headroom 0.1. 0 bad minutes instead of 5, for 33 % more"
    )
    assert (
        "On resampled hours of this traffic it has 2 to 9 fewer, and is better than every autoscaler alone in 90 %"
        in text
    )
    assert "2 to 9 fewer" in page(comparison, ())


def test_the_hpa_is_kept_where_the_difference_is_uncertain(comparison):
    """Kind: a figure without its uncertainty. Two bad minutes in half a day are not significant."""
    uncertain = replace(comparison, best=None, uncertain_policy=comparison.best, confidence=0.54)
    text = conclusion(uncertain)
    assert text.startswith("Keep the HPA: the difference is uncertain.")
    assert "is better than every autoscaler alone in 54 % of the cases, which is too few" in text
    assert "--last" in text
    assert text.endswith("As few bad minutes has an HPA alone with a target of 60 %, for 30.0 replica-hours.")
    assert "HPA at 70% + forestall, headroom 0.1: 0 bad minutes" in comparison_chart(uncertain)


def test_the_best_policy_over_the_hpa_is_named_where_keda_is_recommended(comparison):
    over_keda = make_result("KEDA at 70% + forestall, headroom 0.1", [8] * 28 + [30] * 32, [0.0] * 60, (2, 9))
    changed = replace(comparison, results=(*comparison.results, over_keda), best=over_keda.name)
    text = conclusion(changed)
    assert text.startswith("Recommended: KEDA at 70% + forestall, headroom 0.1.")
    assert text.endswith(
        "Without KEDA: HPA at 70% + forestall, headroom 0.1 has 0 bad minutes, for 24.0 replica-hours instead of 19.7."
    )


def test_keda_alone_is_named_where_no_policy_is_better(comparison):
    kept = replace(comparison, best=None, equivalent=EquivalentAutoscaler("KEDA", 0.7, 12.0))
    assert "KEDA alone with a target of 70 % is good enough: it needs 12.0 replica-hours" in conclusion(kept)
    assert conclusion(kept).endswith("Use KEDA with this target.")


def test_foreign_text_is_escaped_in_the_report(comparison):
    """The kind: the name of a file or of a policy becomes markup in a file that people open."""
    rows = tuple(replace(row, name=HOSTILE) if row.name == comparison.best else row for row in comparison.results)
    traffic = replace(comparison.service.traffic, name=HOSTILE)
    spoilt = replace(comparison, results=rows, best=HOSTILE, service=replace(comparison.service, traffic=traffic))
    hostile, expected = Page(page(spoilt, (HOSTILE,), HOSTILE)), Page(page(comparison, ("x",), "x"))
    assert (hostile.elements, hostile.attributes) == (expected.elements, expected.attributes)
    assert hostile.says(HOSTILE) == 6  # the traffic, the verdict, a row, a curve, a note and the command
    assert ET.fromstring(comparison_chart(spoilt)).get("aria-label") == f"HPA: 5 bad minutes; {HOSTILE}: 0"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (-3, 7, "3 more to 7 fewer"),
        (0, 4.2, "0 to 4 fewer"),
        (2, 2, "2 fewer"),
        (-9, -2, "2 to 9 more"),
        (-0.3, 0.4, "as many"),
        (-3, 0, "0 to 3 more"),
    ],
)
def test_savings_are_described_in_words(low, high, text):
    assert describe_savings(make_result("any", [1], [0], (low, high))) == text
