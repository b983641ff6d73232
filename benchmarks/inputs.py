"""`python -m benchmarks.inputs`: the worst-case cost of each field of an object, as JSON.

The texts of each field are as long as its schema allows, and of the kinds that are most expensive for parsers. The
benchmark measures everything that the operator does with a text: read, check, rewrite. The most expensive text of each
field counts, accepted or refused. A second run shows the cost of the same text in later cycles.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from forestall.adapters.notifiers.formats import content_of
from forestall.api import Guardrail, MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.api.meta import Duration, LabelSelector, Timestamp
from forestall.api.patch_action import PatchAction, refusal
from forestall.core import promql
from forestall.core.quantity import to_milli
from forestall.core.windows import TimeWindow, check_window
from forestall.engine.indicator_queries import plan_queries, traffic_query
from forestall.errors import InvalidInput
from forestall.ports import Notice

QUERY, SELECTOR = 4096, 2048
NOW = 1_790_000_000.0
Run = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of the most expensive text of one field."""

    field: str
    bound: str
    texts: int
    """Number of texts."""
    milliseconds: float
    """CPU time of the first run."""
    second_milliseconds: float
    """CPU time (ms) of the second run."""
    kibibytes: int
    """Most memory of a text."""
    most_expensive: str
    """Start of the most expensive text."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/inputs.json"))
    chosen = parser.parse_args()
    costs = [measure(*field) for field in fields()]
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps([asdict(cost) for cost in costs], indent=1) + "\n")
    print("| field | bound | worst case | second run | memory |\n| --- | --- | --- | --- | --- |")
    for cost in costs:
        worst, second = f"{cost.milliseconds:.2g} ms", f"{cost.second_milliseconds:.2g} ms"
        print(f"| {cost.field} | {cost.bound} | {worst} | {second} | {cost.kibibytes} KiB |")


def measure(field: str, bound: str, texts: Sequence[Any], run: Run) -> Cost:
    """Return the cost of the most expensive of `texts`."""
    with suppress(InvalidInput, ValidationError):
        run(_changed(texts[0]))  # what is only done once in a process is nobody's cost
    times = []
    for number, text in enumerate(texts):
        times.append((timed(run, text), number))
    took, number = max(times)
    second = timed(run, texts[number])
    memory = max(_memory(run, _changed(text)) for text in texts)
    begins = ascii(texts[number])[:60]
    return Cost(field, bound, len(texts), round(took * 1e3, 3), round(second * 1e3, 3), memory >> 10, begins)


def timed(run: Run, text: object) -> float:
    """Return the CPU seconds of a run, whether the text is accepted or refused."""
    began = time.process_time()
    with suppress(InvalidInput, ValidationError):
        run(text)
    return time.process_time() - began


def _memory(run: Run, text: object) -> int:
    tracemalloc.start()
    timed(run, text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _changed(text: object) -> object:
    """Return a changed text that no cache has."""
    return f"{text[:-1]} " if isinstance(text, str) and text else text


def fields() -> Iterator[tuple[str, str, Sequence[Any], Run]]:
    """Yield each field: its name, its bound, its texts, and the function to run."""
    yield "a PromQL query (`query`, `errorRatio`)", "4,096 characters", queries(QUERY), _query
    yield "a series selector (`good`, `bad`, `total`, `histogram`)", "2,048 characters", selectors(SELECTOR), _selector
    yield (
        "all queries of one objective",
        "16 indicators of 4,096 characters",
        queries(QUERY - 16),
        _prepare_all,
    )
    yield (
        "a duration",
        "32 characters",
        ["9" * 31 + "s", "9w9d9h9m9s9ms", "1" * 32, "1m" * 16],
        TypeAdapter(Duration).validate_python,
    )
    yield (
        "a time",
        "40 characters",
        ["2026-01-31T18:00:00.123456789+01:00", "9" * 40],
        TypeAdapter(Timestamp).validate_python,
    )
    yield "a schedule with its time zone", "128 and 64 characters", list(schedules()), _schedule
    yield "all windows of a policy", "32 windows", [[cron] * 32 for cron in schedules()], _windows
    yield "a quantity of a foreign object", "64 characters", ["9" * 64, "." + "9" * 60 + "Ei", "9" * 10**6], to_milli
    yield "a label selector", "16 labels, 16 expressions of 64 values", [labels()], _match
    yield "a JSON pointer and its value", "512 and 1,024 characters", list(pointers()), _pointer
    yield "a whole policy", "8 rungs, 32 windows", [policy()], RemediationPolicy.read
    yield "a whole Guardrail", "64 windows, 64 allowances", [guardrail()], Guardrail.read
    yield (
        "a message, in the form of each channel",
        "1,024 characters",
        ["<" * 1024, "\x00" * 1024, "é" * 1024],
        _message,
    )


def queries(longest: int) -> list[str]:
    """Return queries that are expensive to parse: nesting, lists, strings, numbers, regular expressions."""
    half = longest // 2
    texts = [
        "max(x{" + ",".join(f'a{n}=~"\\\\pL{{1000}}"' for n in range(longest // 20)) + "})",
        "x{" + ",".join(f'a{n}=~"\\\\pL{{160}}"' for n in range(longest // 20)) + "}",
        "+".join(["x"] * 99),
        "+".join(["x"] * 400),
        "(" * 98 + "x" + ")" * 98,
        "(" * 390 + "x" + ")" * 390,
        "-" * 390 + "x",
        "abs(" * 98 + "x" + ")" * 98,
        "(" * half + "x" + ")" * half,
        "+".join(["x{a='b'}"] * 98),
        "sum by (" + "a," * (half - 10) + ") (x)",
        "x{" + ",".join(["a='b'"] * (longest // 6 - 1)) + "}",
        "x{" + ",".join(['a=~"(a)"'] * (longest // 9 - 1)) + "}",
        'x{a=~"' + "(" * half + '"}',
        'x{a=~"' + "(a{9}" * (longest // 8) + ")" * (longest // 8) + '"}',
        'x{a=~"' + "[[:a" * (longest // 5) + '"}',
        'x{a=~"' + "a{9}" * (longest // 5) + '"}',
        'x{a="' + r"\x41" * (longest // 5) + '"}',
        'x{a="' + "é" * (longest // 2) + '"}',
        "x{a='" + "\\" * (longest - 8) + "'}",
        "#'\n" * (longest // 3),
        "''" * half,
        "x + " + "9" * (longest - 4),
        "x + 0x" + "9" * (longest - 6),
        "x offset " + "1d" * (half - 5),
        "x offset" + " -" * 390 + " 5m",
        "offset " * (longest // 7),
        "rate(x[" + "9" * (longest - 9) + "d])",
        "label_replace(" * 98 + "x" + ',"a","b","c","d")' * 98,
        "x or " * 98 + "x",
        "x" + "[5m:]" * 390,
        "max_over_time(" * 49 + "x" + "[5m:])" * 49,
        " " * (longest - 1) + "x",
        "a" * longest,
        ":" * longest,
        "." * longest,
        "1_" * half,
    ]
    return [text[:longest] for text in texts]


def selectors(longest: int) -> list[str]:
    """Return the queries of this length that are selectors."""
    return [text for text in queries(longest) if text.startswith(("x{", "a", ":", " "))]


def schedules() -> Iterator[str]:
    """Yield schedules that are rare, impossible or long."""
    yield from ("0 0 30 2 *", "0 0 29 2 1", "0 0 29 2 1#5", "59 23 31 12 *", "0 0 L 2 5L", "* * * * *", "30 1 * * *")
    yield ",".join(["1"] * 59) + " * * * *"
    yield "*/1,*/1,*/1,*/1,*/1,*/1,*/1,*/1,*/1,*/1 */1,*/1,*/1,*/1,*/1 */1,*/1,*/1 */1,*/1 */1,*/1"


def pointers() -> Iterator[str]:
    """Yield JSON pointers that are long, or nearly valid."""
    yield from ("/data/" + "~1" * 253, "/data" + "/a" * 253, "/spec" + "/a" * 253 + "/", "/" * 512, "~" * 512)
    yield "/metadata/annotations/" + "a." * 245
    yield "/metadata/annotations/" + "security" * 61


def _query(text: str) -> object:
    promql.check_query(text)
    return promql.prepare(promql.enforce_label(text, "namespace", "team"))


def _selector(text: str) -> object:
    promql.check_selector(text)
    query = promql.error_ratio_of_counters(bad=text, total=text, window="5m")
    return promql.prepare(promql.enforce_label(query, "namespace", "team"))


def objective(text: str) -> ServiceLevelObjective:
    """Return an objective with 16 variants of this query."""
    queries = [f"{text}{' ' * n}"[:QUERY] for n in range(16)]
    leading = [{"name": f"i-{n}", "query": query, "limit": 1} for n, query in enumerate(queries)]
    indicator = {"threshold": {"query": text, "operator": "lt", "value": 1}}
    spec = {"target": {"name": "a"}, "indicator": indicator, "objective": 99, "leadingIndicators": leading}
    return ServiceLevelObjective.read({"metadata": {"name": "a", "namespace": "team", "uid": "u"}, "spec": spec})


SOURCE = MetricSource.read({"metadata": {"name": "a"}, "spec": {"url": "http://a", "enforceLabel": "namespace"}})


def prepare_queries(slo: ServiceLevelObjective) -> object:
    """Run everything that the operator does with the queries of a new objective."""
    plan = plan_queries(slo, SOURCE, 15.0)
    traffic_query(slo, SOURCE, 300.0)
    return [promql.prepare(watched.query.expr) for watched in plan.watched]


def _prepare_all(text: str) -> object:
    return prepare_queries(objective(text))


def _schedule(cron: str) -> object:
    check_window(cron, "America/Argentina/ComodRivadavia")
    window = TimeWindow("a policy's", cron, 2_678_400.0, "America/Argentina/ComodRivadavia")
    return window.closes(NOW), window.opens(NOW)


def _windows(crons: Sequence[str]) -> object:
    return [_schedule(cron) for cron in crons]


def labels() -> dict[str, Any]:
    """Return the longest label selector."""
    values = [f"{n:063d}" for n in range(64)]
    needs = [{"key": f"k{n}", "operator": "In", "values": values} for n in range(16)]
    return {"matchLabels": {f"k{n}": values[-1] for n in range(16)}, "matchExpressions": needs}


def _match(selector: dict[str, Any]) -> object:
    return LabelSelector.model_validate(selector).matches({f"k{n}": f"{63:063d}" for n in range(16)})


def _pointer(pointer: str) -> object:
    target = {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"}
    action = PatchAction.model_validate({"target": target, "field": pointer[:512], "value": "9" * 1024})
    return refusal(action), action.path


def policy() -> dict[str, Any]:
    """Return a policy of many rungs and windows that selects the labels of `labels`."""
    windows = [{"cron": "0 0 29 2 1", "duration": "31d", "timeZone": "America/New_York"}] * 16
    rung = {"indicators": [f"i{n}" for n in range(16)], "notify": {"channel": "a", "message": "a" * 1024}}
    spec = {"objectives": labels(), "actions": [rung] * 8, "blackoutWindows": windows, "maintenanceWindows": windows}
    return {"metadata": {"name": "a"}, "spec": spec}


def guardrail() -> dict[str, Any]:
    """Return a Guardrail of many windows and allowances."""
    windows = [{"cron": "0 0 29 2 1", "duration": "31d", "timeZone": "America/New_York"}] * 32
    allow = [{"namespaces": labels(), "actions": ["Scale"] * 16}] * 64
    return {
        "metadata": {"name": "a"},
        "spec": {"blackoutWindows": windows, "maintenanceWindows": windows, "allow": allow},
    }


def _message(text: str) -> object:
    notice = Notice("id", "Notify", NOW, text, text, "team", "slo", "policy", "r", "Notify", "a", {}, {}, text)
    return [content_of(kind, notice) for kind in ("Slack", "Webhook", "Alertmanager", "CloudEvents")]


if __name__ == "__main__":
    main()
