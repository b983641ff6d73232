"""Absent series count as zero only where the targets that would export them are known to be scraped.

The same on a real Prometheus is in `tests/adapters`; here is what is asked for it, and how often.
"""

import re
from typing import Any

import pytest

from forestall.adapters.prometheus.absence import AbsenceJudge, DataVerdict, questions_needed_by
from forestall.adapters.prometheus.past_answers import PastAnswerCache
from forestall.adapters.prometheus.query_outcomes import QueryOutcome
from forestall.core import promql
from forestall.core.promql import evidence
from forestall.ports import FreshnessRequirements, QueryFailure

AT, OLD = 1_000_000.0, 999_000.0


class Source:
    """Answers the questions of a judge: what there is now and was before, by job, and who is up."""

    def __init__(self, now=(), past=(), up=(), *, faded=(), gap=0.0):
        self.faded, self.gap, self.blind = faded, gap, False
        self.order: list[str] = []
        self.now: dict[str, Any] = dict(now)
        self.past: dict[str, Any] = dict(past)
        self.up: dict[str, Any] = dict(up)
        self.asked: list[list[str]] = []
        self.memory = PastAnswerCache()

    def answer(self, text):
        """Return the outcome of one question."""
        about = re.search(r"(?:timestamp\(|\[|group\((?:\w+\()?)(\w+)\{", text)
        name = about[1] if about else ""
        self.order.append(text)
        up: Any
        if text.startswith("group("):  # whether an end is not known, or what a look finds
            up = {"": AT} if not self.blind and name in (self.faded if "@" in text else self.now) else {}
        elif "offset 300000ms" in text:
            up = {"": self.gap} if self.gap else {}
        elif text.startswith("min by"):
            jobs = re.search(r'job=~"([^"]*)"', text)
            up = {job: at for job, at in self.up.items() if jobs is None or job in jobs[1].split("|")}
        elif text.startswith("label_replace"):
            up = self.now.get(name, {})
        else:
            up = self.past.get(name, {})
        if isinstance(up, QueryFailure | QueryOutcome):
            return up
        return QueryOutcome(
            [{"metric": {"job": job} if job else {}, "value": [AT, str(at)]} for job, at in up.items()], ()
        )

    def judge(self, expr, at=AT, **requirements):
        """Return the verdict, and count the rounds that it takes."""
        prepared, terms = promql.prepare(expr, requirements.get("evidence", "")), FreshnessRequirements(**requirements)
        cases = [(prepared.freshness, terms, "")]
        known = self.memory.outcomes_at(at)
        self.asked = []
        while wanted := questions_needed_by(cases, known, at):
            self.asked.append(list(wanted))
            known |= {text: self.answer(text) for text in wanted}
            self.memory.keep(wanted.values(), known, at)
        judge = AbsenceJudge(known, at)
        verdict = judge.verdict(prepared.freshness, terms)
        self.memory.correct(judge.present)
        return verdict


HERE, THERE = {"shop": AT}, {"gateway": AT}
ERRORS = "sum(rate(errors[5m])) or vector(0)"
LONG = "max_over_time((sum(errors) or vector(0))[10m:])"
SHARE = "(sum(rate(errors[5m])) or vector(0)) / sum(rate(total[5m]))"


@pytest.mark.parametrize(
    ("expr", "source", "newest"),
    [
        ("errors", Source({"errors": HERE}), AT),
        ("errors", Source(past={"errors": HERE}, up=HERE), None),
        (ERRORS, Source({"errors": HERE}), AT),
        (ERRORS, Source(up=HERE), AT),
        (ERRORS, Source(up={"shop": AT, "other": 0.0}), None),
        (ERRORS, Source(up={"shop": OLD}), None),
        (ERRORS, Source(), None),
        (ERRORS, Source(past={"errors": HERE}, up={"shop": AT, "other": 0.0}), AT),
        (ERRORS, Source(past={"errors": HERE}, up={"shop": 0.0, "other": AT}), None),
        (ERRORS, Source(past={"errors": HERE}, up=THERE), None),
        (ERRORS, Source(past={"errors": {"shop": AT - 300, "gone": AT - 80_000}}, up=HERE), AT),
        (ERRORS, Source(past={"errors": {"": AT}}, up={"": AT}), None),
        (SHARE, Source({"total": HERE}), AT),
        (SHARE, Source({"total": HERE}, past={"errors": HERE}), AT),
        (SHARE, Source({"total": THERE}, past={"errors": HERE}), None),
        (SHARE, Source({"total": THERE}, past={"errors": HERE}, up=HERE), AT),
        (SHARE, Source({"total": {"": AT}}, past={"errors": {"": AT}}), AT),
        (SHARE, Source({"total": {"shop": OLD, "gateway": AT}}, past={"errors": HERE}), None),
        (SHARE, Source({"total": {"shop": OLD}}, past={"errors": HERE}), None),
        (SHARE, Source(past={"total": HERE}, up=HERE), None),
        (SHARE, Source({"total": HERE}, past={"errors": QueryFailure("SourceTimeout", "slow")}), None),
        (SHARE, Source({"total": HERE}, past={"errors": QueryOutcome([], ("a store is away",))}), None),
        (ERRORS, Source(past={"errors": {"shop": AT - 420}}, up=HERE), AT),
        (ERRORS, Source(past={"errors": {"shop": AT - 420}}, up=HERE, faded=["errors"]), None),
        (LONG, Source({"errors": HERE}), AT),
        (LONG, Source({"errors": HERE}, gap=290), None),
        ("absent(leader)", Source(past={"leader": {"shop": AT - 420}}, up=HERE, faded=["leader"]), None),
        ("absent(leader)", Source({"leader": HERE}), AT),
        ("absent(leader)", Source(past={"leader": HERE}, up=HERE), AT),
        ("absent(leader)", Source(past={"leader": HERE}, up=THERE), None),
        ("absent(up{job='x'})", Source({"up": THERE}), AT),
    ],
)
def test_scraped_targets_vouch_for_absent_series(expr, source, newest):
    verdict = source.judge(expr)
    assert verdict.newest == newest
    assert bool(verdict.lacking) == (newest is None)


