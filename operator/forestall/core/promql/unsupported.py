"""Constructs of newer versions of Prometheus that the parser library does not support, for its error messages."""

import re
from typing import Final

_SPAN: Final = r"[^\[\]{}\"]*"
_CONSTRUCTS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII), advice)
    for pattern, advice in (
        (
            rf"\[{_SPAN}[-+*/%^()]{_SPAN}\]|(?<![\w:])offset\s*[+-]?\s*(?:\(|(?:step|range|min|max)\s*\()",
            "signs, operators and parentheses in a range, step or offset: write the duration that they come to",
        ),
        (r"[<>]/", "the operators `</` and `>/`: use histogram_fraction() or histogram_quantile()"),
        (r"(?<![\w:])(?:anchored|smoothed)(?![\w:])", "`anchored` and `smoothed`, be it as a name"),
        (r"@\s*-", "`@` with a time before 1970"),
        (r"@[^\[\]]*\[", "`@` in front of a range: write it behind, as in x[5m] @ end()"),
    )
)


def unsupported_construct(text: str) -> str:
    """Return the unsupported construct in `text`, an invalid query without its literals; empty where there is none.

    Such a query may be valid PromQL for the source.
    """
    return next((advice for pattern, advice in _CONSTRUCTS if pattern.search(text)), "")
