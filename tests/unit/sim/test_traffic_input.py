"""Traffic input: what is accepted, and what is refused with its location."""

import numpy as np
import pytest

from forestall.errors import InvalidInput
from forestall.ports import RangeSeries
from forestall.sim import traffic_input

START = 1_767_225_600


def rows(*rates, step=60):
    return [f"{START + step * n},{rate}" for n, rate in enumerate(rates)]


@pytest.fixture
def file(tmp_path):
    def write(lines):
        path = tmp_path / "traffic.csv"
        path.write_text("\n".join(lines))
        return path

    return write


def test_rows_by_minute_are_used_unchanged(file):
    traffic, notes = traffic_input.from_file(file(["time,rate", *rows(10, 20.5, 30)]))
    assert traffic.rate.tolist() == [10, 20.5, 30]
    assert (traffic.at, notes) == (START, ())


def test_finer_rows_are_averaged_and_coarser_ones_interpolated(file):
    fine, _ = traffic_input.from_file(file(rows(10, 20, 30, 40, 50, 60, 70, 80, step=15)))
    assert fine.rate.tolist() == [25, 65]
    coarse, _ = traffic_input.from_file(file(rows(0, 50, 100, step=300)))
    assert np.allclose(coarse.rate[:11], np.arange(0, 110, 10))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["time,rate", f"{START},10", f"{START + 60},many"], r"traffic.csv, line 3: 'many' is not a number"),
        (["time,rate", "noon,10"], r"line 2: 'noon' is not a time"),
        (
            [f"{START},10", f"{START + 60},-1"],
            r"traffic.csv, at 2026-01-01 00:01 UTC: -1 requests a second is negative",
        ),
        ([*rows(1, 2, 3, "nan", "null", 6, 7)], r"3m are missing before 2026-01-01 00:05 UTC"),
        ([f"{START},10,3"], r"there is no column `time`"),
        (["time,a,b", f"{START},10,3"], r"there are 2 series, and it needs exactly one"),
        ([*rows(1, 2, 3), f"{START + 3600},4"], r"58m are missing before 2026-01-01 01:00 UTC"),
        (rows(0, 0, 0), r"traffic.csv: all rows are zero"),
        (["time,rate"], r"traffic.csv: the file has no values"),
        (rows(7), r"traffic.csv: there is 1 row, which is too few"),
        (rows(1, 2, 3, step=86400), r"a row every 1d is too coarse"),
    ],
)
def test_invalid_traffic_is_refused_with_its_location(file, lines, message):
    with pytest.raises(InvalidInput, match=message):
        traffic_input.from_file(file(lines))


def test_a_missing_or_binary_traffic_file_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="can't be read"):
        traffic_input.from_file(tmp_path / "none.csv")
    path = tmp_path / "bytes.csv"
    path.write_bytes(b"time,\xff\xff")
    with pytest.raises(InvalidInput, match="can't be read"):
        traffic_input.from_file(path)


def test_zeros_are_accepted_with_a_note(file):
    traffic, notes = traffic_input.from_file(file(rows(1, 0, 0, 2)))
    assert traffic.rate.tolist() == [1, 0, 0, 2]
    assert "2 rows are zero, from 2026-01-01 00:01 UTC on" in notes[0]


def test_rows_in_any_order_are_sorted(file):
    traffic, _ = traffic_input.from_file(file([f"{START + 60},2", f"{START + 120},3", f"{START},1"]))
    assert traffic.rate.tolist() == [1, 2, 3]


def test_a_query_must_give_one_series():
    with pytest.raises(InvalidInput, match="2 series"):
        traffic_input.from_series("x", [RangeSeries((), (0.0,), (1.0,))] * 2)


def test_the_last_part_is_simulated_and_the_rest_is_history(file):
    trace, _ = traffic_input.from_file(file(rows(*range(1, 301))))
    assert (traffic_input.split(trace, None).minutes, traffic_input.split(trace, 7200.0).start) == (100, 180)
    for duration in (60.0, 400 * 60.0):
        with pytest.raises(InvalidInput, match="at least an hour"):
            traffic_input.split(trace, duration)
