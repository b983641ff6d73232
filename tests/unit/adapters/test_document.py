"""The points of a range answer, from the bytes to numbers."""

import gc
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.adapters.prometheus.document import read, value_of
from forestall.adapters.prometheus.trouble import SourceTrouble


def values_of(pairs):
    document = read(orjson.dumps({"data": {"result": [{"metric": {}, "values": pairs}]}}))
    assert document is not None
    return document["data"]["result"][0]["values"]


@given(st.lists(st.tuples(st.integers(0, 2_000_000_000), st.floats(allow_nan=False)), max_size=20))
def test_points_become_numbers_as_float_reads_them(points):
    words = {math.inf: "+Inf", -math.inf: "-Inf"}
    times, values = values_of([[at, words.get(value, repr(value))] for at, value in points])
    assert times == [float(at) for at, _ in points]
    assert values == [value for _, value in points]


def test_what_json_has_no_number_for_is_read_all_the_same():
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
def test_what_is_no_point_spoils_its_own_series_alone(pairs):
    """Kind: an answer of the right shape outside and the wrong one inside."""
    good = [[1, "1"], [2, "2.5"]]
    series = [{"metric": {}, "values": good}, {"metric": {}, "values": pairs}, {"metric": {}, "values": good}]
    document = read(orjson.dumps({"data": {"result": series}})) or {}
    points = [each["values"] for each in document["data"]["result"]]
    assert points == [([1.0, 2.0], [1.0, 2.5]), None, ([1.0, 2.0], [1.0, 2.5])]


@pytest.mark.parametrize(
    "pair", [[1], [1, "1", 2], "11", {"0": 1, "1": "1"}, None, [True, "1"], ["1", "1"], [-1, "1"], [1e18, "1"]]
)
def test_what_is_no_pair_has_no_value(pair):
    with pytest.raises(SourceTrouble, match="not of the Prometheus API"):
        value_of(pair)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"7", b"\xff{}", b"[" * 5000, b'{"a": "\\ud800"}'])
def test_what_is_no_document_is_none(body):
    assert read(body) is None
    assert gc.isenabled()
