"""JSON merge patches (RFC 7396): what has to be sent so that one document becomes another."""

from collections.abc import Mapping
from typing import Any


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that makes `after` of `before`; empty where they are the same.

    Lists are replaced as a whole, as a merge patch can't say more. A null in `after` counts as absent.
    """
    patch: dict[str, Any] = {key: None for key in before if before[key] is not None and after.get(key) is None}
    for key, value in after.items():
        old = before.get(key)
        if value is None or value == old:
            continue
        if isinstance(value, Mapping):
            patch[key] = difference(old if isinstance(old, Mapping) else {}, value)
        else:
            patch[key] = value
    return patch
