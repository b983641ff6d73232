"""The command line that a report was made by, as text that may be shown around: without what authenticates."""

import re
import shlex
from collections.abc import Sequence
from typing import Final

_SECRET_VALUES: Final = ("--header",)
"""Options whose values may be credentials."""
_IN_URL: Final = re.compile(r"(?P<scheme>\w+://)(?:[^/@\s]*@)?(?P<rest>[^?#\s]*)(?P<query>[?#]\S*)?")
"""A URL: what stands before its `@`, and its query, may be credentials."""


def command_line(arguments: Sequence[str]) -> str:
    """Return the words that a program was called with as a line for a shell, with `...` in the place of credentials."""
    result, secret = ["forestall"], False
    for word in arguments:
        option, equals, value = word.partition("=")
        if secret:
            result.append(_header(word))
        elif equals and option in _SECRET_VALUES:
            result.append(f"{option}={_header(value)}")
        else:
            result.append(_IN_URL.sub(_plain, word))
        secret = word in _SECRET_VALUES
    return shlex.join(result)


def _header(text: str) -> str:
    return f"{text.partition(':')[0]}:..."


def _plain(match: re.Match[str]) -> str:
    return match["scheme"] + match["rest"] + ("?..." if match["query"] else "")
