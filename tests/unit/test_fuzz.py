"""No text and no number of anybody's does more to a parser than be refused.

The kind of fault: an exception that nobody expects (OverflowError, ZeroDivisionError, a panic of a library, which is no
Exception at all) from a text or number of one tenant ends what is done for all. `FORESTALL_FUZZ=100000` looks longer.
"""

import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from forestall.actions import fields
from forestall.api import KINDS, Guardrail, RemediationPolicy, ServiceLevelObjective
from forestall.api.meta import Duration, Timestamp
from forestall.api.patch_action import PatchAction, refusal
from forestall.api.times import clock, seconds
from forestall.core import promql
from forestall.core.duration import format_duration, parse_duration
from forestall.core.quantity import to_milli
from forestall.core.rfc3339 import read_time
from forestall.core.sizing import ReplicaCapacity, bounded_replicas, replicas_for
from forestall.core.windows import TimeWindow, check_window
from forestall.errors import InvalidInput, InvalidQuery

if "FORESTALL_FUZZ" in os.environ:
    pytestmark = pytest.mark.timeout(0)  # who looks longer says how long
EXAMPLES = int(os.environ.get("FORESTALL_FUZZ", "200"))
fuzz = settings(
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

NASTY = [
    *(
        "0",
        "1",
        "-1",
        "1e18",
        "1e39",
        "1e400",
        "5e-324",
        "NaN",
        "Inf",
        "-Inf",
        "0x",
        "0x_F",
        "1_0",
        "1__0",
        "010",
        ".",
        "1.",
    ),
    *(
        "0s",
        "5m",
        "1ms",
        "1000000000d",
        "99999999999999999999d",
        "99999999999999999999",
        "1y1w",
        "1e-9",
        "9" * 400,
        "5M",
    ),
]
PROMQL = [
    *(
        "x",
        "offset",
        "@",
        "start()",
        "end()",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "by",
        "without",
        "sum",
        "rate",
        "topk",
    ),
    *(
        "label_replace",
        "info",
        "absent",
        "vector",
        "time()",
        "and",
        "or",
        "unless",
        "atan2",
        "fill",
        "count_values",
        "__name__",
    ),
    *"()[]{},:=~!+-*/%^<>@#\n ",
    *('"a"', "'b'", "`c`", '"', "'", "`", "=~", "!~", "==", "!=", '"\\xff"', r'"\x22"', '"\\'),
    *(
        "x[5m]",
        "x[5m:1m]",
        "x offset 5m",
        'x{a="b"}',
        'x{a=~".+"}',
        '"0"',
        "{0}",
        "\x00",
        "\ud800",
        "é",
        "\u2028",
        "[",
        "]",
    ),
]
numbers = st.sampled_from(NASTY) | st.floats().map(repr) | st.integers().map(str)
queries = (
    st.lists(st.sampled_from(PROMQL) | numbers, max_size=14).map(" ".join)
    | st.lists(st.sampled_from(PROMQL) | numbers, max_size=14).map("".join)
    | st.builds("x{} offset {}{}".format, st.sampled_from(["", "[5m]", "[5m:]"]), st.sampled_from(["", "-"]), numbers)
    | st.builds("rate(x[{}])".format, numbers)
    | st.builds("max_over_time(x[{}:{}] @ {})".format, numbers, numbers, numbers)
    | st.builds('x{{a{}"{}"}}'.format, st.sampled_from(["=", "=~", "!~"]), st.text(max_size=20))
    | st.builds("x{{a=~`{}`}}".format, st.text("()[]{}\\?*+|^$:=!<>aQEpL019,-", max_size=20))
    | st.text(max_size=40)
)


@pytest.mark.filterwarnings("error")
@fuzz
@given(queries)
@example("x offset NaN")
@example("x[99999999999999999999:1]")
@example("x[1000000000d]")
@example("x offset 1e18")
def test_promql(text):
    checks: list[Callable[[str], object]] = [promql.check_query, promql.check_selector, promql.prepare]
    checks += [lambda text: promql.enforce_label(text, "namespace", 'mi"ne')]
    checks += [lambda text: promql.error_ratio_of_query(text, window="5m")]
    checks += [lambda text: promql.error_ratio_of_threshold(text, "lt", 1e15, window="30d", resolution="1s")]
    checks += [lambda text: promql.error_ratio_of_counters(good=text, total=text, window="5m")]
    checks += [lambda text: promql.error_ratio_of_histogram(text, 5e-324, native=False, window="5m")]
    for ask in checks:
        with suppress(InvalidQuery):
            ask(text)


durations = st.lists(numbers | st.sampled_from(["w", "d", "h", "m", "s", "ms", " ", "\n", "٣"]), max_size=6).map(
    "".join
)


@fuzz
@given(durations | st.text(max_size=20))
@example("9" * 5000 + "s")
def test_durations(text):
    with suppress(InvalidInput):
        assert math.isfinite(parse_duration(text))
        assert format_duration(parse_duration(text))


amounts = st.lists(numbers | st.sampled_from(["Ki", "m", "E", "Ei", "e99", "+", "."]), max_size=4).map("".join)


@fuzz
@given(amounts | st.text(max_size=20) | st.floats() | st.integers())
@example("9" * 5000)
@example(10**5000)
def test_quantities(text):
    with suppress(InvalidInput):
        assert isinstance(to_milli(text), int)


parts = st.sampled_from(
    ["*", "*/5", "0", "59", "23", "31", "29", "L", "LW", "1#5", "5L", "7", "MON", "FEB", "1-5", "5-1", ","]
)
crons = st.lists(st.lists(parts | numbers, min_size=1, max_size=3).map("".join), min_size=4, max_size=6).map(" ".join)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Europe", "", ".", "..", "/etc/passwd", "a\x00b", "A" * 300]
)