@pytest.mark.parametrize(
    ("source", "newest"),
    [
        (Source({"good": HERE, "total": HERE}), AT),
        (Source({"total": HERE}, past={"good": HERE}), AT),
        (Source({"total": HERE}), None),
        (Source({"good": HERE}), None),
    ],
)
def test_series_that_must_have_existed(source, newest):
    assert source.judge("1 - good / total", evidence="total", past_selector="good{}").newest == newest


def test_existing_series_cost_one_query_for_each_selector():
    source = Source({"errors": HERE, "total": HERE})
    source.judge(SHARE)
    assert [len(texts) for texts in source.asked] == [2, 1], "and one whether rate() finds anything"
    source.judge("sum(errors) / sum(total)")
    assert [len(texts) for texts in source.asked] == [2]


def test_past_is_queried_periodically():
    source = Source(past={"errors": HERE}, up=HERE)
    source.judge(ERRORS)
    assert len(source.asked) == 4, "what there is now, lately, before, and who is up"
    source.judge(ERRORS, AT + 30)
    assert [len(texts) for texts in source.asked] == [1, 1, 1, 1], "not what was before"
    assert evidence.past_samples_query("errors{}", 86_400.0) not in {text for texts in source.asked for text in texts}
    source.judge(ERRORS, AT + 4000)
    assert len(source.asked) == 5, "and whether it has come to an end"


def test_cached_absence_is_dropped_when_series_appear():
    source = Source(up=HERE)
    assert source.judge(ERRORS).newest == AT
    source.now = {"errors": {"app": AT}}
    assert source.judge(ERRORS).newest == AT
    source.now, source.past = {}, {"errors": {"app": AT}}
    assert source.judge(ERRORS).newest is None


@pytest.mark.parametrize("stale_after", [120.0, 300.0, 900.0])
def test_samples_beyond_the_lookback_are_queried_only_where_needed(stale_after):
    source = Source(past={"slow": {"shop": AT - 600}})
    verdict = source.judge("last_over_time(slow[15m])", stale_after=stale_after)
    assert verdict.newest == (AT - 600 if stale_after > promql.LOOKBACK else None)
    assert len(source.asked) == (2 if stale_after > promql.LOOKBACK else 1)


def test_series_with_too_few_samples_for_a_range_is_not_absent():
    source = Source({"errors": HERE})
    source.blind = True
    verdict = source.judge(ERRORS)
    assert verdict.newest is None
    assert verdict.lacking.startswith("rate(errors{}[5m]) finds nothing although errors{} has samples")
    assert source.judge("sum(rate(errors[5m]))").newest == AT, "which finds nothing then"


def test_rounds_of_further_queries_are_bounded():
    """The kind: queries sent one after the other exceed the rounds, and end the answers of all."""
    source = Source(past={f"x{n}": {f"job{n}": AT} for n in range(12)}, up={f"job{n}": AT for n in range(12)})
    assert source.judge(" + ".join(f"(sum(x{n}) or vector(0))" for n in range(12))).newest == AT
    assert len(source.asked) == 3


def test_failed_further_query_leaves_the_result_unknown():
    verdict = AbsenceJudge({}, AT).final(promql.prepare("x").freshness, FreshnessRequirements())
    assert isinstance(verdict, DataVerdict)
    assert verdict.newest is None
    assert verdict.lacking.startswith("too much had to be asked")


@pytest.mark.parametrize(
    ("expr", "members"),
    [("sum(x or y)", {"x{}": 0}), ("sum(x) or vector(0)", {}), ("sum(y) / sum(z or y)", {"z{}": 0})],
)
def test_selector_without_series_is_counted_as_zero_targets(expr, members):
    verdict = Source({"y": HERE}, up=HERE).judge(expr)
    assert isinstance(verdict, DataVerdict)
    assert dict(verdict.members) == members
