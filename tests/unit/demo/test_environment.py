"""A slow machine is no failure of the demo's programs."""

import subprocess
import sys

import pytest

from forestall.demo.environment import read_tally
from forestall.demo.scenarios import SCENARIOS
from forestall.errors import CommandFailed


@pytest.fixture
def generator(tmp_path):
    """Start a stand-in for the load generator, and return it with its log."""
    started = []

    def start(program):
        log = tmp_path / "load.log"
        with log.open("wb") as file:
            process = subprocess.Popen([sys.executable, "-c", program], stdout=file, stderr=subprocess.STDOUT)
        started.append(process)
        return process, log

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_late_load_generator_has_no_tally(generator):
    """Kind: a late program is reported as failed, with an empty output."""
    process, log = generator("import time; time.sleep(600)")
    assert read_tally(process, log, 0.2) is None


def test_a_failed_load_generator_is_an_error(generator):
    process, log = generator("print('no such day'); raise SystemExit(3)")
    with pytest.raises(CommandFailed, match="ended with status 3, and without a tally:\nno such day"):
        read_tally(process, log, 60.0)


def test_the_tally_is_read_from_the_log(generator):
    process, log = generator("print('{\"sent\": 2}')")
    assert read_tally(process, log, 60.0) == {"sent": 2}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_halved_scenario_has_the_same_load_per_slot(name):
    """The load per slot and the speed of the leak stay the same."""
    full = SCENARIOS[name]
    half = full.halved()
    assert half.size == full.size / 2 == 0.5
    assert half.peak / half.slots == full.peak / full.slots
    assert half.peak * half.leak == full.peak * full.leak
    assert (half.duration, half.hours) == (full.duration, full.hours)
    assert half.limit == (15.0 if name == "surge" else full.limit)
