"""The part of CEL that the definitions' rules are written in."""

import pytest

from forestall.api import KINDS
from forestall.api.crd import crd
from forestall.core.cel import _compiled, holds
from forestall.errors import InvalidInput


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("self > 1.0 && self < 100.0", 99.5),
        ("self == 'a' || self == \"b\"", "b"),
        ("!has(self.a) || self.a.b in ['x', 'y']", {"a": {"b": "y"}}),
        ("!has(self.a.b)", {"a": {}}),
        ("has(self.a) != has(self.b)", {"a": 1}),
        ("[has(self.a), has(self.b)].filter(x, x).size() == 1", {"b": 1}),
        ("self.all(name, name.matches('^[a-z]+$') && name != 'no')", {"a": 1, "b": 2}),
        ("self.exists(name, self[name] == 2)", {"a": 1, "b": 2}),
        ("int('0' + self.find('[0-9]+h').find('[0-9]+')) * 60 + 1 == 121", "2h"),
        ("self.find('[0-9]+w') == ''", "2h"),
        ("self.matches(r'^a\\.b$')", "a.b"),
        ("timestamp(self) > timestamp('1970-01-01T00:00:00Z')", "2026-01-31T18:00:00Z"),
        ("self.lowerAscii() == 'abc' ? 1 < 2 : false", "ABC"),
        ("1 + 2 * 3 == 7 && -1 < 0 && !(1 == 2)", None),
        ("!self.matches('a$')", "a\n"),
    ],
)
def test_rules_that_hold(rule, value):
    assert holds(rule, value)


@pytest.mark.parametrize("rule", ["self ~ 1", "self.matches('a'", "self.split(',')", "(1", "cidr(self)", "x.all(1)"])
def test_unsupported_cel_is_an_error(rule):
    with pytest.raises((InvalidInput, KeyError)):
        holds(rule, "a")


def rules(node):
    for name, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if name == "x-kubernetes-validations":
            yield from (rule["rule"] for rule in value)
        else:
            yield from rules(value)


def test_every_rule_of_the_crds_is_supported():
    """Kind: what the API server refuses and a check of files does not."""
    all_rules = {rule for kind in KINDS for rule in rules(crd(kind))}
    assert len(all_rules) > 30
    for rule in all_rules:
        _compiled(rule)
