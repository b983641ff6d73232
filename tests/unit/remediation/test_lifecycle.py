"""What is said about the phases, and what is done in them, agree; every other test here walks through them."""

import re
import textwrap
from typing import get_args

from tests.support.lifecycle import documented_transitions, lifecycle_section

from forestall.api.remediation import TERMINAL, Phase
from forestall.remediation import lifecycle


def test_the_documentation_has_every_phase_and_ends_where_a_remediation_does():
    transitions = documented_transitions()
    assert list(transitions) == list(get_args(Phase))
    assert {phase for phase, following in transitions.items() if not following} == TERMINAL


def test_each_phase_that_does_not_end_it_has_a_handler():
    handled = [*lifecycle.BEFORE_CHANGE, *lifecycle.AFTER_CHANGE]
    assert sorted(handled) == sorted(set(get_args(Phase)) - TERMINAL)


def test_the_diagram_is_that_of_the_documentation():
    diagram = re.search(r"```text\n(.*?)```", lifecycle_section(), re.DOTALL)
    assert diagram is not None
    assert textwrap.indent(diagram[1], "    ") in (lifecycle.__doc__ or "")
