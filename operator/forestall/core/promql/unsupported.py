"""What newer versions of Prometheus read and the parser here does not, so that a refusal can say so."""

import re
from typing import Final

_SPAN: Final = r"[^\[\]{}\"]*"
_CONSTRUCTS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII), words)
    for pattern, words in (
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


def unsupported(text: str) -> str:
    """Return which construct of `text`, a query without its literals that was refused, may be the reason; or nothing.

    Such a query may be PromQL all the same.
    """
    return next((words for pattern, words in _CONSTRUCTS if pattern.search(text)), "")
