"""Times: one place reads and writes them, and without a zone they are UTC everywhere, or refused."""

import re
import time
from datetime import UTC, datetime

import pytest
from click import Context
from hypothesis import given
from hypothesis import strategies as st

from forestall.api.times import readable, seconds, stamp
from forestall.cli.backtest import _time as option
from forestall.cli.backtest import backtest
from forestall.cli.words import clock
from forestall.core.cel import holds
from forestall.core.rfc3339 import read_time, write_time
from forestall.inputs.delimited import parse_time

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
def test_a_time_is_the_same_in_every_local_zone(text, at):
    """The kind: a time without a zone that is local in one place and UTC in another."""
    assert read_time(text) == at
    assert seconds(text) == at  # status fields and annotations
    assert option(Context(backtest), backtest.params[0], text) == at  # options of the commands
    assert parse_time(text, "row 1") == at  # tables of measurements


@pytest.mark.parametrize(
    "text",
    ["", "now", "12:00", "2026-02-30", "2026-01-31T25:00Z", "2026-W05-6", "20260131", "2026-01-31T12:00:00Z\n",
     "٢٠٢٦-01-31", "2026-01-31T12:00:00+24:00"],
)  # fmt: skip
def test_an_invalid_time_is_none(text):
    assert read_time(text) is None
    assert seconds(text) is None


@given(st.floats(0, 4e9))
def test_a_written_time_is_read_back(at):
    assert seconds(stamp(at)) == pytest.approx(at, abs=1e-6)


@given(st.integers(0, 4_000_000_000))
def test_a_time_written_to_the_second_is_read_back(at):
    assert read_time(write_time(at + 0.5, "seconds"), zoned=True) == at


@pytest.mark.usefixtures("_machine")
def test_objects_must_have_times_with_a_zone():
    """The kind: a time without a zone that is local in one place and UTC in another."""
    for text in ("2026-01-31T12:00:00", "2026-01-31 12:00", "2026-01-31"):
        assert read_time(text, zoned=True) is None
        with pytest.raises(ValueError, match="zone"):  # as the API server refuses it
            holds("timestamp(self) > timestamp('1970-01-01T00:00:00Z')", text)
    assert holds("timestamp(self) == timestamp('2026-01-31T12:00:00Z')", "2026-01-31T13:00:00+01:00")


@pytest.mark.usefixtures("_machine")
def test_times_are_displayed_in_utc_whatever_their_zone():
    assert readable("2026-01-31T13:00:00.5+01:00") == "2026-01-31 12:00:00 UTC"
    assert clock("2026-01-31T13:00:00.5+01:00") == "12:00:00"


def test_no_other_module_reads_or_writes_times(root):
    """The kind: a second reader, with other ideas of what a time is."""
    own = re.compile(r"fromisoformat|isoformat\(|strptime|%Y-%m-%dT")
    files = (root / "operator" / "forestall").rglob("*.py")
    assert [file.name for file in files if own.search(file.read_text())] == ["rfc3339.py"]
