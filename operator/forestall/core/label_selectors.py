"""Label selectors of untrusted objects, with the semantics of Kubernetes."""

from collections.abc import Mapping
from typing import Any, Final

from forestall.core.untrusted import mapping, mappings

_FIELDS: Final = frozenset({"matchLabels", "matchExpressions"})


def selects(selector: Any, labels: Mapping[str, str]) -> bool | None:
    """Return whether `selector` (`metav1.LabelSelector`) matches these labels; None where it can't be interpreted.

    An absent selector matches nothing, an empty one everything.
    """
    if selector is None:
        return False
    if not isinstance(selector, Mapping) or any(selector[field] for field in selector.keys() - _FIELDS):
        return None  # another type, or a field of a later Kubernetes
    pairs, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    matches = [labels.get(key) == value if isinstance(value, str) else None for key, value in mapping(pairs).items()]
    matches += [_matches(expression, labels) for expression in mappings(expressions)]
    if False in matches:
        return False
    is_valid = (pairs is None or isinstance(pairs, Mapping)) and (
        expressions is None or (isinstance(expressions, list) and len(mappings(expressions)) == len(expressions))
    )
    return True if is_valid and None not in matches else None


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool | None:
    key, values = expression.get("key"), expression.get("values")
    if not isinstance(key, str):
        return None
    match expression.get("operator"):
        case "Exists" if not values:
            return key in labels
        case "DoesNotExist" if not values:
            return key not in labels
        case "In" | "NotIn" as operator if isinstance(values, list) and values:
            if not all(isinstance(value, str) for value in values):
                return None
            return bool((labels.get(key) in values) == (operator == "In"))
        case _:
            return None
