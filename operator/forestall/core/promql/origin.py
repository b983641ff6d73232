"""Whether the labels of a result come from stored series, or from the query."""

import re
from typing import Final

_MAKES_LABELS: Final = re.compile(
    r"\b(label_(replace|join|set|copy|move|map|transform|lowercase|uppercase)|count_values|absent|absent_over_time|info)\b",
    re.IGNORECASE,
)
"""The functions that set a label to a value of the query's author."""


def keeps_labels(query: str) -> bool:
    """Return whether every label of the result has its stored value.

    False in doubt, as where the name of such a function is in a string.
    """
    return _MAKES_LABELS.search(query) is None