@fuzz
@given(
    crons | st.text(max_size=30),
    zones | st.sampled_from(["tzdata.zi", "zone.tab", "Pacific/Apia", "\ud800"]) | st.text(max_size=20),
    st.floats(0, 4e9),
)
@example("0 0 30 2 *", "UTC", 0.0)
@example("0 0 29 2 1#5", "UTC", 0.0)
def test_schedules(cron, zone, now):
    with suppress(InvalidInput):
        check_window(cron, zone)
        window = TimeWindow("a policy's", cron, 3600.0, zone)
        for moment in (window.closes(now), window.opens(now)):
            assert moment is None or math.isfinite(moment)


times = st.builds(
    "{}-{}-{}T{}:{}:{}{}{}".format,
    st.sampled_from(["0000", "0001", "1970", "2026", "9999", "10000", "-001"]),
    *[st.sampled_from(["00", "01", "02", "12", "23", "24", "29", "31", "59", "60"])] * 5,
    st.sampled_from(["", ".1", ".999999999999", ","]),
    st.sampled_from(["Z", "z", "", "+00:00", "-23:59", "+23:59", "+24:00", "-00:00:01"]),
)


@fuzz
@given(times | st.text(max_size=30))
def test_times(text):
    for read in (read_time, seconds):
        at = read(text)
        assert at is None or math.isfinite(at)
        assert at is None or clock(at)
    with suppress(ValueError):
        assert Timestamp._check(text).at > 0
    with suppress(ValueError):
        assert Duration._check(text).seconds >= 0


pieces = [
    "/",
    "~0",
    "~1",
    "~",
    "spec",
    "data",
    "metadata",
    "annotations",
    "a",
    "name=main",
    "template",
    "containers",
    "0",
    "é",
]
pointers = st.lists(st.sampled_from(pieces) | st.text(max_size=3), max_size=12).map("".join)
TARGET = {"apiVersion": "v1", "kind": "ConfigMap", "resource": "configmaps", "name": "flags"}


