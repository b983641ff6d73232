"""Parsing the points of a range response."""

import gc
import math
import tracemalloc

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.adapters.prometheus.document import read, value_of
from forestall.adapters.prometheus.errors import SourceTrouble


def values_of(pairs):
    document = read(orjson.dumps({"data": {"result": [{"metric": {}, "values": pairs}]}}))
    assert document is not None
    return document["data"]["result"][0]["values"]


@given(st.lists(st.tuples(st.integers(0, 2_000_000_000), st.floats(allow_nan=False)), max_size=20))
def test_points_are_parsed_like_float(points):
    words = {math.inf: "+Inf", -math.inf: "-Inf"}
    times, values = values_of([[at, words.get(value, repr(value))] for at, value in points])
    assert times == [float(at) for at, _ in points]
    assert values == [value for _, value in points]


def test_nan_and_infinity_are_parsed():
    times, values = values_of([[1, "NaN"], [1.5, "18446744073709551617"], [2, "-1e-07"], [3, "5"]])
    assert times == [1.0, 1.5, 2.0, 3.0]
    assert math.isnan(values[0])
    assert values[1:] == [18446744073709551617.0, -1e-07, 5.0]
    assert all(isinstance(value, float) for value in values)


@pytest.mark.parametrize(
    "pairs",
    [
        *([[1, "1,2"]], [[1, "one"]], [[1]], [[1, "1"], [2, "2", "3"]], [1], 7, None, {}, "ab"),
        *([["x", "1"]], [["1", "1"]], [[None, "1"]], [[True, "1"]], [[[1], "1"]]),
        *(
            [[1, "true"]],
            [[1, "null"]],
            [[1, '"5"']],
            [[1, 5]],
            [[1, None]],
            [[1, "1_0"]],
            [[1, "\u0661"]],
        ),
        *([[1, "1,2"], [2, "[3"], [3, "4]"]], [[1, "0x10"]], [[1, ""]], [[1, "-"]], [[1, "."]]),
    ],
)
def test_invalid_point_affects_its_own_series_only(pairs):
    """Kind: a response with valid structure outside and invalid values inside."""
    good = [[1, "1"], [2, "2.5"]]
    series = [{"metric": {}, "values": good}, {"metric": {}, "values": pairs}, {"metric": {}, "values": good}]
    document = read(orjson.dumps({"data": {"result": series}})) or {}
    points = [each["values"] for each in document["data"]["result"]]
    assert points == [([1.0, 2.0], [1.0, 2.5]), None, ([1.0, 2.0], [1.0, 2.5])]


@pytest.mark.parametrize(
    "pair", [[1], [1, "1", 2], "11", {"0": 1, "1": "1"}, None, [True, "1"], ["1", "1"], [-1, "1"], [1e18, "1"]]
)
def test_invalid_pair_has_no_value(pair):
    with pytest.raises(SourceTrouble, match="not of the Prometheus API"):
        value_of(pair)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"7", b"\xff{}", b"[" * 5000, b'{"a": "\\ud800"}'])
def test_invalid_document_is_none(body):
    assert read(body) is None
    assert gc.isenabled()


@pytest.mark.parametrize(
    "text",
    [
        '{"data": {"result": [{"metric": {}, "values": [[1, "1"], [2, "2"]]}]}}',
        '{"data":{"result":[{"metric":{},"values":[[1,"1"],[2,"2"]]}]}}',
        '{"data":{"result":[{"metric":{"a":"\\"values\\":[[1"},"values":[[1,"1"],[2,"2"]]}]}}',
        '{"data":{"result":[{"values":[[1,"1"],[2,"2"]],"metric":{"\\"values":"]]"}}]}}',
        '{"x":{"values":[[7,"7"]]},"data":{"result":[{"metric":{},"values":[[1,"1"],[2,"2"]]}]}}',
    ],
)
def test_points_are_parsed_at_any_position(text):
    document = read(text.encode()) or {}
    assert [each["values"] for each in document["data"]["result"]] == [([1.0, 2.0], [1.0, 2.0])]


@pytest.mark.parametrize("points", ['[[1,"]]"]]', '[[1,"1"]', "[[1,]]", '[[1,"1"]]]', "[[", '[["values":[[1]]]]'])
def test_points_that_the_splitter_misses_are_parsed_as_json(points):
    text = f'{{"data":{{"result":[{{"metric":{{}},"values":{points}}},{{"metric":{{}},"values":[[1,"1"]]}}]}}}}'
    try:
        expected = [([1.0], [1.0]) if each["values"] == [[1, "1"]] else None for each in _series(orjson.loads(text))]
    except orjson.JSONDecodeError:
        assert read(text.encode()) is None
    else:
        assert [each["values"] for each in _series(read(text.encode()) or {})] == expected


def _series(document):
    return document["data"]["result"]


def test_parsing_points_is_bounded_in_memory():
    """Kind: no share per namespace. Parsing a response of 32 MiB took 560 MiB, more than the memory limit of a
    container.
    """
    points = ",".join(f'[{at},"{at}.5"]' for at in range(1_790_000_000, 1_790_000_000 + 2000))
    series = ",".join(f'{{"metric":{{"i":"{n}"}},"values":[{points}]}}' for n in range(50))
    body = f'{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}'.encode()
    tracemalloc.start()
    try:
        document = read(body)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert document is not None
    assert most < 80 * 50 * 2000  # two floats in two lists: 64 bytes a point; as JSON some 240
