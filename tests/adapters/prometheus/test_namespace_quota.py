"""Slow, many or large queries of one namespace never keep another's from answers."""

import re
import time

import pytest

from forestall.adapters.http import Endpoint
from forestall.adapters.prometheus import NamespaceQuota, SourceConfig
from forestall.ports import Answer, Query, QueryFailure

from .conftest import NOW


def queries(namespace, count, name="slow"):
    return [
        Query((namespace, number), f'{name}{{namespace="{namespace}",i="{number}"}}', owner=namespace)
        for number in range(count)
    ]


def others(count=20):
    return [query for number in range(count) for query in queries(f"team-{number}", 3, "quick")]


def reasons(answers, of):
    found = [answers[query.key] for query in of]
    return {each.reason for each in found if isinstance(each, QueryFailure)}


@pytest.fixture
def slow(faulty):
    """A source that hangs on each request with a slow query."""
    faulty.behave = lambda handler: handler.hang() if "slow" in handler.params["query"] else handler.ones()
    return faulty


@pytest.mark.parametrize("count", [2700, 300, 30])
@pytest.mark.parametrize("greedy", ["aaa", "zzz"])
async def test_slow_queries_of_one_namespace_affect_no_other(metrics, slow, count, greedy):
    """150 objectives with slow queries, or 18 with many: others were not served for minutes."""
    metrics.set_sources({"faulty": SourceConfig(Endpoint(slow.url, timeout=1), share=NamespaceQuota(seconds=2.0))})
    mine, all_of_them = queries(greedy, count), others()
    asked = mine + all_of_them if greedy == "aaa" else all_of_them + mine
    # Which requests its few queries share with others is not known at first.
    spoilt = [reasons(await metrics.instant("faulty", asked, NOW), all_of_them) for _ in range(3)]
    assert spoilt[1:] == [set(), set()]
    assert count == 30 or spoilt[0] == set()


@pytest.mark.parametrize("wrong", ["422", "doubtful"])
async def test_hanging_and_refused_queries_of_two_namespaces_affect_no_other(metrics, faulty, wrong):
    """The kind: a source counts as down because of a few queries, if no other was answered before."""

    def behave(handler):
        asked = handler.params["query"]
        if "slow" in asked:
            handler.hang()
        elif "wrong" not in asked:
            handler.ones()
        elif wrong == "422":
            handler.refuse("execution", "many-to-many matching not allowed", 422)
        else:
            series = [{"metric": [], "value": [NOW, "1"]}]
            handler.answer({"status": "success", "data": {"resultType": "vector", "result": series}})

    faulty.behave = behave
    metrics.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, timeout=1), share=NamespaceQuota(seconds=2.0))})
    asked = queries("greedy", 300) + queries("another", 1, "wrong") + others()
    spoilt = [reasons(await metrics.instant("faulty", asked, NOW), others()) for _ in range(3)]
    assert spoilt[1:] == [set(), set()]


async def test_exceeded_share_is_reported_with_its_amount(metrics, slow):
    metrics.set_sources(
        {"faulty": SourceConfig(Endpoint(slow.url, timeout=1), share=NamespaceQuota(queries=100, seconds=0.5))}
    )
    mine = queries("greedy", 300)
    first = await metrics.instant("faulty", mine + others(), NOW)
    told = {each.message for each in (first[query.key] for query in mine) if each.reason == "ShareExhausted"}
    assert any("more than 100 queries" in words and "spec.perNamespace.queries" in words for words in told)
    second = await metrics.instant("faulty", mine[:90] + others(), NOW)
    told = {each.message for each in (second[query.key] for query in mine[:90]) if each.reason == "ShareExhausted"}
    assert any(re.search(r"took \d\.\d s of the source's time, of 0.5 s", words) for words in told)


async def test_expensive_namespace_uses_no_more_than_its_share(metrics, slow):
    metrics.set_sources({"faulty": SourceConfig(Endpoint(slow.url, timeout=0.5), share=NamespaceQuota(seconds=0.5))})
    asked = queries("greedy", 1000) + others()
    for _ in range(3):
        slow.requests.clear()
        began = time.monotonic()
        await metrics.instant("faulty", asked, NOW)
        assert time.monotonic() - began < 60  # it ends, on a busy machine as well
        assert sum("slow" in handler.params["query"] for handler in slow.requests) <= 8


async def test_large_responses_use_up_the_share_of_their_namespace_only(metrics, faulty):
    def behave(handler):
        numbers = re.findall(r'"__forestall_query", "(\d+)"', handler.params["query"]) or [None]
        labels: list[dict[str, str]] = [{} if each is None else {"__forestall_query": each} for each in numbers]
        padding = "x" * 20_000 if "large" in handler.params["query"] else ""
        series = [{"metric": each | {"padding": padding}, "value": [NOW, "1"]} for each in labels]
        handler.answer({"status": "success", "data": {"resultType": "vector", "result": series}})

    faulty.behave = behave
    metrics.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, timeout=1), share=NamespaceQuota(size=1 << 20))})
    mine, all_of_them = queries("greedy", 2000, "large"), others()
    answers = await metrics.instant("faulty", mine + all_of_them, NOW)
    assert reasons(answers, all_of_them) == set()
    assert reasons(answers, mine) == {"ShareExhausted"}
    answered = sum(isinstance(answers[query.key], Answer) for query in mine)
    assert 0 < answered < 1000


async def test_shared_query_is_sent_while_one_namespace_is_within_its_share(metrics, faulty):
    metrics.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, timeout=1), share=NamespaceQuota(queries=10))})
    mine = queries("greedy", 50, "x")
    same = Query("same", mine[-1].expr, owner="other")
    answers = await metrics.instant("faulty", [*mine, same], NOW)
    assert isinstance(answers["same"], Answer)
    assert sum(isinstance(answers[query.key], Answer) for query in mine) == 10 + 1


async def test_single_namespace_may_use_all_concurrent_requests(metrics, faulty):
    metrics.set_sources({"faulty": SourceConfig(Endpoint(faulty.url, timeout=1))})
    mine = queries("only", 500, "x")
    answers = await metrics.instant("faulty", mine, NOW)
    assert reasons(answers, mine) == set()


async def test_slow_range_queries_of_one_namespace_affect_no_other(metrics, slow):
    metrics.set_sources({"faulty": SourceConfig(Endpoint(slow.url, timeout=1), share=NamespaceQuota(seconds=1.0))})
    mine, all_of_them = queries("greedy", 30), others(4)
    asked = [query for pair in zip(mine, [*all_of_them, *mine], strict=False) for query in pair]
    answers = await metrics.range("faulty", list(dict.fromkeys([*asked, *mine])), NOW - 60, NOW, 15)
    answers = await metrics.range("faulty", list(dict.fromkeys([*asked, *mine])), NOW - 60, NOW, 15)
    failed = {key: each for key, each in answers.items() if key[0] != "greedy" and isinstance(each, QueryFailure)}
    assert {each.reason for each in failed.values()} <= {"SourceBadAnswer"}  # it answers with a vector
