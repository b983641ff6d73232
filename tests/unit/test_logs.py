"""The form of the logs."""

import json
import logging
import sys
from typing import Any

import pytest
import structlog

from forestall import logs


@pytest.fixture(autouse=True)
def _restored():
    root = logging.root
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in logs._QUIET}
    configuration = structlog.get_config()
    yield
    root.handlers[:], level, levels = before
    root.setLevel(level)
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)
    structlog.configure(**configuration)


def lines(capsys) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_where_there_is_no_terminal(capsys):
    logs.configure()
    structlog.get_logger("forestall.engine").info("acted", action="Scale", replicas=3)
    (line,) = lines(capsys)
    assert line["event"] == "acted"
    assert line["replicas"] == 3
    assert line["level"] == "info"
    assert line["logger"] == "forestall.engine"
    assert line["timestamp"].endswith("Z")


def test_what_libraries_say_has_the_same_form(capsys):
    logs.configure()
    logging.getLogger("kopf.x").error("Request attempt %s failed", "#1")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("Request attempt #1 failed", "error", "kopf.x")


def test_a_traceback_stays_on_one_line(capsys):
    logs.configure()
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("x").exception("broken")
    (line,) = lines(capsys)
    assert "ZeroDivisionError" in line["exception"]


def test_libraries_are_quiet_but_for_warnings(capsys):
    logs.configure("info")
    logging.getLogger("kopf.objects").info("chatter")
    logging.getLogger("kopf.objects").warning("trouble")
    assert [line["event"] for line in lines(capsys)] == ["trouble"]


def test_at_debug_everybody_speaks(capsys):
    logs.configure("debug")
    logging.getLogger("kopf.objects").debug("chatter")
    structlog.get_logger("forestall").debug("own")
    assert [line["event"] for line in lines(capsys)] == ["chatter", "own"]


def test_below_the_level_nothing_is_written(capsys):
    logs.configure("warning")
    structlog.get_logger("forestall").info("hidden")
    assert lines(capsys) == []


def test_people_get_lines_they_can_read(capsys):
    logs.configure(as_json=False)
    structlog.get_logger("forestall").warning("source down", source="main")
    assert "source down" in (text := capsys.readouterr().err)
    assert "source=main" in text
    assert "\x1b[" not in text  # no colours in a pipe


def test_colours_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logs.configure()
    structlog.get_logger("forestall").warning("source down")
    assert "\x1b[" in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_a_traceback_shows_no_values_of_variables(capsys, monkeypatch, terminal):
    """The variables of a frame hold credentials and other tenants' objects, and it takes seconds to draw them."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    logs.configure(as_json=False)
    password = "hunter" + "2"
    try:
        _ = password / 1  # type: ignore[operator]
    except TypeError:
        logging.getLogger("x").exception("broken")
        structlog.get_logger("x").exception("broken, too")
    text = capsys.readouterr().err
    assert text.count("TypeError") == 2
    assert "hunter2" not in text
