"""The options of a command and the type that carries them. The kind of fault to be kept out: a name or type that they
do not share, which only whoever uses the option would notice."""

from collections.abc import Mapping
from dataclasses import fields
from typing import get_type_hints

import pytest
from pydantic import ConfigDict, TypeAdapter

from forestall.cli import asking, backtest, simulate, validate

COMMANDS = [
    (backtest.backtest, backtest.BacktestOptions, ["--history", "x.csv"]),
    (simulate.simulate, simulate.SimulateOptions, ["--traffic", "x.csv"]),
    (validate.validate, validate.ValidateOptions, ["-f", "x.yaml"]),
]
GIVEN = {
    "--prometheus": "http://x", "--header": "a: b", "--token-file": "t", "--ca-file": "c", "--from": "2026-01-31",
    "--step": "1m", "--replicas": "2", "--capacity": "3", "--min": "1", "--start-up": "1m", "--interval": "1m",
    "--html": "x.html", "--objective": "99.5", "-o": "json",
}  # fmt: skip


def parsed(command, arguments):
    return command.make_context(command.name, list(arguments), obj=None).params


@pytest.mark.parametrize(("command", "kind", "least"), COMMANDS)
def test_each_option_has_a_field_and_each_field_an_option(command, kind, least):
    exposed = {parameter.name for parameter in command.params if parameter.expose_value}
    assert {field.name for field in fields(kind)} == exposed
    assert issubclass(kind, asking.SourceOptions)
    assert kind(**parsed(command, least))


@pytest.mark.parametrize(("command", "kind", "least"), COMMANDS)
def test_the_fields_have_the_types_that_the_options_give(command, kind, least):
    known = {name for parameter in command.params for name in parameter.opts}
    more = [part for name, value in GIVEN.items() if name in known for part in (name, value)]
    hints = get_type_hints(kind, {**vars(asking), **vars(backtest), "Mapping": Mapping})
    for arguments in (least, [*least, *more]):
        chosen = kind(**parsed(command, arguments))
        for name, hint in hints.items():
            TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python(getattr(chosen, name))
