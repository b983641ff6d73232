"""Objects that others write, read without trust.

The API server gives JSON, and of that only what a schema holds has the type that it should have: a custom resource may
have a text where a number is meant, and any field may be null. So nothing here is taken for what it should be.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from forestall.errors import InvalidInput, Unreadable

_LARGEST: Final = 2**63 - 1
"""The largest number that Kubernetes' own types hold."""


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a map; an empty one where it is none."""
    return value if isinstance(value, Mapping) else {}


def at(node: Any, *path: str) -> Any:
    """Return what is at `path` through maps; None where it is not there, or something on the way is no map."""
    for part in path:
        node = mapping(node).get(part)
    return node


def items(value: Any) -> list[Mapping[str, Any]]:
    """Return those elements of a list that are maps; none where it is no list."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def text(value: Any) -> str:
    """Return a text; an empty one where it is none."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> dict[str, str]:
    """Return those entries of a map that are texts, such as labels and annotations."""
    return {key: each for key, each in mapping(value).items() if isinstance(each, str)}


def whole(value: Any, unset: int | None = None) -> int | None:
    """Return a whole number, or `unset` where nothing is there; None where it is none that Kubernetes could hold."""
    if value is None:
        return unset
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def decimal(value: Any, unset: int | None = None) -> int | None:
    """Return the whole number that a text writes; otherwise as `whole`."""
    if value is None:
        return unset
    digits = text(value)
    # Longer ones Python refuses to read, and Kubernetes could not hold.
    return whole(int(digits)) if digits.isascii() and digits.isdecimal() and len(digits) <= 19 else None


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Translate what goes wrong while the shape of an object is relied on; `what` names it for people.

    Raises:
        Unreadable: it is not what it should be.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, InvalidInput) as error:
        raise Unreadable(f"{what} can't be understood ({type(error).__name__})") from error
