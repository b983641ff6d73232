"""A machine that is too slow for the demo is no failure of its programs."""

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


def test_a_generator_that_is_late_has_not_failed(generator):
    """Kind: late is told as failed, with the words 'it printed nothing'."""
    process, log = generator("import time; time.sleep(600)")
    assert read_tally(process, log, 0.2) is None


def test_one_that_failed_says_how(generator):
    process, log = generator("print('no such day'); raise SystemExit(3)")
    with pytest.raises(CommandFailed, match="ended with status 3, and without a tally:\nno such day"):
        read_tally(process, log, 60.0)


def test_the_tally_is_what_it_printed(generator):
    process, log = generator("print('{\"sent\": 2}')")
    assert read_tally(process, log, 60.0) == {"sent": 2}


@pytest.mark.parametrize("name", SCENARIOS)
def test_half_a_shop_is_as_busy_as_a_whole_one(name):
    """What a pod carries, and how fast its memory fills, is the same share of what there is."""
    whole = SCENARIOS[name]
    half = whole.halved()
    assert half.size == whole.size / 2 == 0.5
    assert half.peak / half.slots == whole.peak / whole.slots
    assert half.peak * half.leak == whole.peak * whole.leak
    assert (half.duration, half.hours) == (whole.duration, whole.hours)
    assert half.limit == (15.0 if name == "surge" else whole.limit)