@fuzz
@given(
    pointers | pointers.map("/data/".__add__),
    numbers | st.text(max_size=10),
    st.sampled_from(["String", "Integer", "Boolean"]),
)
@example("/data/a", "9" * 1000, "Integer")
def test_json_pointers(pointer, value, kind):
    """What the API server let through, or an older schema, is patched or refused."""
    action = PatchAction.model_validate({"target": TARGET, "field": pointer[:512], "value": value, "type": kind})
    if refusal(action) is None:
        assert json.dumps(action.wanted)
        body = {
            "data": {"a": "b"},
            "spec": {"template": {"containers": [{"name": "main"}, "text", None]}},
            "metadata": None,
        }
        with suppress(InvalidInput):
            fields.get(body, action.path)
        with suppress(InvalidInput):
            fields.put(body, action.path, action.wanted)


measures = st.floats() | st.sampled_from([0.0, 5e-324, -5e-324, 1e-12, 1e15, -1e15, 1e39, 1.7e308])


@fuzz
@given(measures, measures, st.integers(-1, 10**9), st.none() | measures, st.floats(0, 1))
@example(1.0, 5e-324, 1, None, 0.2)
@example(1.0, 1.0, 1, 5e-324, 0.9)
def test_sizes(load, limit, ready, capacity, headroom):
    wanted = replicas_for(load, limit, ready, ReplicaCapacity(capacity, headroom))
    assert wanted is None or 1 <= bounded_replicas(wanted, 1, 10000, None) <= 10000


hostile = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def paths(node: dict[str, Any]) -> list[str]:
    """Return the names of all properties of a schema."""
    named = list(node.get("properties", {}))
    inner = [*node.get("properties", {}).values(), *node.get("$defs", {}).values()]
    return named + [name for element in inner if isinstance(element, dict) for name in paths(element)]


NAMES = {kind.KIND: st.sampled_from(sorted(set(paths(kind.model_json_schema())))) for kind in KINDS}


@fuzz
@given(st.data())
def test_objects(data):
    """An object that an older or newer schema let in is read, or refused by the one error that is expected."""
    kind = data.draw(st.sampled_from(KINDS))
    names = NAMES[kind.KIND]
    spec = data.draw(st.dictionaries(names, st.dictionaries(names, hostile, max_size=4) | hostile, max_size=6))
    status = data.draw(hostile | st.dictionaries(names, hostile, max_size=3))
    with suppress(ValidationError):
        kind.read({"metadata": {"name": "a"}, "spec": spec, "status": status}).dump()


BAD_NUMBERS = [math.nan, math.inf, -math.inf, 1e39, -1e39, 1e400, 1.1e15]
INDICATOR = {"threshold": {"query": "x", "operator": "lt", "value": 1}}
SLO = {"target": {"name": "a"}, "indicator": INDICATOR, "objective": 99, "leadingIndicators": []}


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_no_measure_is_beyond_what_forecasts_compute_with(value):
    """The kind: a number that is fine as JSON and overflows, or divides by zero, where it is used."""
    leading = [{"name": "busy", "query": "x", "limit": value}]
    threshold = {"threshold": {"query": "x", "operator": "lt", "value": value}}
    for spec in ({**SLO, "leadingIndicators": leading}, {**SLO, "indicator": threshold}, {**SLO, "objective": value}):
        with pytest.raises(ValidationError):
            ServiceLevelObjective.read({"metadata": {"name": "a"}, "spec": spec})


@pytest.mark.parametrize("value", [*BAD_NUMBERS, 5e-324, 0, -1])
@pytest.mark.parametrize("field", ["perReplica", "headroom", "confidence"])
def test_no_capacity_is_out_of_all_proportion(field, value):
    if field == "headroom" and value in (0, 5e-324):
        return
    capacity = {"type": "Declared", "perReplica": 1, field: value}
    spec = {"actions": [{"scale": {"maxReplicas": 3, "capacity": capacity}}]}
    with pytest.raises(ValidationError):
        RemediationPolicy.read({"metadata": {"name": "a"}, "spec": spec})


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z"])
def test_no_time_is_beyond_what_a_calendar_holds(until):
    with pytest.raises(ValidationError):
        Guardrail.read({"metadata": {"name": "a"}, "spec": {"pauseUntil": until}})
