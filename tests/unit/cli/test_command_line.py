"""The command line that a report tells. The kind of fault to be kept out: a credential in what is shown around."""

import pytest

from forestall.cli.command_line import command_line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["backtest", "-f", "my slo.yaml"], "forestall backtest -f 'my slo.yaml'"),
        (["backtest", "--header", "Authorization: Bearer abc"], "forestall backtest --header Authorization:..."),
        (["backtest", "--header=X-Key:abc"], "forestall backtest --header=X-Key:..."),
        (
            ["simulate", "--prometheus", "https://me:abc@prom:9090/x"],
            "forestall simulate --prometheus https://prom:9090/x",
        ),
        (["simulate", "--prometheus=http://prom/?key=abc"], "forestall simulate '--prometheus=http://prom/?...'"),
        (["simulate", "--query", 'sum(rate(x{a="b"}[1m]))'], "forestall simulate --query 'sum(rate(x{a=\"b\"}[1m]))'"),
        (["backtest", "--token-file", "token"], "forestall backtest --token-file token"),
    ],
)
def test_the_line_can_be_run_again_but_for_credentials(words, line):
    assert command_line(words) == line
