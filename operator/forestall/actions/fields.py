"""One field in a document of maps and lists; `name=main` in a path is the element of a list that has this name."""

from collections.abc import Mapping, Sequence
from typing import Any

from forestall.errors import InvalidInput


def get(node: Any, path: Sequence[str]) -> Any:
    """Return the value at `path`; None where the field is not set.

    Raises:
        InvalidInput: the path leads through an element that a list does not have, or through a value.
    """
    for part in path:
        if node is None:
            return None
        node = _element(node, part) if isinstance(node, list) else _map(node, part).get(part)
    return node


def put(node: Any, path: Sequence[str], value: Any) -> Any:
    """Return a copy of `node` with `value` at `path`; None takes the field away. Maps on the way are made.

    Raises:
        InvalidInput: as for `get`.
    """
    if not path:
        return value
    part, *remaining = path
    if isinstance(node, list):
        old = _element(node, part)
        return [put(element, remaining, value) if element is old else element for element in node]
    fields = dict(_map({} if node is None else node, part))
    new = put(fields.get(part), remaining, value)
    if new is None:
        fields.pop(part, None)
    else:
        fields[part] = new
    return fields


def _map(node: Any, part: str) -> Mapping[str, Any]:
    if isinstance(node, Mapping) and not part.startswith("name="):
        return node
    raise InvalidInput(f"there is no {part}: what is there is {'a map' if isinstance(node, Mapping) else 'a value'}")


def _element(elements: list[Any], part: str) -> Any:
    name = part.removeprefix("name=")
    matching = [element for element in elements if isinstance(element, Mapping) and element.get("name") == name]
    if name == part or len(matching) != 1:
        raise InvalidInput(f"there is no single element {part} in the list")
    return matching[0]
