"""Reading untrusted objects: JSON of the API server whose fields may have any type.

A schema guarantees the types of some kinds only: a custom resource may have a string where a number is expected, and
any field may be null. These functions check each type, and return an empty value instead of raising.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from forestall.errors import InvalidInput, Unreadable

_LARGEST: Final = 2**63 - 1
"""The largest integer of the Kubernetes API (int64)."""


def mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` where it is a map, otherwise an empty map."""
    return value if isinstance(value, Mapping) else {}


def get_path(node: Any, *path: str) -> Any:
    """Return the value at `path` through nested maps; None where it is absent, or a value on the path is no map."""
    for part in path:
        node = mapping(node).get(part)
    return node


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the elements of a list that are maps; an empty list where `value` is no list."""
    return [element for element in value if isinstance(element, Mapping)] if isinstance(value, list | tuple) else []


def string(value: Any) -> str:
    """Return `value` where it is a string, otherwise an empty string."""
    return value if isinstance(value, str) else ""


def string_map(value: Any) -> dict[str, str]:
    """Return the entries of a map whose values are strings, such as labels and annotations."""
    return {key: element for key, element in mapping(value).items() if isinstance(element, str)}


def integer(value: Any, default: int | None = None) -> int | None:
    """Return `value` where it is an integer (int64), `default` where it is absent, otherwise None."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def decimal_integer(value: Any, default: int | None = None) -> int | None:
    """Return the integer that a decimal string represents, `default` where it is absent, otherwise None."""
    if value is None:
        return default
    digits = string(value)
    # Python refuses to parse very long strings of digits, and int64 has at most 19.
    return integer(int(digits)) if digits.isascii() and digits.isdecimal() and len(digits) <= 19 else None


@contextmanager
def parsing(description: str) -> Iterator[None]:
    """Translate errors of code that relies on the shape of an object; `description` names the object for people.

    Raises:
        Unreadable: the object does not have the expected shape.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, InvalidInput) as error:
        raise Unreadable(f"{description} can't be understood ({type(error).__name__})") from error
