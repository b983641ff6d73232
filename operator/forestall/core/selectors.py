"""Label selectors of other people's objects, read as Kubernetes reads them: with no bounds but its own."""

from collections.abc import Mapping
from typing import Any, Final

from forestall.core.foreign import items, mapping

_FIELDS: Final = frozenset({"matchLabels", "matchExpressions"})


def selects(selector: Any, labels: Mapping[str, str]) -> bool | None:
    """Say whether `selector` (`metav1.LabelSelector`) selects what has these labels; None where that can't be told.

    No selector selects nothing, an empty one everything.
    """
    if selector is None:
        return False
    if not isinstance(selector, Mapping) or any(selector[field] for field in selector.keys() - _FIELDS):
        return None  # of another kind, or with a field of a later Kubernetes
    pairs, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    met = [labels.get(key) == value if isinstance(value, str) else None for key, value in mapping(pairs).items()]
    met += [_meets(each, labels) for each in items(expressions)]
    if False in met:
        return False
    whole = (pairs is None or isinstance(pairs, Mapping)) and (
        expressions is None or (isinstance(expressions, list) and len(items(expressions)) == len(expressions))
    )
    return True if whole and None not in met else None


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool | None:
    key, values = expression.get("key"), expression.get("values")
    if not isinstance(key, str):
        return None
    match expression.get("operator"):
        case "Exists" if not values:
            return key in labels
        case "DoesNotExist" if not values:
            return key not in labels
        case "In" | "NotIn" as operator if isinstance(values, list) and values:
            if not all(isinstance(each, str) for each in values):
                return None
            return bool((labels.get(key) in values) == (operator == "In"))
        case _:
            return None
