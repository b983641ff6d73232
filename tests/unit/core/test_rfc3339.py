"""Times of others: one place reads them, and without a zone they are UTC everywhere."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.api.times import seconds, stamp
from forestall.backtest.delimited import moment_of
from forestall.cli.words import moment
from forestall.core.rfc3339 import read_time

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def _machine(monkeypatch, request):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_machine")
@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31T12:00:00.250000Z", NOON + 0.25),
        ("2026-01-31T13:00:00+01:00", NOON),
        ("2026-01-31T13:00:00+0100", NOON),
        ("2026-01-31T12:00:00", NOON),
        ("2026-01-31 12:00:00", NOON),
        ("2026-01-31T12:00", NOON),
        ("2026-01-31", NOON - 43200),
    ],
)
def test_a_time_is_the_same_wherever_it_is_read(text, at):
    """The kind: a time without a zone that is local in one place and UTC in another."""
    assert read_time(text) == at
    assert seconds(text) == at  # status fields and annotations
    assert moment(text) == at  # options of the commands
    assert moment_of(text, "row 1") == at  # tables of measurements


@pytest.mark.parametrize(
    "text",
    ["", "now", "12:00", "2026-02-30", "2026-01-31T25:00Z", "2026-W05-6", "20260131", "2026-01-31T12:00:00Z\n",
     "٢٠٢٦-01-31", "2026-01-31T12:00:00+24:00"],
)  # fmt: skip
def test_what_is_no_time_is_none(text):
    assert read_time(text) is None
    assert seconds(text) is None
    assert moment(text) is None


@given(st.floats(0, 4e9))
def test_what_is_written_is_read_again(at):
    assert seconds(stamp(at)) == pytest.approx(at, abs=1e-6)
