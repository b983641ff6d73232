"""A cache of functions of texts, with bounded memory whatever the length of the texts."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_LEAST: Final = 64
"""The weight of the shortest text, in characters."""


class TextCache(Generic[P, R]):
    """A function of texts with an LRU cache whose size is limited in characters of the texts.

    The memory of a result grows with the length of its text, and tenants can write many long ones: so the limit is on
    characters, not on entries. For one thread.
    """

    def __init__(self, function: Callable[P, R], characters: int) -> None:
        self._function = function
        self._capacity = characters
        self._weight = 0
        self._results: OrderedDict[Hashable, tuple[R, int]] = OrderedDict()

    def __call__(self, *texts: P.args, **keywords: P.kwargs) -> R:
        """Return the function's result; exceptions are not cached."""
        key = (texts, tuple(keywords.items()))
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key][0]
        result = self._function(*texts, **keywords)
        weight = sum(_LEAST + len(str(text)) for text in (*texts, *keywords.values()))
        self._results[key] = result, weight
        self._weight += weight
        while self._weight > self._capacity:
            _, (_, oldest) = self._results.popitem(last=False)
            self._weight -= oldest
        return result

    def cache_clear(self) -> None:
        """Empty the cache."""
        self._results.clear()
        self._weight = 0


def cached_by_text(characters: int) -> Callable[[Callable[P, R]], TextCache[P, R]]:
    """Return a decorator that caches results for up to `characters` of texts."""
    return lambda function: TextCache(function, characters)
