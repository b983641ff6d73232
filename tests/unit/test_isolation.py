"""An unexpected error stays with the object that it is about."""

import asyncio

import pytest
from structlog.testing import capture_logs

from forestall.errors import LostLease
from forestall.isolation import LOG_INTERVAL, ErrorIsolation


class Panic(BaseException):
    """What a library of another language raises when it panics is no `Exception`."""


@pytest.mark.parametrize("error", [ValueError("secret-name"), Panic("boom"), StopIteration(), RecursionError()])
def test_it_is_counted_and_told_without_what_the_reader_must_not_know(error):
    isolation = ErrorIsolation()
    isolation.begin(0.0)
    with isolation.attempt("deciding", "shop/checkout") as attempt:
        raise error
    assert isolation.faults == {"deciding": 1}
    assert attempt.failure is not None
    assert type(error).__name__ in attempt.failure
    assert "secret-name" not in attempt.failure


@pytest.mark.parametrize("error", [LostLease("gone"), asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
@pytest.mark.parametrize("grouped", [False, True])
def test_what_ends_the_process_or_the_cycle_passes(error, grouped):
    isolation, raised = ErrorIsolation(), BaseExceptionGroup("", [error, ValueError()]) if grouped else error
    with pytest.raises(type(raised)), isolation.attempt("deciding", "shop/checkout"):
        raise raised
    assert not isolation.faults


def test_the_traceback_is_logged_once_and_again_after_a_while():
    isolation = ErrorIsolation()
    with capture_logs() as logs:
        for now in (0.0, 30.0, LOG_INTERVAL + 30.0):
            isolation.begin(now)
            with isolation.attempt("deciding", "shop/checkout"):
                raise ValueError("why")
    levels = [(entry["log_level"], "exc_info" in entry) for entry in logs]
    assert levels == [("error", True), ("debug", False), ("error", True)]


def test_success_is_no_failure():
    isolation = ErrorIsolation()
    with isolation.attempt("deciding", "shop/checkout") as attempt:
        pass
    assert attempt.failure is None
    assert not isolation.faults
