"""Where the labels of an answer come from: from stored series, or from the query."""

import re
from typing import Final

_MAKES_LABELS: Final = re.compile(
    r"\b(label_(replace|join|set|copy|move|map|transform|lowercase|uppercase)|count_values|absent|absent_over_time|info)\b",
    re.IGNORECASE,
)
"""The functions that give a label a value which the query's author chooses, wherever they stand."""


def keeps_labels(query: str) -> bool:
    """Say whether every label of the answer has the value that it is stored with.

    In doubt, as where such a word stands in a string, it is not said.
    """
    return _MAKES_LABELS.search(query) is None
